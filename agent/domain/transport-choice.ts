/** The two ways to speak with the server. Both run the same state machine. */
export type TransportName = "stream" | "long-poll";

/** Which transport to use, and what led there. */
export interface TransportChoice {
  readonly current: TransportName;
  /** Streams that broke in a row before the server said anything, while the server could be reached. */
  readonly brokenStreams: number;
  /** When to try the stream again, epoch milliseconds; only while on long poll. */
  readonly retryStreamAtMs: number;
  readonly retries: number;
}

/** How a session ended: `away` means that no connection came about, which says nothing about the transport. */
export type SessionEnd = "spoke" | "broken" | "away";

export const firstChoice: TransportChoice = {
  current: "stream",
  brokenStreams: 0,
  retryStreamAtMs: 0,
  retries: 0,
};

/** How long to stay on long poll before the stream is tried again; the last one over and over. */
export const streamRetriesMs: readonly number[] = [60_000, 300_000, 1_800_000, 21_600_000];

/**
 * Two streams that break before the server says anything mean a proxy that cannot carry them: fall back to long poll,
 * and try the stream again later and later, at most every six hours.
 */
export function chooseTransport(
  choice: TransportChoice,
  end: SessionEnd,
  nowMs: number,
  retriesMs: readonly number[] = streamRetriesMs,
): TransportChoice {
  if (choice.current === "long-poll") {
    const again = choice.retryStreamAtMs <= nowMs;
    return again ? { ...choice, current: "stream", brokenStreams: 1 } : choice;
  }
  switch (end) {
    case "spoke":
      return firstChoice;
    case "away":
      return choice;
    case "broken": {
      if (choice.brokenStreams === 0) return { ...choice, brokenStreams: 1 };
      const waitMs = retriesMs[Math.min(choice.retries, retriesMs.length - 1)] ?? 60_000;
      return {
        current: "long-poll",
        brokenStreams: 0,
        retryStreamAtMs: nowMs + waitMs,
        retries: choice.retries + 1,
      };
    }
  }
}
