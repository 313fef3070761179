import { accept, refuse, type Outcome, type Problem } from "./refusal.ts";

/** One term of a selector, in the sense of a Kubernetes label selector. */
export type Requirement =
  | { readonly key: string; readonly operator: "in" | "not-in"; readonly values: readonly string[] }
  | { readonly key: string; readonly operator: "exists" | "not-exists" };

/** Chooses clusters by label: all requirements must hold, and none chooses every cluster. */
export type Selector = readonly Requirement[];

/** A requirement as somebody sent it, before anything about it is known. */
export interface RawRequirement {
  readonly key: string;
  readonly operator: string;
  readonly values: readonly string[];
}

export const requirementsMax = 32;
export const valuesMax = 256;

const keyPattern = /^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const valuePattern = /^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/;

/**
 * Whether a cluster with these labels is chosen. As in Kubernetes, `not-in` also holds for a cluster without the label.
 */
export function matchesSelector(selector: Selector, labels: Readonly<Record<string, string>>): boolean {
  return selector.every((requirement) => holds(requirement, labels));
}

function holds(requirement: Requirement, labels: Readonly<Record<string, string>>): boolean {
  // Not `labels[key]` alone: a key such as "constructor" would find what every object inherits.
  const value = Object.hasOwn(labels, requirement.key) ? labels[requirement.key] : undefined;
  switch (requirement.operator) {
    case "in":
      return value !== undefined && requirement.values.includes(value);
    case "not-in":
      return value === undefined || !requirement.values.includes(value);
    case "exists":
      return value !== undefined;
    case "not-exists":
      return value === undefined;
  }
}

/** Reads a selector, or names every bad requirement at once. */
export function parseSelector(field: string, raw: readonly RawRequirement[]): Outcome<Selector> {
  if (raw.length > requirementsMax) {
    const why = `holds ${raw.length} requirements; at most ${requirementsMax} are allowed`;
    return refuse({ kind: "invalid", problems: [{ field, why }] });
  }
  const read = raw.map((each, i) => parseRequirement(`${field}[${i}]`, each));
  const problems = read.flatMap((each) => ("problems" in each ? each.problems : []));
  if (problems.length > 0) return refuse({ kind: "invalid", problems });
  return accept(read.flatMap((each) => ("requirement" in each ? [each.requirement] : [])));
}

type Read = { readonly requirement: Requirement } | { readonly problems: readonly Problem[] };

function parseRequirement(field: string, raw: RawRequirement): Read {
  const problems: Problem[] = [];
  if (raw.key.length > 320 || !keyPattern.test(raw.key)) {
    problems.push({ field, why: `"${raw.key.slice(0, 80)}" is no label key` });
  }
  const bad = raw.values.find((value) => !valuePattern.test(value));
  if (raw.values.length > valuesMax) {
    problems.push({ field, why: `lists ${raw.values.length} values; at most ${valuesMax} are allowed` });
  } else if (bad !== undefined) {
    problems.push({ field, why: `"${bad.slice(0, 80)}" is no label value` });
  }
  const requirement = ofOperator(raw);
  if (typeof requirement === "string") problems.push({ field, why: requirement });
  if (typeof requirement === "string" || problems.length > 0) return { problems };
  return { requirement };
}

function ofOperator(raw: RawRequirement): Requirement | string {
  switch (raw.operator) {
    case "in":
    case "not-in":
      if (raw.values.length === 0) return `"${raw.key}" needs at least one value to compare with`;
      return { key: raw.key, operator: raw.operator, values: raw.values };
    case "exists":
    case "not-exists":
      if (raw.values.length > 0) return `"${raw.key}" asks whether the label exists and takes no values`;
      return { key: raw.key, operator: raw.operator };
    default:
      return `"${raw.key}" needs an operator: in, not in, exists, or not exists`;
  }
}
