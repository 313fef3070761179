import { sql, type SQL } from "./drizzle.ts";

import { judgeBegins, withBegin, type SessionBegin } from "../domain/flapping.ts";
import {
  freshSuspicions,
  judgeInstance,
  noteSuspicion,
  type JudgedInstance,
  type Suspicion,
} from "../domain/instance.ts";
import { isSilent } from "../domain/liveness.ts";
import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import { param } from "./assignments.ts";
import type { Db } from "./pool.ts";
import type { StoredSuspicion } from "./schema.ts";
import type { Lease } from "./sessions.ts";

/** What an agent says of itself at the beginning of a session. */
export interface Claim {
  readonly agentId: string;
  readonly sessionId: string;
  /** The run of the server that it begins at. */
  readonly serverRun: string;
  readonly transport: "stream" | "long-poll";
  readonly clusterUid: string;
  readonly sequence: bigint;
  readonly version: string;
  readonly engineVersion: string;
  readonly capabilities: readonly string[];
  /** The process that speaks, and how often the agent was started as it says. */
  readonly instanceId: string;
  readonly starts: bigint;
  /** Whether it begins because the agent has a new certificate. */
  readonly isRenewal: boolean;
}

/** The lease of a session that has just begun. */
export interface NewLease extends Lease {
  /** Whether the agent knows of layers that teams own, and did not when it said hello before. */
  readonly isAbler: boolean;
  /** What is odd about the process that got it, or about how often sessions begin. */
  readonly suspicions: readonly Suspicion[];
}

/**
 * Makes each of these sessions the only one that may write for its agent; each agent is among them once. A newer session takes
 * over by raising the epoch; a session that says hello again keeps its epoch. Answers in the order of the claims.
 *
 * Refuses when the agent was revoked, when the cluster that speaks is not the one that was enrolled, and when a copy
 * speaks while the agent does: then somebody has a copy of the identity, which is noted for people to see.
 */
export async function claimSessions(
  db: Db,
  claims: readonly Claim[],
  now: Date,
): Promise<readonly Outcome<NewLease>[]> {
  const outcomes = new Map<string, Outcome<NewLease>>();
  const triesMax = 5;
  for (let tries = 1; outcomes.size < claims.length && tries <= triesMax; tries += 1) {
    const open = claims.filter(({ agentId }) => !outcomes.has(agentId));
    const known = await findClaimed(db, open);
    const admitted: Admitted[] = [];
    for (const claim of open) {
      const before = known.get(claim.agentId);
      const judged = before && judgeClaim(before, claim, now);
      if (before === undefined || judged === undefined) outcomes.set(claim.agentId, revoked);
      else if (judged.isAdmitted) admitted.push(admit(claim, before, judged, now));
      else {
        await note(db, claim.agentId, before, judged.suspicion, now);
        const why = judged.suspicion?.message ?? "";
        outcomes.set(claim.agentId, refuse({ kind: "precondition", why }));
      }
    }
    for (const [id, lease] of await takeOver(db, admitted, now)) outcomes.set(id, accept(lease));
  }
  return claims.map(({ agentId }) => outcomes.get(agentId) ?? tooMany);
}

const revoked = refuse({
  kind: "forbidden",
  why: "The identity of this agent was revoked: enrol again with a new join token",
});

const tooMany = refuse({
  kind: "unavailable",
  why: "Other sessions of this agent begin right now: try again",
});

interface Claimed {
  readonly uid: string;
  readonly cluster: string;
  readonly agent: string;
  readonly epoch: bigint;
  readonly sessionId: string | null;
  /** The run of the server that held its session last. */
  readonly heldBy: string;
  readonly isOpen: boolean;
  readonly heardMs: number;
  readonly instanceId: string;
  readonly earlier: readonly string[];
  readonly starts: bigint;
  readonly suspicions: readonly StoredSuspicion[];
  readonly begins: readonly SessionBegin[];
  readonly capabilities: readonly string[];
}

interface Admitted {
  readonly claim: Claim;
  readonly before: Claimed;
  readonly known: JudgedInstance["known"];
  readonly begins: readonly SessionBegin[];
  readonly suspicions: readonly Suspicion[];
}

function admit(claim: Claim, before: Claimed, { known, suspicion }: JudgedInstance, now: Date): Admitted {
  // A session that says hello again goes on, and one for a new certificate is meant to begin.
  const isBeginning = before.sessionId !== claim.sessionId && !claim.isRenewal;
  const begin: SessionBegin = {
    atMs: now.getTime(),
    at: now.toISOString(),
    isOtherProcess: before.instanceId !== claim.instanceId,
    transport: claim.transport,
    lostBy: before.heldBy,
    heldBy: claim.serverRun,
  };
  const begins = isBeginning ? withBegin(before.begins, begin) : before.begins;
  const flapping = isBeginning ? judgeBegins(begins) : undefined;
  const suspicions = [suspicion, flapping].filter((each) => each !== undefined);
  return { claim, before, known, begins, suspicions };
}

async function findClaimed(db: Db, claims: readonly Claim[]): Promise<ReadonlyMap<string, Claimed>> {
  const { rows } = await db.execute<Record<string, unknown> & ClaimedText>(sql`
    select g.id, c.uid, c.name as cluster, g.name as agent, g.session_epoch::text as epoch, g.session_id as "sessionId",
      coalesce(g.server_id, '') as "heldBy",
      g.connected_at is not null and (g.disconnected_at is null or g.disconnected_at < g.connected_at) as "isOpen",
      coalesce(extract(epoch from g.last_seen_at) * 1000, 0)::float8 as "heardMs",
      g.instance_id as "instanceId", g.earlier_instances as earlier, g.starts::text as starts, g.suspicions, g.capabilities,
      g.session_begins as begins
    from agents g join clusters c on c.id = g.cluster_id
    where g.id = any(${param(claims.map(({ agentId }) => agentId))}::text[]) and g.revoked_at is null and c.retired_at is null`);
  return new Map(
    rows.map((row) => [row.id, { ...row, epoch: BigInt(row.epoch), starts: BigInt(row.starts) }]),
  );
}

type ClaimedText = Omit<Claimed, "epoch" | "starts"> & {
  readonly id: string;
  readonly epoch: string;
  readonly starts: string;
};

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

/** Takes over for all of them in one statement; those are missing where another session was faster. */
async function takeOver(
  db: Db,
  admitted: readonly Admitted[],
  now: Date,
): Promise<ReadonlyMap<string, NewLease>> {
  if (admitted.length === 0) return new Map();
  const at = sql`${now.toISOString()}::timestamptz`;
  const { rows } = await db.execute<{ id: string; epoch: string; observed: string }>(sql`
    with given as (${givenOf(admitted, now)}), held as (
      -- In the order in which reports are stored, so that neither waits for the other.
      select g.id from agents g join given x on g.id = x.id and g.session_epoch = x.epoch
        and g.session_id is not distinct from x.held
      where g.revoked_at is null order by g.id for no key update of g
    )
    update agents g set
      session_epoch = x.epoch + case when x.held = x.session then 0 else 1 end,
      connected_at = case when x.held = x.session then g.connected_at else ${at} end,
      session_id = x.session, session_sequence = x.sequence, transport = x.transport, server_id = x.server,
      version = x.version, engine_version = x.engine, disconnected_at = null, left_at = null, last_seen_at = ${at},
      capabilities = x.capabilities, instance_id = x.instance, earlier_instances = x.earlier, starts = x.starts,
      suspicions = coalesce(x.suspicions, g.suspicions), session_begins = x.begins
    from given x join held on held.id = x.id where g.id = x.id
    returning g.id, g.session_epoch as epoch, g.observed_generation as observed`);
  const written = new Map(rows.map((row) => [row.id, row]));
  return new Map(
    admitted.flatMap(({ claim, before, suspicions }) => {
      const row = written.get(claim.agentId);
      if (row === undefined) return [];
      const { capabilities } = claim;
      const lease = {
        epoch: BigInt(row.epoch),
        observedGeneration: BigInt(row.observed),
        capabilities,
        isAbler: capabilities.includes("layers") && !before.capabilities.includes("layers"),
        suspicions,
      };
      return [[claim.agentId, lease]];
    }),
  );
}

/** As rows of a query. Numbers are texts on the way, because JSON has none of 64 bits. */
function givenOf(admitted: readonly Admitted[], now: Date): SQL {
  const given = admitted.map(({ claim, before, known, begins, suspicions }) => ({
    id: claim.agentId,
    epoch: String(before.epoch),
    held: before.sessionId,
    session: claim.sessionId,
    sequence: String(claim.sequence),
    transport: claim.transport,
    server: claim.serverRun,
    version: claim.version,
    engine: claim.engineVersion,
    capabilities: claim.capabilities,
    instance: known.instanceId,
    earlier: known.earlier,
    starts: String(known.starts),
    suspicions: noteAll(before, suspicions, now),
    begins,
  }));
  return sql`
    select * from jsonb_to_recordset(${JSON.stringify(given)}::jsonb) as x (id text, epoch bigint, held text, session text,
      sequence bigint, transport text, server text, version text, engine text, capabilities text[], instance text,
      earlier text[], starts bigint, suspicions jsonb, begins jsonb)`;
}

/** What still counts, with these; undefined when that is what stands there. */
function noteAll(before: Claimed, suspicions: readonly Suspicion[], now: Date) {
  const fresh = freshSuspicions(before.suspicions, now.getTime());
  return suspicions.reduce<readonly StoredSuspicion[] | undefined>(
    (noted, each) => noteSuspicion(noted ?? fresh, each, momentOf(now)) ?? noted,
    fresh.length < before.suspicions.length ? fresh : undefined,
  );
}

function momentOf(now: Date) {
  return { text: now.toISOString(), ms: now.getTime() };
}

async function note(
  db: Db,
  agentId: string,
  before: Claimed,
  suspicion: Suspicion | undefined,
  now: Date,
): Promise<void> {
  const noted = noteAll(before, suspicion === undefined ? [] : [suspicion], now);
  if (noted === undefined) return;
  await db.execute(sql`update agents set suspicions = ${JSON.stringify(noted)}::jsonb where id = ${agentId}`);
}
