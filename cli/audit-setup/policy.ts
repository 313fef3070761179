import { parse } from "yaml";

import { misused } from "../failure.ts";
import { faultOf, faultOfStages } from "./policy-fault.ts";

/** How much of a request the API server writes. Each level holds what those before it hold. */
export const levels = ["None", "Metadata", "Request", "RequestResponse"] as const;
export type Level = (typeof levels)[number];

/** A rule of an audit policy (audit.k8s.io/v1); what is left out matches everything. */
export interface PolicyRule {
  readonly level: Level;
  readonly users?: readonly string[];
  readonly userGroups?: readonly string[];
  readonly verbs?: readonly string[];
  readonly namespaces?: readonly string[];
  readonly nonResourceURLs?: readonly string[];
  readonly resources?: readonly GroupResources[];
  readonly omitStages?: readonly string[];
  /** As the policy says if not given. */
  readonly omitManagedFields?: boolean;
}

export interface GroupResources {
  readonly group?: string;
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
}

export interface AuditPolicy {
  readonly omitStages?: readonly string[];
  readonly omitManagedFields?: boolean;
  readonly rules: readonly PolicyRule[];
}

/** Reads a policy. Throws a failure that names the file when it is none, or when kube-apiserver would not start with it. */
export function parseAuditPolicy(text: string, name: string): AuditPolicy {
  const policy = readYaml(text, name) as Partial<
    AuditPolicy & Readonly<Record<"apiVersion" | "kind", string>>
  >;
  const { omitStages, omitManagedFields } = policy;
  const rules = policy.kind === "Policy" && Array.isArray(policy.rules) ? policy.rules : [];
  if (policy.apiVersion !== "audit.k8s.io/v1" || rules.length === 0) {
    throw misused(
      `${name} is no audit policy that kube-apiserver starts with`,
      "It needs apiVersion: audit.k8s.io/v1, kind: Policy and at least one rule.",
    );
  }
  const all = [
    ...rules.map((rule, index) => [`Rule ${index + 1} of ${name}`, faultOf(rule, levels)] as const),
    [name, faultOfStages(omitStages)] as const,
  ];
  const [first] = all.filter(([, fault]) => fault !== undefined);
  if (first !== undefined) {
    throw misused(`${first[0]} ${first[1]}`, "kube-apiserver would not start with it: mend the file.");
  }
  return { omitStages: omitStages ?? [], omitManagedFields: omitManagedFields ?? false, rules };
}

function readYaml(text: string, name: string): object {
  try {
    const value: unknown = parse(text);
    return typeof value === "object" && value !== null ? value : {};
  } catch (error) {
    throw misused(`${name} is no YAML: ${(error as Error).message}`, "Give an audit policy.");
  }
}

/** What of a request a policy looks at. */
export interface RequestAttributes {
  readonly user: string;
  readonly groups: readonly string[];
  readonly verb: string;
  /** The path, for requests that are about no resource. */
  readonly path: string;
  readonly resource?: {
    readonly group: string;
    readonly resource: string;
    readonly subresource: string;
    readonly namespace: string;
    readonly name: string;
  };
}

/**
 * The rule that decides over a request, by its place in the policy: the first that matches, as in kube-apiserver
 * (https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/). Nothing when none does: then nothing is written.
 */
export function decidingRule(policy: AuditPolicy, request: RequestAttributes): number | undefined {
  const index = policy.rules.findIndex((rule) => matches(rule, request));
  return index < 0 ? undefined : index;
}

function matches(rule: PolicyRule, request: RequestAttributes): boolean {
  if (isGiven(rule.users) && !rule.users.includes(request.user)) return false;
  if (isGiven(rule.userGroups) && !rule.userGroups.some((group) => request.groups.includes(group))) {
    return false;
  }
  if (isGiven(rule.verbs) && !rule.verbs.includes(request.verb)) return false;
  if (isGiven(rule.namespaces) || isGiven(rule.resources)) return matchesResource(rule, request);
  if (isGiven(rule.nonResourceURLs)) {
    return (
      request.resource === undefined && rule.nonResourceURLs.some((url) => matchesPath(url, request.path))
    );
  }
  return true;
}

function matchesResource(rule: PolicyRule, { resource: asked }: RequestAttributes): boolean {
  if (asked === undefined) return false;
  if (isGiven(rule.namespaces) && !rule.namespaces.includes(asked.namespace)) return false;
  if (!isGiven(rule.resources)) return true;
  return rule.resources.some(
    ({ group = "", resources, resourceNames }) =>
      group === asked.group &&
      (!isGiven(resources) ||
        ((!isGiven(resourceNames) || resourceNames.includes(asked.name)) &&
          resources.some((pattern) => matchesName(pattern, asked)))),
  );
}

/** `pods` is without its subresources, `pods/*` with them, `* /status` is one of every resource, `*` is all. */
function matchesName(
  pattern: string,
  { resource, subresource }: { resource: string; subresource: string },
): boolean {
  if (pattern === "*") return true;
  if (pattern === (subresource === "" ? resource : `${resource}/${subresource}`)) return true;
  if (pattern.startsWith("*/")) return subresource !== "" && pattern.slice(2) === subresource;
  return pattern.endsWith("/*") && pattern.slice(0, -2) === resource;
}

function matchesPath(pattern: string, path: string): boolean {
  if (pattern === "*" || pattern === path) return true;
  return pattern.endsWith("*") && path.startsWith(pattern.slice(0, -1));
}

function isGiven<T>(list: readonly T[] | undefined): list is readonly T[] {
  return list !== undefined && list.length > 0;
}
