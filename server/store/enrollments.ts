import { and, eq, inArray, lt, or, sql } from "drizzle-orm";

import {
  judgeBounds,
  judgeJoinToken,
  judgeNamesakes,
  judgeReach,
  type Applicant,
  type KnownCluster,
  type Namesakes,
} from "../domain/enrollment.ts";
import type { AgentId, ClusterId, Digest, RolloutId } from "../domain/ids.ts";
import { inherit, type Precedent } from "../domain/inherit.ts";
import { withName } from "../domain/labels.ts";
import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import type { RolloutSpec } from "../domain/rollout-spec.ts";
import { isSecret } from "../secrets.ts";
import type { AuditNote } from "./audit-entries.ts";
import { notifyChanged } from "./notify.ts";
import { uniqueViolation, type Database, type Db, type Transaction } from "./pool.ts";
import {
  agents,
  assignments,
  bundles,
  clusters,
  enrollments,
  joinTokens,
  nextChange,
  rollouts,
  trustMetadata,
  type Labels,
} from "./schema.ts";

/** Everything about one enrolment that is known before the store is asked. */
export interface Application {
  readonly applicant: Applicant;
  /** Where the call comes from. */
  readonly address: string;
  readonly token: { readonly id: string; readonly secret: string };
  /** SHA-256 of the key in the certificate request: a repeated request is known by it. */
  readonly keyHash: Uint8Array;
  /** For the records that are made; unused when the records exist already. */
  readonly fresh: { readonly clusterId: ClusterId; readonly agentId: AgentId };
  readonly now: Date;
}

/** Makes the certificate for the identity that was decided. Refuses when the request is no good. */
export type Certify = (identity: {
  readonly clusterId: ClusterId;
  readonly agentId: AgentId;
}) => Promise<Outcome<Certified>>;

export interface Certified {
  /** Pin of the CA that issued it. */
  readonly ca: string;
  readonly publicKey: Uint8Array;
  readonly serial: string;
  readonly expiresAt: Date;
}

export interface Enrolled<C extends Certified> {
  readonly clusterId: ClusterId;
  readonly agentId: AgentId;
  readonly labels: Labels;
  readonly certified: C;
}

/** Carries a refusal out of a transaction, so that everything in it is undone. */
class Undo extends Error {
  readonly refusal: Outcome<never>;
  constructor(refusal: Outcome<never>) {
    super("The transaction is undone");
    this.refusal = refusal;
  }
}

/**
 * One enrolment, all or nothing: counts the token's use, makes or finds cluster and agent, and gives a new cluster its
 * first assignment. The token's row is locked, so that a token with one use admits exactly one key however many come at
 * once; the same key again is answered again without another use.
 */
export async function enroll<C extends Certified>(
  db: Database,
  application: Application,
  certify: (identity: { clusterId: ClusterId; agentId: AgentId }) => Promise<Outcome<C>>,
  note: AuditNote,
): Promise<Outcome<Enrolled<C>>> {
  try {
    return await db.transaction(async (tx) => {
      const done = await enrollIn(tx, application, certify);
      if (!done.ok) throw new Undo(done);
      await note(tx, noteOf(application, done.value));
      return done;
    });
  } catch (error) {
    if (error instanceof Undo) return error.refusal;
    // Two agents of a new cluster with different tokens: the loser finds the winner's cluster when it tries again.
    const taken = uniqueViolation(error);
    if (taken === undefined) throw error;
    return refuse({
      kind: "unavailable",
      why: "Another agent of this cluster is enrolling right now: try again",
    });
  }
}

/** Which key of which machine was let in, as what. */
function noteOf({ applicant, keyHash }: Application, { clusterId, agentId, certified }: Enrolled<Certified>) {
  const { clusterName: cluster, clusterUid: cluster_uid, agentName: agent } = applicant;
  const key = `sha256:${Buffer.from(keyHash).toString("hex")}`;
  const { serial } = certified;
  return {
    target: agentId,
    request: { cluster, cluster_uid, cluster_id: clusterId, agent, key, serial },
  };
}

async function enrollIn<C extends Certified>(
  tx: Transaction,
  application: Application,
  certify: (identity: { clusterId: ClusterId; agentId: AgentId }) => Promise<Outcome<C>>,
): Promise<Outcome<Enrolled<C>>> {
  const { applicant, token: credential, fresh, now } = application;
  const [token] = await tx.select().from(joinTokens).where(eq(joinTokens.id, credential.id)).for("update");
  // The same words for both, so that ids cannot be told apart from outside.
  if (token === undefined || !isSecret(credential.secret, token.secretHash)) {
    const why = `The join token ${credential.id} is not known here, or its secret is wrong`;
    return refuse({ kind: "unauthenticated", why });
  }
  const again = await findRepeated(tx, application);
  const admitted = judgeToken(token, application, again !== undefined);
  if (!admitted.ok) return admitted;
  // First, so that a token learns nothing of clusters that it does not reach.
  const reach = await judgeAllReach(tx, applicant, token);
  if (!reach.ok) return reach;
  const known = judgeNamesakes(applicant, await findNamesakes(tx, applicant));
  if (!known.ok) return known;
  const cluster = known.value ?? (await insertCluster(tx, application, token.labels));
  const clusterId = cluster.id as ClusterId;
  const before = await findAgent(tx, clusterId, applicant.agentName);
  if (before !== undefined && before.revokedAt !== null && token.createdAt <= before.revokedAt) {
    // The token may be on the disk that was stolen with the agent.
    const why = `The agent "${applicant.agentName}" was revoked after the join token ${token.id} was made: ask for a new one`;
    return refuse({ kind: "precondition", why });
  }
  const agentId = again ?? before?.id ?? fresh.agentId;
  const certified = await certify({ clusterId, agentId });
  if (!certified.ok) return certified;
  await putAgent(tx, application, { clusterId, agentId }, certified.value);
  if (before !== undefined && before.revokedAt !== null) await touchCluster(tx, clusterId);
  if (again === undefined) {
    await tx
      .update(joinTokens)
      .set({ uses: sql`${joinTokens.uses} + 1` })
      .where(eq(joinTokens.id, token.id));
    await tx
      .insert(enrollments)
      .values({ tokenId: token.id, keyHash: application.keyHash, agentId, at: now });
  }
  const [row] = await tx.select({ labels: clusters.labels }).from(clusters).where(eq(clusters.id, clusterId));
  return accept({ clusterId, agentId, labels: row?.labels ?? token.labels, certified: certified.value });
}

/** Whether a token admits an applicant, or admits it again after a lost answer. */
function judgeToken(
  token: typeof joinTokens.$inferSelect,
  { applicant, address, now }: Application,
  isRepeated: boolean,
): Outcome<true> {
  const bounds = {
    id: token.id,
    ...(token.clusterName === null ? {} : { clusterName: token.clusterName }),
    ...(token.clusterUid === null ? {} : { clusterUid: token.clusterUid }),
    ...(token.cidr === null ? {} : { cidr: token.cidr }),
  };
  if (isRepeated && token.revokedAt !== null) {
    // Who revokes a token wants nobody to come in by it any more, also not those who have its answer.
    const why = `The join token ${token.id} was revoked: ask for a new one`;
    return refuse({ kind: "unauthenticated", why });
  }
  if (isRepeated) return judgeBounds(bounds, applicant, address);
  const state = {
    ...bounds,
    uses: token.uses,
    usesMax: token.usesMax,
    expiresAtMs: token.expiresAt.getTime(),
    isRevoked: token.revokedAt !== null,
  };
  return judgeJoinToken(state, applicant, address, now.getTime());
}

/** The agent that this key got from this token before, if it did. */
async function findRepeated(
  tx: Transaction,
  { token, keyHash, applicant }: Application,
): Promise<AgentId | undefined> {
  const [row] = await tx
    .select({ agentId: enrollments.agentId })
    .from(enrollments)
    .innerJoin(agents, eq(agents.id, enrollments.agentId))
    .innerJoin(clusters, eq(clusters.id, agents.clusterId))
    .where(
      and(
        eq(enrollments.tokenId, token.id),
        eq(enrollments.keyHash, keyHash),
        eq(agents.name, applicant.agentName),
        eq(clusters.uid, applicant.clusterUid),
      ),
    );
  return row?.agentId as AgentId | undefined;
}

async function findNamesakes(tx: Transaction, applicant: Applicant): Promise<Namesakes> {
  const rows = await tx
    .select()
    .from(clusters)
    .where(or(eq(clusters.name, applicant.clusterName), eq(clusters.uid, applicant.clusterUid)));
  const toKnown = (row: (typeof rows)[number] | undefined): KnownCluster | undefined =>
    row === undefined
      ? undefined
      : { id: row.id, name: row.name, uid: row.uid, isRetired: row.retiredAt !== null };
  const byName = toKnown(rows.find((row) => row.name === applicant.clusterName));
  const byUid = toKnown(rows.find((row) => row.uid === applicant.clusterUid));
  return { ...(byName === undefined ? {} : { byName }), ...(byUid === undefined ? {} : { byUid }) };
}

/** The clusters that the applicant could be, or the one that it would become. */
async function judgeAllReach(
  tx: Transaction,
  { clusterName, clusterUid }: Applicant,
  token: typeof joinTokens.$inferSelect,
): Promise<Outcome<true>> {
  const rows = await tx
    .select({ labels: clusters.labels })
    .from(clusters)
    .where(or(eq(clusters.name, clusterName), eq(clusters.uid, clusterUid)));
  const all = rows.length > 0 ? rows : [{ labels: withName(token.labels, clusterName) }];
  const judged = all.map(({ labels }) => judgeReach(token.id, token.scope, labels));
  return judged.find((each) => !each.ok) ?? accept(true);
}

async function insertCluster(
  tx: Transaction,
  application: Application,
  labels: Labels,
): Promise<{ readonly id: string }> {
  const { applicant, fresh, now } = application;
  const { clusterName: name, clusterUid: uid } = applicant;
  const named = withName(labels, name);
  await tx.insert(clusters).values({ id: fresh.clusterId, name, uid, labels: named, createdAt: now });
  const inherited = inherit(await listPrecedents(tx), named);
  await tx.insert(assignments).values({
    clusterId: fresh.clusterId,
    generation: inherited.rules === undefined && inherited.shipper === undefined ? 0n : 1n,
    rulesDigest: inherited.rules?.digest ?? null,
    shipperDigest: inherited.shipper?.digest ?? null,
    changedAt: now,
  });
  await notifyChanged(tx);
  return { id: fresh.clusterId };
}

/** Every rollout that a newcomer could follow. */
async function listPrecedents(tx: Transaction): Promise<readonly Precedent[]> {
  const listed = sql<boolean>`${bundles.targetsVersion} = (select max(${trustMetadata.version}) from ${trustMetadata} where ${trustMetadata.role} = 'targets')`;
  const rows = await tx
    .select({
      id: rollouts.id,
      kind: rollouts.kind,
      digest: rollouts.digest,
      spec: rollouts.spec,
      state: rollouts.state,
      createdAt: rollouts.createdAt,
      isListed: listed,
    })
    .from(rollouts)
    .innerJoin(bundles, eq(bundles.digest, rollouts.digest))
    .where(inArray(rollouts.state, ["succeeded", "running"]));
  return rows.map((row) => ({
    id: row.id as RolloutId,
    kind: row.kind,
    digest: row.digest as Digest,
    selector: (row.spec as RolloutSpec).selector,
    state: row.state,
    createdAtMs: row.createdAt.getTime(),
    isListed: row.isListed,
  }));
}

async function findAgent(
  tx: Transaction,
  clusterId: ClusterId,
  name: string,
): Promise<{ readonly id: AgentId; readonly revokedAt: Date | null } | undefined> {
  const [row] = await tx
    .select({ id: agents.id, revokedAt: agents.revokedAt })
    .from(agents)
    .where(and(eq(agents.clusterId, clusterId), eq(agents.name, name)));
  return row === undefined ? undefined : { ...row, id: row.id as AgentId };
}

/** Servers remember who was revoked until they hear that the cluster changed. */
async function touchCluster(tx: Transaction, clusterId: ClusterId): Promise<void> {
  await tx.update(clusters).set({ changed: nextChange() }).where(eq(clusters.id, clusterId));
  await notifyChanged(tx);
}

/** Enrolling again under the same name replaces the key: the machine was set up anew. A revoked agent is let back in. */
async function putAgent(
  tx: Transaction,
  { applicant, now }: Application,
  { clusterId, agentId }: { readonly clusterId: ClusterId; readonly agentId: AgentId },
  certified: Certified,
): Promise<void> {
  const identity = {
    publicKey: certified.publicKey,
    certificateSerial: certified.serial,
    certificateExpiresAt: certified.expiresAt,
    certificateCa: certified.ca,
    version: applicant.agentVersion,
    revokedAt: null,
    // A new identity has no past.
    trustedCas: [],
    instanceId: "",
    earlierInstances: [],
    starts: 0n,
    suspicions: [],
  };
  await tx
    .insert(agents)
    .values({ id: agentId, clusterId, name: applicant.agentName, createdAt: now, ...identity })
    .onConflictDoUpdate({ target: agents.id, set: identity });
}

/** Join tokens nobody can use any more, with the record of their uses. Answers with how many went. */
export async function removeSpentTokens(db: Db, expiredBefore: Date): Promise<number> {
  const old = db
    .select({ id: joinTokens.id })
    .from(joinTokens)
    .where(lt(joinTokens.expiresAt, expiredBefore));
  await db.delete(enrollments).where(inArray(enrollments.tokenId, old));
  const gone = await db.delete(joinTokens).where(lt(joinTokens.expiresAt, expiredBefore));
  return gone.rowCount ?? 0;
}
