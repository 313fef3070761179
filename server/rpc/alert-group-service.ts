import { create, type Message } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  AlertGroupActSchema,
  AlertGroupSchema,
  AlertGroupState as WireState,
  AlertSampleSchema,
  type AlertGroup as AlertGroupMessage,
  type AlertGroupService,
} from "#proto/fleet/v1/alert_group";

import type { AlertGroupState, AlertGroupStep } from "../domain/alert-group.ts";
import { pageSize, pageToken, parsePageToken } from "../domain/page.ts";
import type { Permission } from "../domain/permission.ts";
import { priorityWord } from "../domain/priority.ts";
import { accept, invalid, type Outcome } from "../domain/refusal.ts";
import {
  findAlertGroup,
  listAlertGroupActs,
  listAlertGroups,
  stepAlertGroups,
  type AlertGroup,
  type AlertGroupPosition,
  type SeenGroup,
} from "../store/alert-groups.ts";
import type { Database } from "../store/pool.ts";
import { fromFilter, fromUs } from "./alert-message.ts";
import type { Audit } from "./audit.ts";
import { operatorOf, scopeOf } from "./caller.ts";
import { toTimestamp } from "./messages.ts";
import { orRefuse } from "./refusals.ts";

export const alertGroupPermissions = {
  listAlertGroups: "alert:read",
  getAlertGroup: "alert:read",
  acknowledgeAlertGroups: "alert:write",
  resolveAlertGroups: "alert:write",
  reopenAlertGroups: "alert:write",
} satisfies Record<keyof (typeof AlertGroupService)["method"], Permission>;

export interface AlertGroupServiceOptions {
  readonly db: Database;
  readonly audit: Audit;
  readonly clock: () => Date;
}

export function alertGroupService(options: AlertGroupServiceOptions): ServiceImpl<typeof AlertGroupService> {
  const { db, clock } = options;
  return {
    async listAlertGroups(request, context) {
      const now = clock();
      const filter = orRefuse(fromFilter(scopeOf(context), request.filter));
      const states = orRefuse(fromStates(request.states));
      const before = orRefuse(parsePlace(request.pageToken));
      const { silenced } = request;
      const wanted = { ...filter, states, now, ...(silenced === undefined ? {} : { isSilenced: silenced }) };
      const { groups, next } = await listAlertGroups(db, wanted, pageSize(request.pageSize), before);
      return {
        groups: groups.map((group) => toGroup(group, now)),
        nextPageToken: next === undefined ? "" : pageToken(`${next.receivedUs}:${next.id}`),
        ...(next === undefined ? {} : { lookedBackTo: fromUs(next.receivedUs) }),
        lookedAt: toTimestamp(now),
      };
    },
    async getAlertGroup({ groupId }, context) {
      const group = orRefuse(await findAlertGroup(db, scopeOf(context), groupId));
      const acts = await listAlertGroupActs(db, group.id);
      return {
        group: toGroup(group, clock()),
        samples: group.samples.map(({ id, timeUs, output }) =>
          create(AlertSampleSchema, { alertId: id, time: fromUs(BigInt(timeUs)), output }),
        ),
        acts: acts.map(({ at, who, what, note }) =>
          create(AlertGroupActSchema, { at: fromUs(BigInt(at.getTime()) * 1000n), who, what, note }),
        ),
        fields: JSON.stringify(group.fields),
      };
    },
    acknowledgeAlertGroups: (request, context) => step(options, "acknowledge", request, context),
    resolveAlertGroups: (request, context) => step(options, "resolve", request, context),
    reopenAlertGroups: (request, context) => step(options, "reopen", request, context),
  };
}

async function step(
  { db, audit, clock }: AlertGroupServiceOptions,
  which: AlertGroupStep,
  request: Message & { readonly groups: readonly SeenGroup[]; readonly note: string },
  context: HandlerContext,
): Promise<{ groups: AlertGroupMessage[] }> {
  const seen = orRefuse(readSeen(request.groups));
  const text = orRefuse(readNote(request.note));
  const at = clock();
  const { name: by, scope } = operatorOf(context);
  const note = audit.note(context, request);
  const groups = orRefuse(await stepAlertGroups(db, scope, seen, { step: which, by, text, at }, note));
  return { groups: groups.map((group) => toGroup(group, at)) };
}

const groupsMax = 100;
const noteCharsMax = 1_000;

function readSeen(groups: readonly SeenGroup[]): Outcome<readonly SeenGroup[]> {
  if (groups.length === 0) return invalid("groups", "is empty: name at least one");
  if (groups.length > groupsMax) {
    return invalid("groups", `names ${groups.length}; at most ${groupsMax} are allowed`);
  }
  if (new Set(groups.map(({ id }) => id)).size < groups.length) return invalid("groups", "names one twice");
  if (groups.some(({ generation }) => generation === 0n || generation > 2n ** 62n)) {
    return invalid("groups.generation", "is missing: say which generation of the group was seen");
  }
  return accept(groups);
}

function readNote(text: string): Outcome<string> {
  const note = text.trim();
  return note.length > noteCharsMax
    ? invalid("note", `is longer than ${noteCharsMax} characters`)
    : accept(note);
}

const wireStates = {
  open: WireState.OPEN,
  acknowledged: WireState.ACKNOWLEDGED,
  resolved: WireState.RESOLVED,
} as const satisfies Record<AlertGroupState, WireState>;

function fromStates(states: readonly WireState[]): Outcome<readonly AlertGroupState[]> {
  const names = Object.keys(wireStates) as AlertGroupState[];
  const read = states.map((state) => names.find((name) => wireStates[name] === state));
  if (read.length > 10) return invalid("states", "names more states than there are");
  if (read.includes(undefined)) return invalid("states", "holds something that is no state");
  return accept(read.flatMap((state) => state ?? []));
}

function parsePlace(token: string): Outcome<AlertGroupPosition | undefined> {
  const text = parsePageToken(token);
  if (!text.ok) return text;
  if (text.value === "") return accept(undefined);
  const match = /^(\d{1,18}):(gr_[0-9a-z]{1,32})$/.exec(text.value);
  if (match === null) {
    return invalid("page_token", "was not made by this server: leave it empty to begin at the first page");
  }
  return accept({ receivedUs: BigInt(match[1] ?? ""), id: match[2] ?? "" });
}

function toGroup(group: AlertGroup, now: Date): AlertGroupMessage {
  const until = group.silencedUntilUs === null ? undefined : new Date(Number(group.silencedUntilUs / 1000n));
  const silencedUntil = until !== undefined && until > now ? toTimestamp(until) : undefined;
  return create(AlertGroupSchema, {
    id: group.id,
    clusterId: group.clusterId,
    clusterName: group.clusterName,
    region: group.labels["region"] ?? "",
    rule: group.rule,
    actor: group.actor,
    priority: priorityWord(group.priority),
    source: group.source,
    tags: [...group.tags],
    count: group.count,
    notStored: group.notStored,
    firstAt: fromUs(group.firstUs),
    lastAt: fromUs(group.lastUs),
    receivedAt: fromUs(group.receivedUs),
    state: wireStates[group.state],
    stateBy: group.stateBy,
    stateAt: fromUs(group.stateUs),
    note: group.note,
    generation: group.generation,
    ...(silencedUntil === undefined ? {} : { silencedUntil, silenceId: group.silenceId ?? "" }),
  });
}
