import type { ThrottleConfig } from "#shipper";
import type { Draft } from "./draft.ts";
import type { Filter } from "./filter.ts";
import { RecordKey, textOf } from "./json-walk.ts";
import type { Steps } from "./json-walk.ts";

/** `throttle`: lets as many records through in a sliding window as `rate` allows on average, and drops the rest. */
export class ThrottleFilter implements Filter {
  readonly config: ThrottleConfig;
  readonly #now: () => number;
  readonly #timeKey: Steps | undefined;
  /** Records that went through, per interval; a ring. */
  readonly #panes: Uint32Array;
  #pane = Number.NEGATIVE_INFINITY;
  #total = 0;

  constructor(config: ThrottleConfig, now: () => number) {
    this.config = config;
    this.#now = now;
    this.#timeKey = config.timeKey === undefined ? undefined : [new RecordKey(config.timeKey)];
    this.#panes = new Uint32Array(config.window);
  }

  apply(draft: Draft): string | undefined {
    const { rate, window, intervalMs } = this.config;
    this.#advance(Math.floor(this.#timeOf(draft) / intervalMs));
    if (this.#total >= rate * window) return `more than ${rate} per ${intervalMs / 1000} s`;
    const at = this.#pane % window;
    this.#panes[at] = (this.#panes[at] ?? 0) + 1;
    this.#total++;
    return undefined;
  }

  /** Never goes back: what comes late counts as of now. Forgets intervals that left the window. */
  #advance(pane: number): void {
    if (!(pane > this.#pane)) return;
    const first = Math.max(this.#pane + 1, pane - this.config.window + 1);
    for (let passed = first; passed <= pane; passed++) {
      const at = passed % this.config.window;
      this.#total -= this.#panes[at] ?? 0;
      this.#panes[at] = 0;
    }
    this.#pane = pane;
  }

  /** A record from the future counts as of now: it must not hold up the window for those that come after it. */
  #timeOf(draft: Draft): number {
    const now = this.#now();
    const value = this.#timeKey === undefined ? undefined : draft.find(this.#timeKey);
    if (value === undefined || value.bytes[value.start] !== 0x22) return now;
    const own = Date.parse(textOf(value.bytes, value.start, value.end));
    return Number.isNaN(own) || own < 0 ? now : Math.min(own, now);
  }
}
