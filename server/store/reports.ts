import { sql } from "drizzle-orm";

import type { Digest } from "../domain/ids.ts";
import type { BundleKind } from "../domain/rollout-spec.ts";
import { param } from "./assignments.ts";
import type { Db } from "./pool.ts";
import type { StoredCondition } from "./schema.ts";

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
  readonly kind: BundleKind;
  readonly runningDigest?: Digest;
  readonly runningSince?: Date;
}

export interface ReportedAttempt {
  readonly kind: BundleKind;
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

/**
 * Stores what an agent proves, in one statement, so that all of it or nothing is there. Rows that would stay the same are
 * not written. False when the session was taken over by a newer one: then nothing was stored.
 */
export async function storeReport(
  db: Db,
  session: { readonly agentId: string; readonly sessionId: string; readonly epoch: bigint },
  report: Report,
  now: Date,
): Promise<boolean> {
  const { components, attempts } = report;
  const at = sql`${now.toISOString()}::timestamptz`;
  const carried = report.auditHead === undefined ? null : Buffer.from(report.auditHead);
  const { rows } = await db.execute(sql`
    with fence as (
      update agents set observed_generation = ${report.observedGeneration},
        conditions = ${JSON.stringify(report.conditions)}::jsonb, last_seen_at = ${at},
        trusted_cas = ${param(report.trustedCas)}::text[],
        audit_head = coalesce(${carried}::bytea, audit_head)
      where id = ${session.agentId} and session_id = ${session.sessionId} and session_epoch = ${session.epoch}
        and revoked_at is null
      returning id
    ), proved as (
      insert into agent_components as c (agent_id, kind, running_digest, running_since, proved_generation, proved_at)
      select fence.id, x.kind, x.digest, x.since,
        case when x.digest is null then null else ${report.observedGeneration}::bigint end,
        case when x.digest is null then null else ${at} end
      from fence, unnest(
        ${param(components.map((each) => each.kind))}::text[],
        ${param(components.map((each) => each.runningDigest ?? null))}::text[],
        ${param(components.map((each) => each.runningSince?.toISOString() ?? null))}::timestamptz[]
      ) as x (kind, digest, since)
      on conflict (agent_id, kind) do update set
        running_digest = excluded.running_digest, running_since = excluded.running_since,
        proved_generation = excluded.proved_generation, proved_at = excluded.proved_at
      where (c.running_digest, c.running_since, c.proved_generation)
        is distinct from (excluded.running_digest, excluded.running_since, excluded.proved_generation)
    ), tried as (
      insert into attempts (agent_id, kind, digest, generation, at, phase, reason, detail, log_tail)
      select fence.id, x.* from fence, unnest(
        ${param(attempts.map((each) => each.kind))}::text[],
        ${param(attempts.map((each) => each.digest))}::text[],
        ${param(attempts.map((each) => String(each.generation)))}::bigint[],
        ${param(attempts.map((each) => each.at.toISOString()))}::timestamptz[],
        ${param(attempts.map((each) => each.phase))}::text[],
        ${param(attempts.map((each) => each.reason))}::text[],
        ${param(attempts.map((each) => each.detail))}::text[],
        ${param(attempts.map((each) => each.logTail))}::text[]
      ) as x
      on conflict do nothing
    )
    select id from fence`);
  return rows.length > 0;
}
