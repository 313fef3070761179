import { accept, refuse, type Outcome, type Problem } from "../refusal.ts";

/** What a wave is judged by before the next begins, besides the proofs of its clusters. */
export const gateNames = [
  "health",
  "ingest",
  "drops",
  "lag",
  "cost",
  "alerts",
  "new-alerts",
  "silence",
] as const;
export type GateName = (typeof gateNames)[number];

/** A gate that is on, with its limit in the gate's unit: a share, seconds, times or alerts per hour. */
export interface GateSetting {
  readonly name: GateName;
  readonly limit: number;
}

/** As it is written by people and on the wire. An empty limit is the usual one. */
export interface WantedGate {
  readonly name: string;
  readonly limit: string;
  readonly off: boolean;
}

/** `waits` is what silence and missing data give: it never lets a wave pass, and fails at the deadline. */
export type GateState = "holds" | "waits" | "fails";

export interface GateVerdict {
  readonly gate: GateName;
  readonly state: GateState;
  /** For people: what was seen, in the unit of the limit. Empty while nothing is. */
  readonly measured: string;
  readonly limit: string;
  /** Why, in words that stay the same while nothing changes. */
  readonly words: string;
}

type Unit = "share" | "seconds" | "times" | "per-hour";

interface Kind {
  readonly unit: Unit;
  readonly usual: number;
  readonly min: number;
  readonly max: number;
}

const kinds: Readonly<Record<GateName, Kind>> = {
  health: { unit: "share", usual: 0.05, min: 0, max: 0.5 },
  ingest: { unit: "share", usual: 0.5, min: 0.05, max: 0.95 },
  drops: { unit: "share", usual: 0.001, min: 0, max: 0.5 },
  lag: { unit: "seconds", usual: 30, min: 1, max: 3600 },
  cost: { unit: "share", usual: 0.5, min: 0.05, max: 100 },
  alerts: { unit: "times", usual: 3, min: 1.1, max: 1000 },
  "new-alerts": { unit: "per-hour", usual: 100, min: 0, max: 1_000_000 },
  silence: { unit: "share", usual: 0.5, min: 0.2, max: 1 },
};

const patterns: Readonly<Record<Unit, readonly [RegExp, number, string]>> = {
  share: [/^(\d{1,5}(?:\.\d{1,4})?)%$/, 0.01, "50%"],
  seconds: [/^(\d{1,5})s$/, 1, "30s"],
  times: [/^(\d{1,4}(?:\.\d{1,2})?)x$/, 1, "3x"],
  "per-hour": [/^(\d{1,7})\/h$/, 1, "100/h"],
};

/** A soak shorter than this shows nothing about rates, which come by the minute. */
export const shortestJudgedSoakSeconds = 300;

/**
 * The gates of a rollout, complete. Without a word: health always, and all others when the soak is long enough to see
 * rates. A gate that somebody asks for is on whatever the soak is: its wave waits until there is enough to see.
 */
export function parseGates(
  wanted: readonly WantedGate[],
  soakSeconds: number,
): Outcome<readonly GateSetting[]> {
  const problems: Problem[] = [];
  const asked = new Map<GateName, WantedGate>();
  for (const each of wanted.slice(0, gateNames.length + 1)) {
    const shown = each.name.slice(0, 40);
    const name = gateNames.find((known) => known === each.name);
    if (name === undefined) {
      problems.push({ field: "gates", why: `there is no gate "${shown}": ${gateNames.join(", ")}` });
    } else if (asked.has(name)) problems.push({ field: "gates", why: `names "${shown}" twice` });
    else asked.set(name, each);
  }
  const settings = gateNames.flatMap((name): readonly GateSetting[] => {
    const each = asked.get(name);
    const byItself = name === "health" || soakSeconds >= shortestJudgedSoakSeconds;
    if (each === undefined ? !byItself : each.off) return [];
    const limit = parseLimit(name, each?.limit ?? "");
    if (typeof limit === "number") return [{ name, limit }];
    problems.push({ field: "gates", why: limit });
    return [];
  });
  return problems.length > 0 ? refuse({ kind: "invalid", problems }) : accept(settings);
}

function parseLimit(name: GateName, text: string): number | string {
  const { unit, usual, min, max } = kinds[name];
  if (text === "") return usual;
  const [pattern, factor, example] = patterns[unit];
  const match = pattern.exec(text);
  const shown = text.slice(0, 40);
  if (match === null) return `the limit "${shown}" of gate ${name} cannot be read: write it as ${example}`;
  // Rounded, because 0.1 % times 0.01 is not quite a thousandth.
  const limit = Number((Number(match[1]) * factor).toPrecision(12));
  if (limit >= min && limit <= max) return limit;
  const range = `${renderLimit({ name, limit: min })} to ${renderLimit({ name, limit: max })}`;
  return `the limit ${shown} of gate ${name} is out of bounds: ${range} is allowed`;
}

/** The limit as `parseGates` reads it. */
export function renderLimit({ name, limit }: GateSetting): string {
  return renderAmount(name, limit);
}

/** An amount in the unit of a gate. */
export function renderAmount(name: GateName, amount: number): string {
  const { unit } = kinds[name];
  if (unit === "share") return `${trim(amount * 100)}%`;
  if (unit === "seconds") return `${trim(amount)}s`;
  return unit === "times" ? `${trim(amount)}x` : `${trim(amount)}/h`;
}

function trim(value: number): string {
  return String(Number(value.toFixed(value < 1 ? 3 : value < 100 ? 2 : 0)));
}
