import type { PolicyRule } from "./policy.ts";

const stages = ["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"];
const lists = [
  "users",
  "userGroups",
  "verbs",
  "namespaces",
  "nonResourceURLs",
  "resources",
  "omitStages",
] as const;

/** Why kube-apiserver would not start with a policy that has this rule; undefined when it would. */
export function faultOf(rule: PolicyRule, levels: readonly string[]): string | undefined {
  if (typeof rule !== "object" || rule === null) return "is no rule";
  if (!levels.includes(rule.level)) {
    return `has the level "${rule.level}"; levels are ${levels.join(", ")}`;
  }
  const odd = lists.find((key) => rule[key] !== undefined && rule[key] !== null && !Array.isArray(rule[key]));
  if (odd !== undefined) return `has ${odd} that are no list`;
  return faultOfUrls(rule) ?? faultOfResources(rule) ?? faultOfStages(rule.omitStages);
}

function faultOfUrls({ nonResourceURLs, resources, namespaces }: PolicyRule): string | undefined {
  const urls = nonResourceURLs ?? [];
  if (urls.length === 0) return undefined;
  if ((resources ?? []).length > 0 || (namespaces ?? []).length > 0) {
    return "has nonResourceURLs beside resources or namespaces; a rule is about the one or the other";
  }
  const odd = urls.find((url) => url !== "*" && !/^\/[^*]*\*?$/.test(url));
  return odd === undefined
    ? undefined
    : `has the nonResourceURL "${odd}"; they begin with / and have * at their end alone`;
}

function faultOfResources({ resources }: PolicyRule): string | undefined {
  for (const each of resources ?? []) {
    if (typeof each !== "object" || each === null) return "has resources that are no list of groups";
    const { group = "", resources: named, resourceNames } = each;
    if ([named ?? [], resourceNames ?? []].some((list) => !Array.isArray(list))) {
      return "has resources or resourceNames in a group that are no list";
    }
    if (!/^[a-z0-9.-]*$/.test(group)) return `has the group "${group}", which no API group is called`;
    if ((resourceNames ?? []).length > 0 && (named ?? []).length === 0) {
      return "has resourceNames without resources";
    }
  }
  return undefined;
}

/** Also for the whole policy. */
export function faultOfStages(omitStages: readonly string[] | undefined): string | undefined {
  const odd = (omitStages ?? []).find((stage) => !stages.includes(stage));
  return odd === undefined ? undefined : `omits the stage "${odd}"; stages are ${stages.join(", ")}`;
}
