import { and, eq, inArray, lt, or } from "./drizzle.ts";

import {
  judgeNamesakes,
  judgeReach,
  type Applicant,
  type KnownCluster,
  type Namesakes,
} from "../domain/enrollment.ts";
import { layerOf } from "../domain/component.ts";
import type { AgentId, ClusterId, Digest, RolloutId } from "../domain/ids.ts";
import { inherit, type Precedent } from "../domain/inherit.ts";
import { withName } from "../domain/labels.ts";
import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import type { RolloutSpec } from "../domain/rollout-spec.ts";
import type { Admission, Admit, Application } from "./admission.ts";
import type { AuditNote } from "./audit-entries.ts";
import { isListed } from "./listed.ts";
import { notifyChanged } from "./notify.ts";
import { uniqueViolation, type Database, type Db, type Transaction } from "./pool.ts";
import {
  agents,
  assignmentLayers,
  assignments,
  bundles,
  clusters,
  enrollments,
  joinTokens,
  rollouts,
  type Labels,
} from "./schema.ts";
import { nextChange } from "./columns.ts";

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
 * One enrolment, all or nothing: writes down what admitted it, makes or finds cluster and agent, and gives a new cluster
 * its first assignment.
 */
export async function enroll<C extends Certified>(
  db: Database,
  application: Application,
  admit: Admit,
  certify: (identity: { clusterId: ClusterId; agentId: AgentId }) => Promise<Outcome<C>>,
  note: AuditNote,
): Promise<Outcome<Enrolled<C>>> {
  try {
    return await db.transaction(async (tx) => {
      const done = await enrollIn(tx, application, admit, certify);
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
function noteOf(
  { applicant, keyHash, bearer }: Application,
  { clusterId, agentId, certified }: Enrolled<Certified>,
) {
  const { clusterName: cluster, clusterUid: cluster_uid, agentName: agent } = applicant;
  const key = `sha256:${Buffer.from(keyHash).toString("hex")}`;
  const { serial } = certified;
  return {
    target: agentId,
    request: { cluster, cluster_uid, cluster_id: clusterId, agent, key, serial, ...bearer },
  };
}

async function enrollIn<C extends Certified>(
  tx: Transaction,
  application: Application,
  admit: Admit,
  certify: (identity: { clusterId: ClusterId; agentId: AgentId }) => Promise<Outcome<C>>,
): Promise<Outcome<Enrolled<C>>> {
  const { applicant, fresh } = application;
  const admitted = await admit(tx, application);
  if (!admitted.ok) return admitted;
  const admission = admitted.value;
  // First, so that a token learns nothing of clusters that it does not reach.
  const reach = await judgeAllReach(tx, applicant, admission);
  if (!reach.ok) return reach;
  const known = judgeNamesakes(applicant, await findNamesakes(tx, applicant));
  if (!known.ok) return known;
  const cluster = known.value ?? (await insertCluster(tx, application, admission.labels));
  const clusterId = cluster.id as ClusterId;
  const before = await findAgent(tx, clusterId, applicant.agentName);
  const revokedAt = before?.revokedAt ?? undefined;
  if (revokedAt !== undefined && admission.madeAt <= revokedAt) {
    // A token may be on the disk that was stolen with the agent, and its node gets service-account tokens for ever.
    const why = `The agent "${applicant.agentName}" was revoked after the ${admission.what} was made: ask for a new one`;
    return refuse({ kind: "precondition", why });
  }
  const agentId = admission.again ?? before?.id ?? fresh.agentId;
  const certified = await certify({ clusterId, agentId });
  if (!certified.ok) return certified;
  await putAgent(tx, application, { clusterId, agentId }, certified.value);
  if (revokedAt !== undefined) await touchCluster(tx, clusterId);
  const used = await admission.use(agentId, clusterId);
  if (!used.ok) return used;
  const [row] = await tx.select({ labels: clusters.labels }).from(clusters).where(eq(clusters.id, clusterId));
  return accept({ clusterId, agentId, labels: row?.labels ?? admission.labels, certified: certified.value });
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
  { what, labels: given, scope }: Admission,
): Promise<Outcome<true>> {
  const rows = await tx
    .select({ labels: clusters.labels })
    .from(clusters)
    .where(or(eq(clusters.name, clusterName), eq(clusters.uid, clusterUid)));
  const all = rows.length > 0 ? rows : [{ labels: withName(given, clusterName) }];
  const judged = all.map(({ labels }) => judgeReach(what, scope, labels));
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
  if (inherited.layers.length > 0) {
    const { clusterId } = fresh;
    await tx
      .insert(assignmentLayers)
      .values(
        inherited.layers.map(({ kind, digest }) => ({ clusterId, layer: layerOf(kind) ?? "", digest })),
      );
  }
  await notifyChanged(tx);
  return { id: fresh.clusterId };
}

/** Every rollout that a newcomer could follow. */
async function listPrecedents(tx: Transaction): Promise<readonly Precedent[]> {
  const rows = await tx
    .select({
      id: rollouts.id,
      kind: rollouts.kind,
      digest: rollouts.digest,
      spec: rollouts.spec,
      state: rollouts.state,
      createdAt: rollouts.createdAt,
      isListed: isListed("bundles"),
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
    sessionBegins: [],
    leftAt: null,
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
