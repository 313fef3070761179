import { accept, refuse, type Outcome, type Problem } from "./refusal.ts";

export const labelsMax = 64;

// As in Kubernetes, so that labels may be taken over from there; a value is never empty, because "" enriches nothing.
const keyPattern = /^([a-z0-9]([a-z0-9.-]{0,60}[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const valuePattern = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const namePattern = /^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/;

/** 1 to 63 letters, digits, ".", "_" and "-", as in Kubernetes. */
export function isLabelValue(value: string): boolean {
  return valuePattern.test(value);
}

/** Checks labels, every bad one at once. `region` has to be there: waves go region by region. */
export function parseLabels(
  field: string,
  labels: Readonly<Record<string, string>>,
): Outcome<Readonly<Record<string, string>>> {
  const entries = Object.entries(labels);
  const problems = entries.flatMap(([key, value]) => labelProblems(field, key, value));
  if (entries.length > labelsMax) {
    problems.push({ field, why: `holds ${entries.length} labels; at most ${labelsMax} are allowed` });
  }
  if (!Object.hasOwn(labels, "region")) {
    problems.push({ field, why: "needs a region, for example region=eu" });
  }
  return problems.length > 0 ? refuse({ kind: "invalid", problems }) : accept(labels);
}

function labelProblems(field: string, key: string, value: string): Problem[] {
  const problems: Problem[] = [];
  if (key.length > 63 || !keyPattern.test(key)) {
    problems.push({ field, why: `"${key.slice(0, 80)}" is no label key` });
  }
  if (key === nameLabel) {
    problems.push({ field, why: '"cluster" is the name of the cluster and cannot be set' });
  }
  if (!valuePattern.test(value)) {
    const why = `"${key.slice(0, 80)}" has the value "${value.slice(0, 80)}", which is no label value (1 to 63 letters, digits, ".", "_", "-")`;
    problems.push({ field, why });
  }
  return problems;
}

/** What `set` and `remove` make of a cluster's labels. Refuses as `parseLabels` does. */
export function relabel(
  before: Readonly<Record<string, string>>,
  set: Readonly<Record<string, string>>,
  remove: readonly string[],
): Outcome<Readonly<Record<string, string>>> {
  const both = remove.filter((key) => Object.hasOwn(set, key));
  if (both.length > 0) {
    const why = `"${both.join('", "').slice(0, 200)}" is set and removed at once`;
    return refuse({ kind: "invalid", problems: [{ field: "remove", why }] });
  }
  if (remove.includes(nameLabel)) {
    const why = '"cluster" is the name of the cluster and cannot be removed';
    return refuse({ kind: "invalid", problems: [{ field: "remove", why }] });
  }
  const kept = Object.entries(before).filter(([key]) => key !== nameLabel && !remove.includes(key));
  const parsed = parseLabels("labels", Object.fromEntries([...kept, ...Object.entries(set)]));
  const name = before[nameLabel];
  return parsed.ok && name !== undefined ? accept(withName(parsed.value, name)) : parsed;
}

/** The label that every cluster has from its name, so that selectors and layers can choose a single cluster. */
const nameLabel = "cluster";

/** The labels that a cluster of this name gets: those of its token, and its name. */
export function withName(
  labels: Readonly<Record<string, string>>,
  name: string,
): Readonly<Record<string, string>> {
  return { ...labels, [nameLabel]: name };
}

/** Names of clusters and agents: like a DNS name, 1 to 63 characters. */
export function nameProblems(field: string, name: string): readonly Problem[] {
  if (namePattern.test(name)) return [];
  const why = `"${name.slice(0, 80)}" is no name of 1 to 63 lower-case letters, digits, dots and dashes`;
  return [{ field, why }];
}
