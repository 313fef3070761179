import { uidProblems, type Applicant } from "./enrollment.ts";
import { nameProblems, parseLabels, withName } from "./labels.ts";
import { accept, refuse, type Outcome, type Problem } from "./refusal.ts";
import { inScope, scopeText, type Scope } from "./scope.ts";

/** The service account of every agent; the namespace may be another than the usual one. */
const serviceAccount = "falconry-agent";
const usualNamespace = "falconry";
const namespacePattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const issuerCharsMax = 512;

/** A token that lives longer is no projected one: kubelets ask for an hour, and renew. */
const tokenLifeSecondsMax = 86_400;

/** How many agents a cluster has at most that joined by its issuer: more nodes run no kube-apiserver. */
export const issuerAgentsMax = 100;

/** What service-account tokens have to be for, so that one that was made for somebody else is of no use here. */
export function audienceOf(org: string): string {
  return `falconry:${org}`;
}

export interface IssuerWish {
  readonly clusterName: string;
  readonly clusterUid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly issuer: string;
  readonly subject: string;
}

/** Fills in the defaults and refuses what cannot be used, every bad field at once. The keys are read elsewhere. */
export function parseIssuerRequest(raw: {
  readonly clusterName: string;
  readonly clusterUid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly issuer: string;
  readonly namespace: string;
}): Outcome<IssuerWish> {
  const { clusterName, clusterUid, labels, issuer } = raw;
  const namespace = raw.namespace === "" ? usualNamespace : raw.namespace;
  const parsed = parseLabels("labels", labels);
  const problems: Problem[] = [
    ...nameProblems("cluster_name", clusterName),
    ...uidProblems(clusterUid),
    ...(parsed.ok || parsed.refusal.kind !== "invalid" ? [] : parsed.refusal.problems),
  ];
  // Kubernetes takes an URL, and older clusters say "kubernetes/serviceaccount".
  if (!/^[\x21-\x7e]+$/.test(issuer) || issuer.length > issuerCharsMax) {
    const why = `"${issuer.slice(0, 80)}" is no issuer of 1 to ${issuerCharsMax} printable characters, as tokens have it in iss`;
    problems.push({ field: "issuer", why });
  }
  if (!namespacePattern.test(namespace)) {
    problems.push({ field: "namespace", why: `"${namespace.slice(0, 80)}" is no name of a namespace` });
  }
  if (problems.length > 0) return refuse({ kind: "invalid", problems });
  const subject = `system:serviceaccount:${namespace}:${serviceAccount}`;
  return accept({ clusterName, clusterUid, labels, issuer, subject });
}

/** Whether somebody may trust an issuer: the cluster that joins by it has to exist for him. */
export function judgeIssuerScope(scope: Scope, { labels, clusterName }: IssuerWish): Outcome<true> {
  if (inScope(scope, withName(labels, clusterName))) return accept(true);
  const why = `The labels are outside your scope, which is ${scopeText(scope)}: a cluster that joined by them would not exist for you`;
  return refuse({ kind: "forbidden", why });
}

/** Where the pod runs whose token it is. */
export interface Bearer {
  readonly pod: string;
  /** Undefined before Kubernetes 1.30, which does not say it. */
  readonly node: string | undefined;
  /** When the token ends, in milliseconds since 1970. */
  readonly expiresAtMs: number;
}

type Claims = Readonly<Record<string, unknown>>;

/**
 * Whether a service-account token is of an agent's pod, and on the applicant's node. Its signature, issuer, audience and
 * times were checked before.
 */
export function judgeServiceAccount(
  claims: Claims,
  { subject, audience }: { readonly subject: string; readonly audience: string },
  { agentName }: Pick<Applicant, "agentName">,
): Outcome<Bearer> {
  const { sub, aud, exp, iat } = claims;
  if (sub !== subject) return no(`is of ${textOf(sub)}, and agents of this cluster are ${subject}`);
  // Whoever else it is for could use it here.
  if (Array.isArray(aud) && aud.length !== 1) return no(`is for others besides ${audience}`);
  if (typeof exp !== "number" || typeof iat !== "number" || exp - iat > tokenLifeSecondsMax) {
    return no(`lives for more than ${tokenLifeSecondsMax / 3600} h: use a projected token`);
  }
  const own = objectOf(claims["kubernetes.io"]);
  const [, , namespace, account] = subject.split(":");
  if (own["namespace"] !== namespace || objectOf(own["serviceaccount"])["name"] !== account) {
    return no("does not say in kubernetes.io what it says in sub");
  }
  const pod = objectOf(own["pod"])["name"];
  if (typeof pod !== "string" || pod === "" || pod.length > 253) {
    return no("is not bound to a pod: use a projected token, and not one of `kubectl create token`");
  }
  const node = objectOf(own["node"])["name"];
  if (node !== undefined && node !== agentName) {
    const why = `The service-account token is of a pod on node ${textOf(node)}, and this agent says that it is on "${agentName}"`;
    return refuse({ kind: "precondition", why });
  }
  return accept({ pod, node: node === undefined ? undefined : agentName, expiresAtMs: exp * 1000 });
}

/** Whether the applicant's cluster is the one that the issuer was registered for: a clone has the same keys. */
export function judgeIssuerCluster(
  { id, clusterUid }: { readonly id: string; readonly clusterUid: string },
  applicant: Pick<Applicant, "clusterName" | "clusterUid">,
): Outcome<true> {
  if (clusterUid === applicant.clusterUid) return accept(true);
  const { clusterName } = applicant;
  const why = `The issuer ${id} is of the cluster "${clusterName}" with UID ${clusterUid}, and this one has ${applicant.clusterUid}: a clone takes keys and a name of its own`;
  return refuse({ kind: "precondition", why });
}

/** A refusal of a service-account token. */
export function notTaken(why: string): Outcome<never> {
  return refuse({ kind: "unauthenticated", why: `The service-account token ${why}` });
}

const no = notTaken;

function objectOf(value: unknown): Claims {
  return typeof value === "object" && value !== null ? (value as Claims) : {};
}

function textOf(value: unknown): string {
  return typeof value === "string" ? `"${value.slice(0, 120)}"` : "nobody";
}
