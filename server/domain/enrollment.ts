import { nameProblems } from "./labels.ts";
import { isInNetwork, parseNetwork } from "./network.ts";
import { accept, refuse, type Outcome, type Problem } from "./refusal.ts";
import { inScope, type Scope } from "./scope.ts";
import { judgeToken } from "./secret.ts";

/** What an agent says of itself when it enrols; it decides nothing about labels or identity. */
export interface Applicant {
  readonly clusterName: string;
  readonly clusterUid: string;
  readonly agentName: string;
  readonly agentVersion: string;
}

/** A join token as stored. Times in milliseconds since 1970. */
export interface JoinTokenState {
  readonly id: string;
  readonly clusterName?: string;
  readonly clusterUid?: string;
  /** The network that an agent has to come from. */
  readonly cidr?: string;
  readonly uses: number;
  readonly usesMax: number;
  readonly expiresAtMs: number;
  readonly isRevoked: boolean;
}

/** The clusters that an applicant could be: by name, and by what it says it is. */
export interface Namesakes {
  readonly byName?: KnownCluster;
  readonly byUid?: KnownCluster;
}

export interface KnownCluster {
  readonly id: string;
  readonly name: string;
  readonly uid: string;
  readonly isRetired: boolean;
}

const uidPattern = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;

/** Checks what an applicant sent, every bad field at once. */
export function parseApplicant(raw: Applicant): Outcome<Applicant> {
  const problems: Problem[] = [
    ...nameProblems("cluster_name", raw.clusterName),
    ...nameProblems("agent_name", raw.agentName),
  ];
  problems.push(...uidProblems(raw.clusterUid));
  if (raw.agentVersion.length > 64) {
    problems.push({ field: "agent_version", why: "is longer than 64 characters" });
  }
  return problems.length > 0 ? refuse({ kind: "invalid", problems }) : accept(raw);
}

/** What is wrong with the UID of a cluster, if anything. */
export function uidProblems(uid: string): readonly Problem[] {
  if (uidPattern.test(uid)) return [];
  const why = `"${uid.slice(0, 80)}" is no UID of 1 to 128 letters, digits, ".", "_", ":" and "-"`;
  return [{ field: "cluster_uid", why }];
}

/** Whether a join token admits an applicant from an address now. Its secret was compared before. */
export function judgeJoinToken(
  token: JoinTokenState,
  applicant: Applicant,
  address: string,
  nowMs: number,
): Outcome<true> {
  const judged = judgeToken(`join token ${token.id}`, token, nowMs);
  if (!judged.ok) return judged;
  if (token.uses >= token.usesMax) {
    const why = `The join token ${token.id} is used up (${token.uses} of ${token.usesMax}): ask for a new one`;
    return refuse({ kind: "unauthenticated", why });
  }
  if (token.clusterName !== undefined && token.clusterName !== applicant.clusterName) {
    const why = `The join token ${token.id} is for the cluster "${token.clusterName}", not for "${applicant.clusterName}"`;
    return refuse({ kind: "precondition", why });
  }
  return judgeBounds(token, applicant, address);
}

/** What a token is bound to besides a name. Holds for a repeated request too: a stolen key does not widen it. */
export function judgeBounds(
  { id, clusterUid, cidr }: Pick<JoinTokenState, "id" | "clusterUid" | "cidr">,
  applicant: Applicant,
  address: string,
): Outcome<true> {
  if (clusterUid !== undefined && clusterUid !== applicant.clusterUid) {
    const why = `The join token ${id} is for the cluster with UID ${clusterUid}, not for ${applicant.clusterUid}`;
    return refuse({ kind: "precondition", why });
  }
  const network = cidr === undefined ? undefined : parseNetwork(cidr);
  if (cidr !== undefined && (network === undefined || !isInNetwork(network, address))) {
    const why = `The join token ${id} is for agents that come from ${cidr}; this call comes from ${address}`;
    return refuse({ kind: "precondition", why });
  }
  return accept(true);
}

/**
 * Whether a token or an issuer admits to the cluster with these labels, new or known. Its scope is that of whoever made
 * it, so that nobody gets an agent into a cluster that does not exist for him. Says nothing of the cluster.
 */
export function judgeReach(
  what: string,
  scope: Scope,
  labels: Readonly<Record<string, string>>,
): Outcome<true> {
  if (inScope(scope, labels)) return accept(true);
  const why = `The ${what} does not reach a cluster of this name and UID: take another name, or ask an admin of the whole fleet`;
  return refuse({ kind: "precondition", why });
}

/** Which cluster an applicant belongs to: a known one, or a new one when undefined. */
export function judgeNamesakes(
  applicant: Applicant,
  { byName, byUid }: Namesakes,
): Outcome<KnownCluster | undefined> {
  if (byName !== undefined && byName.uid !== applicant.clusterUid) {
    return refuse({
      kind: "precondition",
      why:
        `The name "${applicant.clusterName}" is taken by a cluster with UID ${byName.uid}; this one has ` +
        `${applicant.clusterUid}. Choose another name`,
    });
  }
  if (byUid !== undefined && byUid.name !== applicant.clusterName) {
    const why = `The cluster with UID ${applicant.clusterUid} is enrolled as "${byUid.name}": use that name`;
    return refuse({ kind: "precondition", why });
  }
  if (byName?.isRetired === true) {
    const why = `The cluster "${byName.name}" was retired; a retired cluster cannot come back under the same UID`;
    return refuse({ kind: "precondition", why });
  }
  return accept(byName);
}
