import { sql, type SQL } from "./drizzle.ts";

import type { Digest } from "../domain/ids.ts";
import type { ComponentName } from "../domain/component.ts";
import { numbersParam, param } from "./assignments.ts";
import type { Db } from "./pool.ts";
import type { StoredCondition } from "./schema.ts";
import { sessionHolds } from "./sessions.ts";

/** A state report whose signature was checked, in bounds. */
export interface Report {
  readonly observedGeneration: bigint;
  readonly components: readonly ReportedComponent[];
  readonly attempts: readonly ReportedAttempt[];
  readonly conditions: readonly StoredCondition[];
  /** Pins of the CAs that the agent trusts. */
  readonly trustedCas: readonly string[];
  /** The head of the audit log that the agent carries: an encoded Envelope. */
  readonly auditHead?: Uint8Array;
}

export interface ReportedComponent {
  readonly kind: ComponentName;
  readonly runningDigest?: Digest;
  readonly runningSince?: Date;
}

export interface ReportedAttempt {
  readonly kind: ComponentName;
  readonly digest: Digest;
  readonly generation: bigint;
  readonly at: Date;
  readonly phase: string;
  readonly reason: string;
  readonly detail: string;
  readonly logTail: string;
}

/** Of each agent and kind so many attempts are kept; more than are ever shown. */
export const attemptsKept = 100;

/** Forgets attempts beyond those that are kept, so that an agent that flaps does not fill the database. */
export async function removeOldAttempts(db: Db): Promise<number> {
  const gone = await db.execute(sql`
    delete from attempts t using (
      select agent_id, kind, at, phase,
        row_number() over (partition by agent_id, kind order by generation desc, at desc) as rank from attempts
    ) old
    where old.rank > ${attemptsKept} and t.agent_id = old.agent_id and t.kind = old.kind and t.at = old.at
      and t.phase = old.phase`);
  return gone.rowCount ?? 0;
}

/** A report with the session in which it was given. */
export interface GivenReport {
  readonly agentId: string;
  readonly sessionId: string;
  readonly epoch: bigint;
  readonly report: Report;
}

/**
 * Stores what some agents prove, each at most once, in one statement, so that all of it or nothing is there. Rows that would
 * stay the same are not written. Answers with the agents whose session holds; of those whose session was taken over by a
 * newer one nothing was stored.
 */
export async function storeReports(
  db: Db,
  given: readonly GivenReport[],
  now: Date,
): Promise<ReadonlySet<string>> {
  if (given.length === 0) return new Set();
  const at = sql`${now.toISOString()}::timestamptz`;
  const { rows } = await db.execute<{ id: string }>(sql`
    with given as (
      select * from unnest(${texts(given, ({ agentId }) => agentId)}, ${texts(given, ({ sessionId }) => sessionId)},
        ${numbers(given, ({ epoch }) => epoch)}, ${numbers(given, ({ report }) => report.observedGeneration)},
        ${texts(given, ({ report }) => JSON.stringify(report.conditions))},
        ${texts(given, ({ report }) => JSON.stringify(report.trustedCas))},
        ${texts(given, ({ report }) => hexOf(report.auditHead))}
      ) as x (id, session_id, epoch, observed, conditions, cas, head)
    ), held as (
      -- One order for everybody, so that servers that write about the same agents do not lock each other out.
      select g.id from agents g join given x on g.id = x.id
      where ${sessionHolds} order by g.id for no key update of g
    ), fence as (
      update agents g set observed_generation = x.observed, conditions = x.conditions::jsonb, last_seen_at = ${at},
        trusted_cas = array(select jsonb_array_elements_text(x.cas::jsonb)),
        audit_head = coalesce(decode(x.head, 'hex'), g.audit_head)
      from given x join held on held.id = x.id where g.id = x.id
      returning g.id, x.observed
    ), proved as (${upsertProofs(given, at)}), tried as (${insertAttempts(given)}), gone as (${removeGone(given)})
    select id from fence`);
  return new Set(rows.map(({ id }) => id));
}

function upsertProofs(given: readonly GivenReport[], at: SQL): SQL {
  const all = given.flatMap(({ agentId, report }) => report.components.map((each) => ({ agentId, ...each })));
  return sql`
    insert into agent_components as c (agent_id, kind, running_digest, running_since, proved_generation, proved_at)
    select fence.id, x.kind, x.digest, x.since::timestamptz,
      case when x.digest is null then null else fence.observed end,
      case when x.digest is null then null else ${at} end
    from fence join unnest(${texts(all, ({ agentId }) => agentId)}, ${texts(all, ({ kind }) => kind)},
      ${texts(all, ({ runningDigest }) => runningDigest ?? null)},
      ${texts(all, ({ runningSince }) => runningSince?.toISOString() ?? null)}
    ) as x (id, kind, digest, since) on x.id = fence.id
    where ${isKnown}
    on conflict (agent_id, kind) do update set
      running_digest = excluded.running_digest, running_since = excluded.running_since,
      proved_generation = excluded.proved_generation, proved_at = excluded.proved_at
    where (c.running_digest, c.running_since, c.proved_generation)
      is distinct from (excluded.running_digest, excluded.running_since, excluded.proved_generation)`;
}

/** Layers of whatever name would fill the database: those count that somebody released once. */
const isKnown = sql`(x.kind in ('rules', 'shipper')
  or exists (select 1 from trust_metadata m where m.role = 'layer-' || substr(x.kind, 7)))`;

/** A layer of which an agent says nothing any more is not there. */
function removeGone(given: readonly GivenReport[]): SQL {
  const all = given.flatMap(({ agentId, report }) => report.components.map((each) => ({ agentId, ...each })));
  return sql`
    delete from agent_components c using fence
    where c.agent_id = fence.id and c.kind like 'layer/%' and not exists (
      select 1 from unnest(${texts(all, ({ agentId }) => agentId)}, ${texts(all, ({ kind }) => kind)}) as x (id, kind)
      where x.id = c.agent_id and x.kind = c.kind)`;
}

function insertAttempts(given: readonly GivenReport[]): SQL {
  const all = given.flatMap(({ agentId, report }) => report.attempts.map((each) => ({ agentId, ...each })));
  return sql`
    insert into attempts (agent_id, kind, digest, generation, at, phase, reason, detail, log_tail)
    select fence.id, x.kind, x.digest, x.generation, x.at::timestamptz, x.phase, x.reason, x.detail, x.log_tail
    from fence join unnest(${texts(all, ({ agentId }) => agentId)}, ${texts(all, ({ kind }) => kind)},
      ${texts(all, ({ digest }) => digest)}, ${numbers(all, ({ generation }) => generation)},
      ${texts(all, (attempt) => attempt.at.toISOString())}, ${texts(all, ({ phase }) => phase)},
      ${texts(all, ({ reason }) => reason)}, ${texts(all, ({ detail }) => detail)},
      ${texts(all, ({ logTail }) => logTail)}
    ) as x (id, kind, digest, generation, at, phase, reason, detail, log_tail) on x.id = fence.id
    where ${isKnown}
    on conflict do nothing`;
}

function texts<T>(all: readonly T[], of: (each: T) => string | null): SQL {
  return sql`${param(all.map(of))}::text[]`;
}

function numbers<T>(all: readonly T[], of: (each: T) => bigint): SQL {
  return sql`${numbersParam(all.map(of))}::bigint[]`;
}

function hexOf(bytes: Uint8Array | undefined): string | null {
  return bytes === undefined ? null : Buffer.from(bytes).toString("hex");
}
