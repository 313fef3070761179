import type { AlertFields, RecordedAlert } from "./alert-file.ts";
import { canBeExcused, isAnonymous, rankOf, whoRank } from "./excusable.ts";

/** One tuple of values that would excuse the alerts which have all of them. */
export interface Proposal {
  readonly rule: string;
  readonly fields: readonly string[];
  /** `=` for a text, `in` for a list: all elements of the event's list are among these. */
  readonly comps: readonly string[];
  readonly values: readonly (string | readonly string[])[];
  /** Alerts of the rule that have these values. */
  readonly alerts: number;
}

export interface NoiseOptions {
  /** A tuple has to be in at least this many alerts. */
  readonly alertsMin: number;
  /** At most this many tuples a rule. */
  readonly proposalsMax: number;
}

const fieldsMax = 4;
/** A cluster is cut up into narrower ones when few of them hold nearly all of it. */
const partsMax = 5;
const partsShare = 0.8;

/**
 * Finds what repeats among the alerts of one rule. A proposal starts from who acts, or from the object where alerts do not
 * say who, and takes in every other telling field that is the same in all its alerts: so it is no wider than what was
 * seen. The largest comes first; alerts that it excuses count for no other.
 */
export function findNoise(
  rule: string,
  alerts: readonly RecordedAlert[],
  options: NoiseOptions,
): readonly Proposal[] {
  const proposals: Proposal[] = [];
  let left = alerts.map(({ fields }) => fields);
  while (proposals.length < options.proposalsMax) {
    const cluster = largestCluster(left, options.alertsMin);
    if (cluster === undefined) break;
    const parts = narrower(cluster, options.alertsMin);
    for (const part of parts.slice(0, options.proposalsMax - proposals.length)) {
      const tuple = tupleOf(part);
      const isExcused = (fields: AlertFields): boolean => excuses(tuple, fields);
      const count = alerts.filter(({ fields }) => isExcused(fields)).length;
      proposals.push({ rule, ...tuple, alerts: count });
      left = left.filter((fields) => !isExcused(fields));
    }
  }
  return proposals;
}

/** Whether an alert with these fields has the values of a proposal. */
export function excuses(
  { fields, values }: Pick<Proposal, "fields" | "values">,
  alert: AlertFields,
): boolean {
  return fields.every((field, index) => sameValue(alert[field], values[index]));
}

function sameValue(
  value: string | readonly string[] | undefined,
  wanted: string | readonly string[] | undefined,
): boolean {
  if (value === undefined || wanted === undefined) return false;
  if (typeof value === "string" || typeof wanted === "string") return value === wanted;
  return value.every((one) => wanted.includes(one));
}

/** The most alerts that share the value of a field which alone can tell noise from an attack. */
function largestCluster(
  alerts: readonly AlertFields[],
  alertsMin: number,
): readonly AlertFields[] | undefined {
  const ranks = new Set(alerts.flatMap((fields) => Object.keys(fields).map(rankOf)));
  // Where alerts say who acts, only that counts: what is done may be an attacker's too.
  const isSeed = ranks.has(whoRank)
    ? (field: string) => rankOf(field) === whoRank
    : (field: string) => rankOf(field) < 3;
  const clusters = new Map<string, AlertFields[]>();
  for (const fields of alerts) {
    if (isAnonymous(fields)) continue;
    for (const [field, value] of Object.entries(fields)) {
      if (!isSeed(field) || !canBeExcused(value)) continue;
      const key = JSON.stringify([field, value]);
      const cluster = clusters.get(key);
      if (cluster === undefined) clusters.set(key, [fields]);
      else cluster.push(fields);
    }
  }
  const largest = [...clusters.values()].reduce<readonly AlertFields[]>(
    (best, cluster) => (cluster.length > best.length ? cluster : best),
    [],
  );
  return largest.length >= alertsMin ? largest : undefined;
}

/** Cuts a cluster up by namespace, name or resource where that loses little. */
function narrower(cluster: readonly AlertFields[], alertsMin: number): readonly (readonly AlertFields[])[] {
  for (const rank of [1, 2, 3]) {
    const field = Object.keys(cluster[0] ?? {}).find((name) => rankOf(name) === rank);
    if (field === undefined) continue;
    const groups = Map.groupBy(cluster, (fields) => JSON.stringify(fields[field] ?? null));
    if (groups.size < 2) continue;
    const parts = [...groups]
      .filter(([value, part]) => value !== "null" && part.length >= alertsMin)
      .map(([, part]) => part)
      .toSorted((a, b) => b.length - a.length);
    const kept = parts.reduce((sum, part) => sum + part.length, 0);
    if (parts.length <= partsMax && kept >= cluster.length * partsShare) return parts;
  }
  return [cluster];
}

/** The fields that are the same in all alerts of a cluster, the most telling first. */
function tupleOf(cluster: readonly AlertFields[]): Pick<Proposal, "fields" | "comps" | "values"> {
  const [first = {}] = cluster;
  const constant = Object.entries(first).filter(
    ([field, value]) =>
      Number.isFinite(rankOf(field)) &&
      canBeExcused(value) &&
      cluster.every((fields) => JSON.stringify(fields[field]) === JSON.stringify(value)),
  );
  const telling = constant
    .toSorted(([a], [b]) => rankOf(a) - rankOf(b) || (a < b ? -1 : 1))
    .slice(0, fieldsMax);
  return {
    fields: telling.map(([field]) => field),
    comps: telling.map(([, value]) => (typeof value === "string" ? "=" : "in")),
    values: telling.map(([, value]) => value),
  };
}
