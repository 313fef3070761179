import { createRecordDetector } from "#engine";
import type { Alert, Detector, RecordDetector, RuleSet, ShadowFinding, SyscallEvent } from "#engine";
import { withoutFields } from "./alert.ts";
import type { Note } from "./load-composition.ts";
import { sampleOf, ShadowCounts } from "./shadow-counts.ts";
import type { ShadowFigures } from "./shadow-counts.ts";

export interface ShadowOptions {
  readonly hostname: string;
  /** Milliseconds since 1970 when it is over. */
  readonly untilMs: number;
  /** The time of day, and a steady clock, both in ms. */
  readonly now: () => number;
  readonly steady: () => number;
  /** Of a second of this thread so much may go to a candidate; events beyond it are left out and counted. */
  readonly share?: number;
  /** What is said of it until it is stopped for another reason. */
  readonly note?: Note | undefined;
}

const shareDefault = 0.2;
/** A candidate that rested may use this much at once, in ms. */
const burstMs = 100;
const detailCharsMax = 1000;
/** After so many events over which the candidate failed it is not asked again. */
const failuresMax = 100;

/**
 * A candidate beside the rules that run, over the same events. What runs is done with an event when the candidate sees
 * it; whatever the candidate does then, it is counted here and nowhere else.
 */
export class Shadow {
  #calls: RecordDetector | undefined;
  readonly #options: ShadowOptions;
  readonly #counts: ShadowCounts;
  #detector: Detector | undefined;
  #roomMs = burstMs;
  #filledAt: number;
  #spentMs = 0;
  #hidesValues = false;
  #state: ShadowFigures["state"] = "evaluating";
  #reason: string;
  #detail: string;

  constructor(candidate: RuleSet, detector: Detector, options: ShadowOptions) {
    this.#options = options;
    this.#reason = options.note?.reason ?? "";
    this.#detail = (options.note?.detail ?? "").slice(0, detailCharsMax);
    this.#detector = detector;
    this.#filledAt = options.steady();
    this.#counts = new ShadowCounts(options.now());
    const hasCalls = candidate.rules.some(({ enabled, source }) => enabled && source === "syscall");
    this.#calls = hasCalls ? createRecordDetector(candidate, { hostname: options.hostname }) : undefined;
    detector.shadow(candidate, (now, then) => this.#look(now, then));
  }

  /** Nothing is evaluated any more; what was counted stays. */
  get isOver(): boolean {
    return this.#detector === undefined;
  }

  /** Whether it has rules for events of the Linux audit log, which are decoded only for who wants them. */
  get wantsCalls(): boolean {
    return this.#calls !== undefined;
  }

  /** Before each record: whether filters stand between its alerts and whoever gets them, so that no value may be shown. */
  begin(hidesValues: boolean): void {
    this.#hidesValues = hidesValues;
    this.#spentMs = 0;
  }

  /** What the candidate took of the time since then, in ms. */
  get spentMs(): number {
    return this.#spentMs;
  }

  /** An event of the Linux audit log. `isHidden`: nothing of it may be shown. */
  lookAtCall(event: SyscallEvent, now: readonly Alert[], isHidden: boolean): void {
    if (this.#calls === undefined) return;
    this.#look(now, () => {
      const found = this.#calls?.detectRecord(event);
      const matches = (found?.alerts ?? []).map((alert) => ({
        rule: alert.rule,
        write: () => (isHidden ? withoutFields(alert) : alert),
      }));
      return { matches, problems: found?.problems ?? [] };
    });
  }

  /** Ends it, for a reason other than that its time is over. What was counted stays. */
  stop(reason: string, detail: string): void {
    if (this.#detector !== undefined) this.#end("stopped", reason, detail);
  }

  figures(): ShadowFigures {
    if (this.#detector !== undefined && this.#options.now() >= this.#options.untilMs) {
      this.#end("done", this.#reason, this.#detail);
    }
    return { state: this.#state, reason: this.#reason, detail: this.#detail, ...this.#counts.figures() };
  }

  #end(state: ShadowFigures["state"], reason: string, detail: string): void {
    this.#detector?.endShadow();
    this.#detector = undefined;
    this.#calls = undefined;
    this.#state = state;
    this.#reason = reason;
    this.#detail = detail.slice(0, detailCharsMax);
  }

  #look(now: readonly Alert[], then: () => ShadowFinding): void {
    if (this.#detector === undefined) return;
    const { steady, untilMs, share = shareDefault } = this.#options;
    const begun = steady();
    this.#roomMs = Math.min(burstMs, this.#roomMs + (begun - this.#filledAt) * share);
    this.#filledAt = begun;
    if (this.#roomMs <= 0) {
      this.#counts.skipped += 1;
      return;
    }
    if (this.#options.now() >= untilMs) return this.#end("done", this.#reason, this.#detail);
    try {
      const found = then();
      this.#counts.add(now, found, (alert) => sampleOf(alert, this.#hidesValues));
    } catch (error) {
      this.#counts.failures += 1;
      const why = error instanceof Error ? error.message : String(error);
      if (this.#counts.failures >= failuresMax) {
        this.#end("stopped", "shadow/failed", `It failed over ${failuresMax} events, last with: ${why}`);
      }
    }
    const tookMs = steady() - begun;
    this.#counts.evaluationMs += tookMs;
    this.#spentMs += tookMs;
    this.#roomMs -= tookMs;
  }
}
