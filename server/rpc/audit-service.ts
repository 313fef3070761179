import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { EnvelopeSchema } from "#proto/agent/v1/agent";
import {
  AuditEntrySchema,
  type AuditEntry,
  type AuditFilter as AuditFilterMessage,
  type AuditHeadSchema,
  type AuditService,
  type ExportAuditResponseSchema,
} from "#proto/fleet/v1/audit";
import { readAuditEntry } from "#trust";

import { pageSize, pageToken, parsePageToken } from "../domain/page.ts";
import type { Permission } from "../domain/permission.ts";
import { accept, invalid, type Outcome } from "../domain/refusal.ts";
import { findAuditEnd, listAuditRows, searchAudit, type AuditFilter } from "../store/audit-entries.ts";
import {
  listAuditHeads,
  listCarriedHeads,
  type AuditHeadRow,
  type CarriedRow,
} from "../store/audit-heads.ts";
import { listRootsAfter } from "../store/metadata.ts";
import type { Db } from "../store/pool.ts";
import { fromTimestamp } from "./messages.ts";
import { orRefuse } from "./refusals.ts";

/** Every method names its permission here; one that does not fails to compile. */
export const auditPermissions = {
  listAudit: "audit:read",
  exportAudit: "audit:read",
} satisfies Record<keyof (typeof AuditService)["method"], Permission>;

export interface AuditServiceOptions {
  readonly db: Db;
  readonly org: string;
}

type ExportPart = MessageInitShape<typeof ExportAuditResponseSchema>;

const batch = 500;
/** The last second of the year 9999, since 1970. */
const secondsMax = 253_402_300_799n;
const valuesMax = 100;

export function auditService({ db, org }: AuditServiceOptions): ServiceImpl<typeof AuditService> {
  return {
    async listAudit(request) {
      const filter = orRefuse(fromFilter(request.filter));
      const before = orRefuse(parsePlace(request.pageToken));
      const size = pageSize(request.pageSize);
      const found = await searchAudit(db, org, filter, {
        size: size + 1,
        ...(before === undefined ? {} : { before }),
      });
      const shown = found.slice(0, size);
      const last = found.length > size ? shown.at(-1) : undefined;
      return {
        entries: shown.map(toEntry),
        nextPageToken: last === undefined ? "" : pageToken(String(last.sequence)),
      };
    },
    exportAudit: () => exportAll(db, org),
  };
}

/** Heads before rows: a row is there before any head of it is. */
async function* exportAll(db: Db, org: string): AsyncGenerator<ExportPart> {
  const roots = await listRootsAfter(db, 0n);
  yield { org, roots: roots.map(({ body }) => Uint8Array.from(body)) };
  for (let after: AuditHeadRow | undefined; ;) {
    const heads = await listAuditHeads(db, org, after, batch);
    if (heads.length > 0) yield { heads: heads.map(toHead) };
    after = heads.at(-1);
    if (heads.length < batch) break;
  }
  for (let after = ""; ;) {
    const carried = await listCarriedHeads(db, after, batch);
    if (carried.length > 0) yield { carried: carried.map(toCarried) };
    after = carried.at(-1)?.agentId ?? "";
    if (carried.length < batch) break;
  }
  const end = await findAuditEnd(db, org);
  if (end !== undefined) yield { end: { sequence: end.sequence, hash: Uint8Array.from(end.hash) } };
  for (let after = 0n; ;) {
    const rows = await listAuditRows(db, org, after, batch);
    if (rows.length > 0) yield { rows: rows.map(toRow) };
    after = BigInt(rows.at(-1)?.sequence ?? 0);
    if (rows.length < batch) break;
  }
}

function toHead({ payload, keyId, signature }: AuditHeadRow): MessageInitShape<typeof AuditHeadSchema> {
  return { payload: Uint8Array.from(payload), keyId, signature: Uint8Array.from(signature) };
}

/** What an agent said is not trusted to be an envelope; one that is none proves nothing, and is shown as empty. */
function toCarried({ cluster, agent, head }: CarriedRow) {
  const empty = { payload: new Uint8Array(), keyId: "", signature: new Uint8Array() };
  try {
    const { payload, signatures } = fromBinary(EnvelopeSchema, head);
    const [found] = signatures;
    if (found === undefined) return { cluster, agent, head: empty };
    const { keyId, signature } = found;
    return { cluster, agent, head: { payload, keyId, signature } };
  } catch {
    return { cluster, agent, head: empty };
  }
}

function toRow({ sequence, previous, body, hash }: Awaited<ReturnType<typeof listAuditRows>>[number]) {
  return {
    sequence: BigInt(sequence),
    previous: Uint8Array.from(previous),
    body,
    hash: Uint8Array.from(hash),
  };
}

/** An entry that cannot be read any more is shown as what it is, so that the list goes on around it. */
function toEntry(row: { readonly sequence: bigint; readonly body: string }): AuditEntry {
  const read = readAuditEntry(row.body);
  const { sequence } = row;
  if (!read.ok) {
    return create(AuditEntrySchema, { sequence, outcome: "unreadable", why: read.refusal.message });
  }
  const { time, server, actor, method, target, request, outcome, why } = read.value;
  const ms = Date.parse(time);
  return create(AuditEntrySchema, {
    sequence,
    ...(Number.isNaN(ms) ? {} : { time: timestampFromMs(ms) }),
    server,
    actor: { kind: actor.kind, id: actor.id, name: actor.name, role: actor.role },
    method,
    target,
    request: { ...request },
    outcome,
    why,
  });
}

function fromFilter(message: AuditFilterMessage | undefined): Outcome<AuditFilter> {
  const { actors = [], methods = [], targets = [], refused = false } = message ?? {};
  for (const [field, values] of Object.entries({ actors, methods, targets })) {
    if (values.length > valuesMax) {
      return invalid(`filter.${field}`, `names ${values.length}; at most ${valuesMax} are allowed`);
    }
  }
  for (const field of ["since", "until"] as const) {
    const seconds = message?.[field]?.seconds ?? 0n;
    if (seconds < 0n || seconds > secondsMax) {
      return invalid(`filter.${field}`, "is no time between the years 1970 and 9999");
    }
  }
  const [since, until] = [fromTimestamp(message?.since), fromTimestamp(message?.until)];
  return accept({
    actors,
    methods,
    targets,
    refused,
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
  });
}

function parsePlace(token: string): Outcome<bigint | undefined> {
  const text = parsePageToken(token);
  if (!text.ok) return text;
  if (text.value === "") return accept(undefined);
  if (/^\d{1,18}$/.test(text.value)) return accept(BigInt(text.value));
  return invalid("page_token", "was not made by this server: leave it empty to begin at the first page");
}
