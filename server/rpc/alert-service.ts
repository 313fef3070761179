import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs, type Timestamp } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";

import {
  AlertCountSchema,
  AlertSchema,
  type Alert,
  type AlertFilter as AlertFilterMessage,
  type AlertService,
  type TailAlertsResponseSchema,
} from "#proto/fleet/v1/alert";

import { pageSize, pageToken, parsePageToken } from "../domain/page.ts";
import type { Permission } from "../domain/permission.ts";
import { priorityNumber, priorityWord } from "../domain/priority.ts";
import { accept, invalid, type Outcome } from "../domain/refusal.ts";
import type { Scope } from "../domain/scope.ts";
import { createTailPlace } from "../domain/tail-place.ts";
import type { Signal } from "../sessions/signal.ts";
import {
  alertGroupings,
  countAlerts,
  lastArrival,
  listAlerts,
  listArrivals,
  type AlertFilter,
  type AlertPosition,
  type StoredAlert,
} from "../store/alerts.ts";
import type { Db } from "../store/pool.ts";
import { scopeOf } from "./caller.ts";
import { eitherEnd, sayWhyEnded, type Until } from "./leaving.ts";
import { fromSelector } from "./messages.ts";
import { orRefuse } from "./refusals.ts";

export const alertPermissions = {
  listAlerts: "alert:read",
  tailAlerts: "alert:read",
  getAlertStats: "alert:read",
} satisfies Record<keyof (typeof AlertService)["method"], Permission>;

export interface AlertServiceOptions {
  readonly db: Db;
  /** Rings when alerts were stored by this server. */
  readonly arrivals: Signal;
  readonly clock: () => Date;
  /** Aborted when the server drains: tails end then. */
  readonly leaving: AbortSignal;
}

export function alertService(options: AlertServiceOptions): ServiceImpl<typeof AlertService> {
  const { db, leaving } = options;
  return {
    async listAlerts(request, context) {
      const filter = orRefuse(fromFilter(scopeOf(context), request.filter));
      const before = orRefuse(parsePlace(request.pageToken));
      const size = pageSize(request.pageSize);
      const found = await listAlerts(db, filter, size + 1, before);
      const shown = found.slice(0, size);
      const last = found.length > size ? shown.at(-1) : undefined;
      return {
        alerts: shown.map(toAlert),
        nextPageToken: last === undefined ? "" : pageToken(`${last.timeUs}:${last.id}:${last.clusterId}`),
      };
    },
    tailAlerts(request, context) {
      const filter = orRefuse(fromFilter(scopeOf(context), request.filter));
      return tail(options, filter, { caller: context.signal, leaving });
    },
    async getAlertStats(request, context) {
      const filter = orRefuse(fromFilter(scopeOf(context), request.filter));
      const by = alertGroupings.find((each) => each === request.by);
      if (by === undefined) return orRefuse(invalid("by", `is none of ${alertGroupings.join(", ")}`));
      const counts = await countAlerts(db, filter, by);
      return {
        counts: counts.map(({ value, count, lastUs }) =>
          create(AlertCountSchema, {
            value: by === "priority" ? priorityWord(Number(value)) : value,
            count,
            lastAt: fromUs(lastUs),
          }),
        ),
        total: counts.reduce((sum, { count }) => sum + count, 0n),
      };
    },
  };
}

const tailBatch = 200;
const lookMs = 1_000;

/** Alerts as they arrive on whatever server, each once. Ends as unavailable when the server drains. */
async function* tail(
  { db, arrivals, clock }: AlertServiceOptions,
  filter: AlertFilter,
  until: Until,
): AsyncGenerator<MessageInitShape<typeof TailAlertsResponseSchema>> {
  const signal = eitherEnd(until);
  const place = createTailPlace(await lastArrival(db));
  while (!signal.aborted) {
    const rung = arrivals.wait(lookMs, signal);
    const nowMs = clock().getTime();
    // Asked for before the alerts, so that everything up to it is among them.
    const last = await lastArrival(db);
    // What was told already is skipped here and not in the query, so a look has to be able to see past it.
    const found = await listArrivals(db, filter, place.after, tailBatch + place.toldCount);
    const fresh = found.filter((alert) => !place.isTold(alert.arrival));
    if (fresh.length > 0) yield { alerts: fresh.map(toAlert) };
    const isAll = found.length < tailBatch + place.toldCount;
    place.advance(
      fresh.map((alert) => alert.arrival),
      isAll ? last : (found.at(-1)?.arrival ?? place.after),
      nowMs,
    );
    if (isAll) await rung;
  }
  sayWhyEnded(until);
}

function fromFilter(scope: Scope, message: AlertFilterMessage | undefined): Outcome<AlertFilter> {
  const selector = fromSelector("filter.selector", message?.selector);
  if (!selector.ok) return selector;
  const rules = message?.rules ?? [];
  if (rules.length > 100) {
    return invalid("filter.rules", `names ${rules.length} rules; at most 100 are allowed`);
  }
  const word = message?.minPriority ?? "";
  const priorityMax = word === "" ? undefined : priorityNumber(word);
  if (word !== "" && priorityMax === undefined) {
    return invalid(
      "filter.min_priority",
      `"${word.slice(0, 40)}" is none of Falco's priorities, for example Warning`,
    );
  }
  const [since, until] = [message?.since, message?.until].map(toUs);
  return accept({
    scope,
    selector: selector.value,
    rules,
    ...(priorityMax === undefined ? {} : { priorityMax }),
    ...(since === undefined ? {} : { sinceUs: since }),
    ...(until === undefined ? {} : { untilUs: until }),
  });
}

function parsePlace(token: string): Outcome<AlertPosition | undefined> {
  const text = parsePageToken(token);
  if (!text.ok) return text;
  if (text.value === "") return accept(undefined);
  const match = /^(\d{1,18}):([0-9a-f]{64}):(cl_[0-9a-z]{1,32})$/.exec(text.value);
  if (match === null) {
    return invalid("page_token", "was not made by this server: leave it empty to begin at the first page");
  }
  return accept({ timeUs: BigInt(match[1] ?? ""), id: match[2] ?? "", clusterId: match[3] ?? "" });
}

function toAlert(alert: StoredAlert): Alert {
  return create(AlertSchema, {
    id: alert.id,
    clusterId: alert.clusterId,
    clusterName: alert.clusterName,
    rule: alert.rule,
    priority: priorityWord(alert.priority),
    source: alert.source,
    time: fromUs(alert.timeUs),
    receivedAt: fromUs(alert.receivedUs),
    output: alert.output,
    body: alert.body,
    auditId: alert.auditId,
    tags: [...alert.tags],
    rulesDigest: alert.rulesDigest,
  });
}

function fromUs(us: bigint): Timestamp {
  const timestamp = timestampFromMs(0);
  return { ...timestamp, seconds: us / 1_000_000n, nanos: Number(us % 1_000_000n) * 1000 };
}

/** Before 1970 and after 9999 nothing happened: the nearest end stands for it. */
function toUs(timestamp: Timestamp | undefined): bigint | undefined {
  if (timestamp === undefined) return undefined;
  if (timestamp.seconds < 0n) return 0n;
  const seconds = timestamp.seconds > 253_402_300_799n ? 253_402_300_799n : timestamp.seconds;
  return seconds * 1_000_000n + BigInt(Math.trunc(timestamp.nanos / 1000));
}
