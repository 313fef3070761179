import { sql } from "drizzle-orm";

import { judgeInstance, noteSuspicion, type JudgedInstance, type Suspicion } from "../domain/instance.ts";
import { isSilent } from "../domain/liveness.ts";
import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import { param } from "./assignments.ts";
import type { Db } from "./pool.ts";
import type { StoredSuspicion } from "./schema.ts";

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
  /** The process that speaks, and how often the agent was started as it says. */
  readonly instanceId: string;
  readonly starts: bigint;
}

/** The right to write an agent's state: older epochs write nothing any more. */
export interface Lease {
  readonly epoch: bigint;
  readonly observedGeneration: bigint;
  /** What is odd about the process that got it. */
  readonly suspicion?: Suspicion;
}

/**
 * Makes a session the only one that may write for its agent. A newer session takes over by raising the epoch; a session
 * that says hello again keeps its epoch.
 *
 * Refuses when the agent was revoked, when the cluster that speaks is not the one that was enrolled, and when a copy
 * speaks while the agent does: then somebody has a copy of the identity, which is noted for people to see.
 */
export async function claimSession(db: Db, claim: Claim, now: Date): Promise<Outcome<Lease>> {
  const triesMax = 5;
  for (let tries = 1; ; tries += 1) {
    const known = await findClaimed(db, claim.agentId);
    if (known === undefined) {
      return refuse({
        kind: "forbidden",
        why: "The identity of this agent was revoked: enrol again with a new join token",
      });
    }
    const judged = judgeClaim(known, claim, now);
    if (!judged.isAdmitted) {
      await note(db, claim.agentId, known, judged.suspicion, now);
      return refuse({ kind: "precondition", why: judged.suspicion?.message ?? "" });
    }
    const lease = await takeOver(db, claim, known, judged, now);
    if (lease !== undefined) return accept(lease);
    if (tries === triesMax) {
      return refuse({ kind: "unavailable", why: "Other sessions of this agent begin right now: try again" });
    }
  }
}

interface Claimed {
  readonly uid: string;
  readonly cluster: string;
  readonly agent: string;
  readonly epoch: bigint;
  readonly sessionId: string | null;
  readonly isOpen: boolean;
  readonly heardMs: number;
  readonly instanceId: string;
  readonly earlier: readonly string[];
  readonly starts: bigint;
  readonly suspicions: readonly StoredSuspicion[];
}

async function findClaimed(db: Db, agentId: string): Promise<Claimed | undefined> {
  const { rows } = await db.execute<Record<string, unknown> & ClaimedText>(sql`
    select c.uid, c.name as cluster, g.name as agent, g.session_epoch::text as epoch, g.session_id as "sessionId",
      g.connected_at is not null and (g.disconnected_at is null or g.disconnected_at < g.connected_at) as "isOpen",
      coalesce(extract(epoch from g.last_seen_at) * 1000, 0)::float8 as "heardMs",
      g.instance_id as "instanceId", g.earlier_instances as earlier, g.starts::text as starts, g.suspicions
    from agents g join clusters c on c.id = g.cluster_id
    where g.id = ${agentId} and g.revoked_at is null and c.retired_at is null`);
  const [row] = rows;
  return row === undefined ? undefined : { ...row, epoch: BigInt(row.epoch), starts: BigInt(row.starts) };
}

type ClaimedText = Omit<Claimed, "epoch" | "starts"> & { readonly epoch: string; readonly starts: string };

function judgeClaim(known: Claimed, claim: Claim, now: Date): JudgedInstance {
  const { instanceId, earlier, starts } = known;
  if (known.uid !== claim.clusterUid) {
    const message =
      `The identity of agent "${known.agent}" belongs to cluster "${known.cluster}" with UID ${known.uid}, but a cluster with UID ` +
      `"${claim.clusterUid.slice(0, 80)}" uses it: it was copied. Enrol the other cluster with a join token of its own`;
    const suspicion = { code: "identity/copied" as const, message };
    return { isAdmitted: false, suspicion, known: { instanceId, earlier, starts } };
  }
  const isLive =
    known.isOpen && known.sessionId !== claim.sessionId && !isSilent(known.heardMs, now.getTime());
  return judgeInstance({ instanceId, earlier, starts, isLive }, claim);
}

/** Undefined when another session was faster. */
async function takeOver(
  db: Db,
  claim: Claim,
  before: Claimed,
  { known, suspicion }: JudgedInstance,
  now: Date,
): Promise<Lease | undefined> {
  const at = sql`${now.toISOString()}::timestamptz`;
  const isSame = before.sessionId === claim.sessionId;
  const suspicions =
    suspicion === undefined ? undefined : noteSuspicion(before.suspicions, suspicion, momentOf(now));
  const { rows } = await db.execute<{ epoch: string; observed: string }>(sql`
    update agents g set
      session_epoch = g.session_epoch + ${isSame ? 0 : 1}, connected_at = ${isSame ? sql`g.connected_at` : at},
      session_id = ${claim.sessionId}, session_sequence = ${claim.sequence}, transport = ${claim.transport},
      server_id = ${claim.serverId}, version = ${claim.version}, engine_version = ${claim.engineVersion},
      capabilities = ${param(claim.capabilities)}::text[], disconnected_at = null, last_seen_at = ${at},
      instance_id = ${known.instanceId}, earlier_instances = ${param(known.earlier)}::text[], starts = ${known.starts},
      suspicions = ${suspicions === undefined ? sql`g.suspicions` : sql`${JSON.stringify(suspicions)}::jsonb`}
    where g.id = ${claim.agentId} and g.session_epoch = ${before.epoch}
      and g.session_id is not distinct from ${before.sessionId}::text and g.revoked_at is null
    returning g.session_epoch as epoch, g.observed_generation as observed`);
  const [row] = rows;
  if (row === undefined) return undefined;
  const lease = { epoch: BigInt(row.epoch), observedGeneration: BigInt(row.observed) };
  return suspicion === undefined ? lease : { ...lease, suspicion };
}

function momentOf(now: Date) {
  return { text: now.toISOString(), ms: now.getTime() };
}

async function note(
  db: Db,
  agentId: string,
  { suspicions }: Claimed,
  suspicion: Suspicion | undefined,
  now: Date,
): Promise<void> {
  const noted = suspicion === undefined ? undefined : noteSuspicion(suspicions, suspicion, momentOf(now));
  if (noted === undefined) return;
  await db.execute(sql`update agents set suspicions = ${JSON.stringify(noted)}::jsonb where id = ${agentId}`);
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
      select g.id from agents g join seen x on g.id = x.id and g.session_id = x.session_id and g.session_epoch = x.epoch
      where g.revoked_at is null order by g.id for no key update of g
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

/** Notes that a session has ended, unless a newer one has begun. */
export async function endSession(db: Db, session: Omit<Presence, "lastSeenAt">, now: Date): Promise<void> {
  await db.execute(sql`
    update agents set disconnected_at = ${now.toISOString()}::timestamptz, transport = null
    where id = ${session.agentId} and session_id = ${session.sessionId} and session_epoch = ${session.epoch}`);
}
