import { uidProblems } from "./enrollment.ts";
import { nameProblems, parseLabels, withName } from "./labels.ts";
import { parseNetwork } from "./network.ts";
import { isRole, roles, type Role } from "./permission.ts";
import { accept, refuse, type Outcome, type Problem } from "./refusal.ts";
import { inScope, narrow, scopeText, type Scope } from "./scope.ts";

const minuteSeconds = 60;
const daySeconds = 86_400;
const joinTtl = { fallback: 3_600, max: 30 * daySeconds };
const apiTtl = { fallback: 30 * daySeconds, max: 366 * daySeconds };
const usesMax = 10_000;
const tokenNamePattern = /^[A-Za-z0-9][A-Za-z0-9 ._@+-]{0,62}$/;

export interface JoinTokenWish {
  readonly labels: Readonly<Record<string, string>>;
  /** Null when any cluster may use it. */
  readonly clusterName: string | null;
  readonly clusterUid: string | null;
  /** The network that agents have to come from. */
  readonly cidr: string | null;
  readonly ttlMs: number;
  readonly usesMax: number;
}

/** Fills in the defaults of a join token and refuses what is out of bounds, every bad field at once. */
export function parseJoinTokenRequest(raw: {
  readonly labels: Readonly<Record<string, string>>;
  readonly clusterName: string;
  readonly clusterUid: string;
  readonly cidr: string;
  readonly ttlSeconds: number;
  readonly uses: number;
}): Outcome<JoinTokenWish> {
  const labels = parseLabels("labels", raw.labels);
  const problems: Problem[] =
    labels.ok || labels.refusal.kind !== "invalid" ? [] : [...labels.refusal.problems];
  if (raw.clusterName !== "") problems.push(...nameProblems("cluster_name", raw.clusterName));
  if (raw.clusterUid !== "") problems.push(...uidProblems(raw.clusterUid));
  if (raw.cidr !== "" && parseNetwork(raw.cidr) === undefined) {
    const why = `"${raw.cidr.slice(0, 80)}" is no network, such as 10.20.0.0/16 or 2001:db8::/32, without bits beyond its own`;
    problems.push({ field: "cidr", why });
  }
  if (raw.uses > usesMax) problems.push({ field: "uses", why: `is ${raw.uses}; 1 to ${usesMax} is allowed` });
  const ttlSeconds = raw.ttlSeconds === 0 ? joinTtl.fallback : raw.ttlSeconds;
  problems.push(...ttlProblems(ttlSeconds, joinTtl.max));
  if (problems.length > 0) return refuse({ kind: "invalid", problems });
  return accept({
    labels: raw.labels,
    clusterName: raw.clusterName === "" ? null : raw.clusterName,
    clusterUid: raw.clusterUid === "" ? null : raw.clusterUid,
    cidr: raw.cidr === "" ? null : raw.cidr,
    ttlMs: ttlSeconds * 1000,
    usesMax: raw.uses === 0 ? 1 : raw.uses,
  });
}

/**
 * Whether somebody may make a join token: what it admits has to exist for him. The cluster is known by name only when the
 * token is for one name.
 */
export function judgeJoinScope(
  scope: Scope,
  wish: Pick<JoinTokenWish, "labels" | "clusterName">,
): Outcome<true> {
  const labels = wish.clusterName === null ? wish.labels : withName(wish.labels, wish.clusterName);
  if (inScope(scope, labels)) return accept(true);
  const why = `The labels are outside your scope, which is ${scopeText(scope)}: a cluster that joined by them would not exist for you`;
  return refuse({ kind: "forbidden", why });
}

export interface ApiTokenWish {
  readonly name: string;
  readonly role: Role;
  readonly scope: Scope;
  readonly ttlMs: number;
}

/**
 * Fills in the defaults of an API token and refuses what is out of bounds, every bad field at once. Its scope is never
 * wider than `holder`, that of whoever makes it.
 */
export function parseApiTokenRequest(
  raw: { readonly name: string; readonly role: string; readonly ttlSeconds: number },
  wanted: Outcome<Scope>,
  holder: Scope,
): Outcome<ApiTokenWish> {
  const problems: Problem[] = [];
  if (!tokenNamePattern.test(raw.name)) {
    problems.push({
      field: "name",
      why: `"${raw.name.slice(0, 80)}" is no name of 1 to 63 plain characters`,
    });
  }
  const ttlSeconds = raw.ttlSeconds === 0 ? apiTtl.fallback : raw.ttlSeconds;
  problems.push(...ttlProblems(ttlSeconds, apiTtl.max));
  const scope = wanted.ok ? narrow(holder, wanted.value) : wanted;
  if (!scope.ok && scope.refusal.kind === "invalid") problems.push(...scope.refusal.problems);
  if (!isRole(raw.role)) {
    problems.push({ field: "role", why: `"${raw.role.slice(0, 80)}" is none of ${roles.join(", ")}` });
    return refuse({ kind: "invalid", problems });
  }
  if (problems.length > 0) return refuse({ kind: "invalid", problems });
  if (!scope.ok) return scope;
  return accept({ name: raw.name, role: raw.role, scope: scope.value, ttlMs: ttlSeconds * 1000 });
}

function ttlProblems(seconds: number, max: number): readonly Problem[] {
  if (seconds >= minuteSeconds && seconds <= max) return [];
  return [
    {
      field: "ttl_seconds",
      why: `is ${seconds}; ${minuteSeconds} (a minute) to ${max} (${max / daySeconds} days) is allowed`,
    },
  ];
}
