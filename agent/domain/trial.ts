import type { Kind } from "./apply-plan.ts";

/** A bundle that runs, or is about to, and is not last-known-good yet. It is on disk before a worker gets the bundle. */
export interface Trial {
  readonly sha256: string;
  readonly generation: number;
  /** When a worker proved it first, epoch milliseconds; absent before. */
  readonly sinceMs?: number;
  /** How often the worker or the whole agent died with it. */
  readonly deaths: number;
  /** What it died of last, in words; empty while it has not. */
  readonly lastDeath: string;
  /** Whether a worker has it and nothing said since that it ended in good order. */
  readonly isOpen: boolean;
}

/** One trial per kind at most. */
export type Trials = { readonly [K in Kind]?: Trial };

/** A bundle that workers or agents died with so often is not tried again: one death may be chance, three are not. */
export const deathsMax = 3;

/** The trial that begins when a bundle is handed over: the deaths of an earlier try of the same bytes count on. */
export function openTrial(before: Trial | undefined, sha256: string, generation: number): Trial {
  const same = before?.sha256 === sha256 ? before : undefined;
  return { deaths: 0, lastDeath: "", ...same, sha256, generation, isOpen: true };
}

/** One death more. */
export function noteDeath(trial: Trial, because: string): Trial {
  return { ...trial, deaths: trial.deaths + 1, lastDeath: because.slice(0, 1_000), isOpen: false };
}

export function isDead(trial: Trial): boolean {
  return trial.deaths >= deathsMax;
}

/** What is looked at about once a second; times are of a steady clock. */
export interface Look {
  readonly atMs: number;
  /** Counters of the pipeline since its worker began. */
  readonly bytes: number;
  readonly events: number;
  readonly detectionUs: number;
  /** Whether a log that was read before the bundle came has grown since the look at which bytes moved last. */
  readonly isLogAhead: boolean;
  readonly outputs: readonly OutputLook[];
  /** Programs beside the agent that run bundles; absent when there are none. */
  readonly programs?: readonly ProgramLook[];
}

/** A program that runs the bundles of a kind. */
export interface ProgramLook {
  readonly kind: Kind;
  readonly name: string;
  /** Why it does not show that it runs its bundle; undefined when it does. */
  readonly fault: string | undefined;
  /** How often it went away, or began anew, by itself. */
  readonly falls: number;
}

export interface OutputLook {
  readonly alias: string;
  readonly delivered: number;
  /** Why it cannot deliver right now; undefined when it can. */
  readonly error: string | undefined;
}

/** What is remembered of a soak. */
export interface Soak {
  /** The last look before the bundle ran; undefined when there was none. */
  readonly before: Look | undefined;
  readonly first: Look;
  readonly last: Look;
  /** When bytes were read last. */
  readonly readAtMs: number;
  /** Since when each output fails without having delivered anything, by alias. */
  readonly failingSince: Readonly<Record<string, number>>;
  /** Since when a program does not show that it runs its bundle, by kind. */
  readonly faultySince: { readonly [K in Kind]?: number };
}

/** What the watch holds a bundle to. */
export interface SoakBounds {
  readonly soakMs: number;
  /** So long nothing may be read while a log grows, and so long an output may fail. */
  readonly stallMs: number;
  /** The dearest an event may be on average, once enough were seen. */
  readonly detectionUsMax: number;
}

/** Events below which an average of their cost says nothing. */
const eventsMin = 200;
/**
 * What a new worker's code takes until it is compiled, in microseconds of CPU, is no fault of the rules: the first 220
 * events of the starter pack were seen to take 160 ms on a busy machine.
 */
const warmUpUs = 1_000_000;
/** A set of rules that was dear before is judged by its own past: the new one may cost so many times as much. */
const costGrowthMax = 3;

export function beginSoak(before: Look | undefined, first: Look): Soak {
  return watch(
    { before, first, last: first, readAtMs: first.atMs, failingSince: {}, faultySince: {} },
    first,
  );
}

/** Takes the next look in. */
export function watch(soak: Soak, look: Look): Soak {
  const readAtMs = look.bytes === soak.last.bytes && look.isLogAhead ? soak.readAtMs : look.atMs;
  const faulty = (look.programs ?? []).filter(({ fault }) => fault !== undefined);
  const faultySince = Object.fromEntries(
    faulty.map(({ kind }) => [kind, soak.faultySince[kind] ?? look.atMs] as const),
  );
  return { ...soak, last: look, readAtMs, failingSince: failingSince(soak, look), faultySince };
}

/** An output that failed before is not the bundle's doing, and one that has delivered since works. */
function failingSince(soak: Soak, look: Look): Readonly<Record<string, number>> {
  const failedBefore = new Set(soak.before?.outputs.filter((o) => o.error !== undefined).map((o) => o.alias));
  const atFirst = new Map(soak.first.outputs.map((o) => [o.alias, o.delivered]));
  return Object.fromEntries(
    look.outputs
      .filter((o) => o.error !== undefined && !failedBefore.has(o.alias))
      .filter((o) => o.delivered <= (atFirst.get(o.alias) ?? 0))
      .map((o) => [o.alias, soak.failingSince[o.alias] ?? look.atMs]),
  );
}

export type SoakVerdict =
  | { readonly kind: "waits" }
  | { readonly kind: "passed" }
  | { readonly kind: "failed"; readonly reason: string; readonly detail: string };

/** What a soak says of a bundle of a kind. Outputs say something about a shipper config only. */
export function judgeSoak(soak: Soak, kind: Kind, bounds: SoakBounds): SoakVerdict {
  const failed =
    failingProgram(soak, kind, bounds) ??
    stalled(soak, bounds) ??
    tooDear(soak, bounds) ??
    (kind === "shipper" ? failingOutput(soak, bounds) : undefined);
  if (failed !== undefined) return { kind: "failed", ...failed };
  const isOver = soak.last.atMs - soak.first.atMs >= bounds.soakMs;
  // What has begun to go wrong is waited for, or the last minute of a soak would count for nothing.
  const isUndecided =
    soak.last.atMs > soak.readAtMs ||
    soak.faultySince[kind] !== undefined ||
    (kind === "shipper" && Object.keys(soak.failingSince).length > 0);
  return { kind: isOver && !isUndecided ? "passed" : "waits" };
}

interface Why {
  readonly reason: string;
  readonly detail: string;
}

function failingProgram(
  { first, last, faultySince }: Soak,
  kind: Kind,
  { stallMs }: SoakBounds,
): Why | undefined {
  const program = last.programs?.find((one) => one.kind === kind);
  if (program === undefined) return undefined;
  const { name, fault, falls } = program;
  const inSoak = falls - (first.programs?.find((one) => one.kind === kind)?.falls ?? 0);
  if (inSoak >= deathsMax) {
    const detail = `${name} went away or began anew ${inSoak} times within the soak, ${deathsMax} are too many: ${fault ?? ""}`;
    return { reason: "soak/crash-loop", detail };
  }
  const ms = last.atMs - (faultySince[kind] ?? last.atMs);
  if (ms < stallMs) return undefined;
  return {
    reason: "soak/not-running",
    detail: `${name} has not shown the bundle for ${seconds(ms)}: ${fault ?? ""}`,
  };
}

function stalled({ last, readAtMs }: Soak, { stallMs }: SoakBounds): Why | undefined {
  if (last.atMs - readAtMs < stallMs) return undefined;
  const detail = `Nothing was read for ${seconds(last.atMs - readAtMs)} while a log that was read before has grown`;
  return { reason: "soak/not-reading", detail };
}

function tooDear({ before, first, last }: Soak, { detectionUsMax }: SoakBounds): Why | undefined {
  const events = last.events - first.events;
  if (events < eventsMin) return undefined;
  const cost = (last.detectionUs - first.detectionUs - warmUpUs) / events;
  const past = before === undefined || before.events < eventsMin ? 0 : before.detectionUs / before.events;
  const bound = Math.max(detectionUsMax, past * costGrowthMax);
  if (cost <= bound) return undefined;
  const detail = `Rules take ${Math.round(cost)} us per event over ${events} events, not counting the first second; the bound is ${Math.round(bound)} us`;
  return { reason: "soak/too-slow", detail };
}

function failingOutput({ last, failingSince: since }: Soak, { stallMs }: SoakBounds): Why | undefined {
  const failing = last.outputs.find(({ alias }) => last.atMs - (since[alias] ?? last.atMs) >= stallMs);
  if (failing === undefined) return undefined;
  const ms = last.atMs - (since[failing.alias] ?? last.atMs);
  const detail = `Output "${failing.alias}" has delivered nothing since the config came and fails for ${seconds(ms)}: ${failing.error ?? ""}`;
  return { reason: "soak/output-failing", detail };
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}
