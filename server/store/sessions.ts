import { sql } from "drizzle-orm";

import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import { param } from "./assignments.ts";
import type { Db } from "./pool.ts";

/** What an agent says of itself at the beginning of a session. */
export interface Claim {
  readonly agentId: string;
  readonly sessionId: string;
  readonly serverId: string;
  readonly transport: "stream" | "long-poll";
  readonly clusterUid: string;
  readonly sequence: bigint;
  readonly version: string;
  readonly engineVersion: string;
  readonly capabilities: readonly string[];
}

/** The right to write an agent's state: older epochs write nothing any more. */
export interface Lease {
  readonly epoch: bigint;
  readonly observedGeneration: bigint;
}

/**
 * Makes a session the only one that may write for its agent. A newer session takes over by raising the epoch; a session
 * that says hello again keeps its epoch.
 *
 * Refuses when the agent was revoked, and when the cluster that speaks is not the one that was enrolled: then somebody
 * has a copy of the identity.
 */
export async function claimSession(db: Db, claim: Claim, now: Date): Promise<Outcome<Lease>> {
  const at = sql`${now.toISOString()}::timestamptz`;
  const { rows } = await db.execute<{ epoch: string; observed: string }>(sql`
    update agents g set
      session_epoch = case when g.session_id = ${claim.sessionId} then g.session_epoch else g.session_epoch + 1 end,
      connected_at = case when g.session_id = ${claim.sessionId} then g.connected_at else ${at} end,
      session_id = ${claim.sessionId}, session_sequence = ${claim.sequence}, transport = ${claim.transport},
      server_id = ${claim.serverId}, version = ${claim.version}, engine_version = ${claim.engineVersion},
      capabilities = ${param(claim.capabilities)}::text[], disconnected_at = null, last_seen_at = ${at}
    from clusters c
    where g.id = ${claim.agentId} and c.id = g.cluster_id and c.uid = ${claim.clusterUid}
      and g.revoked_at is null and c.retired_at is null
    returning g.session_epoch as epoch, g.observed_generation as observed`);
  const [row] = rows;
  if (row !== undefined) {
    return accept({ epoch: BigInt(row.epoch), observedGeneration: BigInt(row.observed) });
  }
  return refuse({ kind: "forbidden", why: await whyNot(db, claim) });
}

async function whyNot(db: Db, claim: Claim): Promise<string> {
  const { rows } = await db.execute<{ uid: string; name: string; agent: string }>(sql`
    select c.uid, c.name, g.name as agent from agents g join clusters c on c.id = g.cluster_id
    where g.id = ${claim.agentId} and g.revoked_at is null and c.retired_at is null`);
  const [row] = rows;
  if (row === undefined) return "The identity of this agent was revoked: enrol again with a new join token";
  return (
    `The identity of agent "${row.agent}" belongs to cluster "${row.name}" with UID ${row.uid}, but a cluster with UID ` +
    `"${claim.clusterUid.slice(0, 80)}" uses it: it was copied. Enrol the other cluster with a join token of its own`
  );
}

/**
 * Takes the next message of a session that speaks by long poll, on whatever server. Undefined when the session is
 * unknown or the sequence has a gap; the same message may come again after a lost answer.
 */
export async function advanceSession(
  db: Db,
  session: { readonly agentId: string; readonly sessionId: string; readonly serverId: string },
  sequence: bigint,
  now: Date,
): Promise<Lease | undefined> {
  const { rows } = await db.execute<{ epoch: string; observed: string }>(sql`
    update agents set session_sequence = ${sequence}, server_id = ${session.serverId},
      last_seen_at = ${now.toISOString()}::timestamptz
    where id = ${session.agentId} and session_id = ${session.sessionId} and revoked_at is null
      and session_sequence in (${sequence}::bigint - 1, ${sequence}::bigint)
    returning session_epoch as epoch, observed_generation as observed`);
  const [row] = rows;
  return row === undefined
    ? undefined
    : { epoch: BigInt(row.epoch), observedGeneration: BigInt(row.observed) };
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
 * Writes who was heard of, in one statement for all. Answers with the agents whose session still holds; the others were
 * taken over by a newer session, or revoked.
 */
export async function flushPresence(db: Db, seen: readonly Presence[]): Promise<ReadonlySet<string>> {
  if (seen.length === 0) return new Set();
  const { rows } = await db.execute<{ id: string }>(sql`
    update agents g set last_seen_at = greatest(g.last_seen_at, x.at),
      root_version = coalesce(x.root, g.root_version), targets_version = coalesce(x.targets, g.targets_version)
    from unnest(
      ${param(seen.map((each) => each.agentId))}::text[],
      ${param(seen.map((each) => each.sessionId))}::text[],
      ${param(seen.map((each) => String(each.epoch)))}::bigint[],
      ${param(seen.map((each) => each.lastSeenAt.toISOString()))}::timestamptz[],
      ${param(seen.map((each) => textOf(each.trustVersions?.root)))}::bigint[],
      ${param(seen.map((each) => textOf(each.trustVersions?.targets)))}::bigint[]
    ) as x (id, session_id, epoch, at, root, targets)
    where g.id = x.id and g.session_id = x.session_id and g.session_epoch = x.epoch and g.revoked_at is null
    returning g.id`);
  return new Set(rows.map((row) => row.id));
}

/** A version for the database, whose numbers end before those of the wire do: what is beyond them is no version of ours. */
function textOf(version: bigint | undefined): string | null {
  return version === undefined || version > 2n ** 63n - 1n ? null : String(version);
}

/** Notes that a session has ended, unless a newer one has begun. */
export async function endSession(db: Db, session: Omit<Presence, "lastSeenAt">, now: Date): Promise<void> {
  await db.execute(sql`
    update agents set disconnected_at = ${now.toISOString()}::timestamptz, transport = null
    where id = ${session.agentId} and session_id = ${session.sessionId} and session_epoch = ${session.epoch}`);
}
