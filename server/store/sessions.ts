import { sql } from "./drizzle.ts";

import { param } from "./assignments.ts";
import type { Db } from "./pool.ts";

/** The right to write an agent's state: older epochs write nothing any more. */
export interface Lease {
  readonly epoch: bigint;
  readonly observedGeneration: bigint;
  /** What the agent can, as it said in the hello of the session. */
  readonly capabilities: readonly string[];
}

/**
 * Takes the next message of a session that speaks by long poll, on whatever server. Undefined when the session is
 * unknown or the sequence has a gap; the same message may come again after a lost answer.
 */
export async function advanceSession(
  db: Db,
  session: { readonly agentId: string; readonly sessionId: string; readonly serverRun: string },
  sequence: bigint,
  now: Date,
): Promise<Lease | undefined> {
  const { rows } = await db.execute<{ epoch: string; observed: string; capabilities: readonly string[] }>(sql`
    update agents set session_sequence = ${sequence}, server_id = ${session.serverRun},
      last_seen_at = ${now.toISOString()}::timestamptz, left_at = null
    where id = ${session.agentId} and session_id = ${session.sessionId} and revoked_at is null
      and session_sequence in (${sequence}::bigint - 1, ${sequence}::bigint)
    returning session_epoch as epoch, observed_generation as observed, capabilities`);
  const [row] = rows;
  if (row === undefined) return undefined;
  const { epoch, observed, capabilities } = row;
  return { epoch: BigInt(epoch), observedGeneration: BigInt(observed), capabilities };
}

/** One agent that was heard of. */
export interface Presence {
  readonly agentId: string;
  readonly sessionId: string;
  readonly epoch: bigint;
  readonly lastSeenAt: Date;
  /** The versions of trust metadata that it says it holds. */
  readonly trustVersions?: { readonly root: bigint; readonly targets: bigint } | undefined;
}

/**
 * Whether agent `g` is in the session of row `x` still. In a form that the planner has no statistics of: from three conditions it concludes
 * that of hundreds of agents none is left, and then compares what is to be written of each with that of every other.
 */
export const sessionHolds = sql`case when g.session_id = x.session_id and g.session_epoch = x.epoch
  and g.revoked_at is null then true else false end`;

/**
 * Writes who was heard of, in one statement for all. Answers with the agents whose session still holds; the others were
 * taken over by a newer session, or revoked.
 */
export async function flushPresence(db: Db, seen: readonly Presence[]): Promise<ReadonlySet<string>> {
  if (seen.length === 0) return new Set();
  const { rows } = await db.execute<{ id: string }>(sql`
    with seen as (
      select * from unnest(
        ${param(seen.map((each) => each.agentId))}::text[],
        ${param(seen.map((each) => each.sessionId))}::text[],
        ${param(seen.map((each) => String(each.epoch)))}::bigint[],
        ${param(seen.map((each) => each.lastSeenAt.toISOString()))}::timestamptz[],
        ${param(seen.map((each) => textOf(each.trustVersions?.root)))}::bigint[],
        ${param(seen.map((each) => textOf(each.trustVersions?.targets)))}::bigint[]
      ) as x (id, session_id, epoch, at, root, targets)
    ), held as (
      -- In the order in which reports are stored, so that neither waits for the other.
      select g.id from agents g join seen x on g.id = x.id
      where ${sessionHolds} order by g.id for no key update of g
    )
    update agents g set last_seen_at = greatest(g.last_seen_at, x.at),
      root_version = coalesce(x.root, g.root_version), targets_version = coalesce(x.targets, g.targets_version)
    from seen x join held on held.id = x.id where g.id = x.id
    returning g.id`);
  return new Set(rows.map((row) => row.id));
}

/** A version for the database, whose numbers end before those of the wire do: what is beyond them is no version of ours. */
function textOf(version: bigint | undefined): string | null {
  return version === undefined || version > 2n ** 63n - 1n ? null : String(version);
}

/** Notes that a session was lost, unless a newer one has begun. */
export async function endSession(db: Db, session: Omit<Presence, "lastSeenAt">, now: Date): Promise<void> {
  await db.execute(sql`
    update agents set disconnected_at = ${now.toISOString()}::timestamptz, transport = null
    where id = ${session.agentId} and session_id = ${session.sessionId} and session_epoch = ${session.epoch}`);
}

/**
 * Ends a session by the goodbye of its agent, which has left, unless another session has begun: one that comes late says nothing of
 * that. It was heard of with it, whatever presence still rests.
 */
export async function endByGoodbye(
  db: Db,
  { agentId, sessionId }: Pick<Presence, "agentId" | "sessionId">,
  now: Date,
): Promise<void> {
  const at = sql`${now.toISOString()}::timestamptz`;
  await db.execute(sql`
    update agents set disconnected_at = ${at}, transport = null, left_at = ${at}, last_seen_at = greatest(last_seen_at, ${at})
    where id = ${agentId} and session_id = ${sessionId}`);
}
