import { withoutLayers } from "./load-composition.ts";
import type { Note } from "./load-composition.ts";
import { createDetector, createRecordDetector } from "#engine";
import type { Detector, RecordDetector } from "#engine";
import { failure, loadRuleSet } from "./load-bundle.ts";
import type { ApplyFailure, BundleSource } from "./load-bundle.ts";
import type { BacktestSource } from "./messages.ts";
import { rulesProblem } from "./protect.ts";
import type { RuleGuard } from "./protect.ts";
import type { RingEvent } from "./ring-block.ts";
import { openRing } from "./ring-reader.ts";
import type { RingContents, Span } from "./ring-reader.ts";
import { evaluateCalls } from "./router.ts";
import { Shadow } from "./shadow.ts";
import type { ShadowFigures } from "./shadow-counts.ts";

/** A candidate, and what it is replayed over. */
export interface BacktestRequest extends BacktestSource {
  readonly candidate: BundleSource;
  readonly guard: RuleGuard;
  readonly span: Span;
}

/** How far a replay is, and what it gave so far. */
export interface BacktestFigures extends Omit<ShadowFigures, "state"> {
  readonly state: "replaying" | "done" | "stopped";
  /** Of the compressed events. */
  readonly bytesDone: number;
  readonly bytesTotal: number;
  /** Of the oldest event that is kept here. */
  readonly oldestMs: number | undefined;
  /** Events that were kept and could not be read. */
  readonly missing: number;
}

/** So much is of no interest: a replay has no share of the time that it must not exceed. */
const anyShare = Number.MAX_SAFE_INTEGER;

/**
 * Replays the events of a span: the rules that run and the candidate look at each, and what differs is counted as in a shadow.
 * Gives what there is so far after each block. Refused where the candidate would be refused.
 */
export function replay(
  request: BacktestRequest,
): ApplyFailure | { readonly steps: Generator<BacktestFigures> } {
  const running = loadRuleSet(request.rules, request.facts, request.guard);
  if (!running.ok) return running;
  const candidate = loadRuleSet(request.candidate, request.facts, request.guard);
  if (!candidate.ok) return candidate;
  const lost = rulesProblem(running.value, candidate.value, request.guard);
  if (lost !== undefined) return failure("rules", "rules/protected", lost);
  const { hostname } = request.facts;
  const detector = createDetector(running.value, { hostname });
  const calls = createRecordDetector(running.value, { hostname });
  const shadow = new Shadow(candidate.value, detector, {
    hostname,
    untilMs: Number.POSITIVE_INFINITY,
    now: () => Date.now(),
    steady: () => performance.now(),
    share: anyShare,
    note: withoutLayers(candidate.parts),
  });
  return {
    steps: stepsOf(openRing(request.folder, request.span), request.span, { detector, calls, shadow }),
  };
}

interface Rules {
  readonly detector: Detector;
  readonly calls: RecordDetector;
  readonly shadow: Shadow;
}

function* stepsOf(ring: RingContents, span: Span, rules: Rules): Generator<BacktestFigures> {
  const { shadow } = rules;
  const { bytes: bytesTotal, oldestMs } = ring;
  let bytesDone = 0;
  let missing = 0;
  const figures = (isDone: boolean): BacktestFigures => {
    const { state, ...counted } = shadow.figures();
    const isStopped = state === "stopped";
    const whole = { ...counted, bytesDone, bytesTotal, oldestMs, missing };
    if (isStopped || !isDone) return { ...whole, state: isStopped ? "stopped" : "replaying" };
    return { ...whole, state: "done", ...both(counted, shortness(oldestMs, counted.events, span)) };
  };
  yield figures(false);
  for (const part of ring.blocks()) {
    for (const event of part.events) evaluate(event, rules);
    bytesDone += part.bytes;
    missing += part.missing;
    yield figures(false);
    if (shadow.isOver) return;
  }
  yield figures(true);
}

function evaluate(event: RingEvent, { detector, calls, shadow }: Rules): void {
  shadow.begin(event.hidesValues);
  if (event.kind === "calls") {
    evaluateCalls(calls, { events: event.events, problems: [] }, event.isHidden, shadow);
    return;
  }
  const { seen, shown } = event;
  if (shown === undefined) {
    detector.detectBytes(seen, 0, seen.length);
    return;
  }
  const both = Buffer.concat([seen, shown]);
  detector.detectBytes(both, 0, seen.length, { start: seen.length, end: both.length });
}

/** The first reason there is, with the words of both. */
function both(one: Note, other: Note | undefined): Note {
  if (other === undefined || one.reason === "") return other ?? one;
  return { reason: one.reason, detail: `${one.detail}; ${other.detail}` };
}

/** What keeps a replay from being one of the whole span, in words. */
function shortness(oldestMs: number | undefined, events: number, { sinceMs }: Span): Note | undefined {
  if (oldestMs !== undefined && oldestMs > sinceMs) {
    const from = new Date(oldestMs).toISOString();
    const detail = `The events that are kept here go back to ${from}, not to ${new Date(sinceMs).toISOString()}`;
    return { reason: "backtest/ring-short", detail };
  }
  if (events > 0) return undefined;
  return { reason: "backtest/ring-empty", detail: "No event of that time is kept here" };
}
