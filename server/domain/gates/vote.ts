import { watchedMinutesMin, pastMinutesMin, type GateCluster } from "./facts.ts";
import { renderLimit, type GateSetting, type GateState, type GateVerdict } from "./gate.ts";
import { quorum, tolerated } from "./quorum.ts";

/** What one cluster says about one gate. */
export type Vote =
  | { readonly kind: "fine" }
  /** Over the limit; `by` says how far, for people. */
  | { readonly kind: "over"; readonly by: string }
  /** Says nothing yet, or nothing that can be judged. */
  | { readonly kind: "missing"; readonly why: string };

export const fine: Vote = { kind: "fine" };

/** What the votes come to, before words are made of it. */
export interface Count {
  readonly setting: GateSetting;
  readonly wave: readonly GateCluster[];
  readonly size: number;
  readonly votes: readonly Vote[];
  /** What the whole wave shows, for people. */
  readonly measured: string;
  /** Set when the wave as a whole is over the limit, though few clusters are by themselves. */
  readonly together?: string;
  /** What "over" means, as in "3 of 20 clusters `detect at a higher cost`". */
  readonly over: string;
  readonly fine: string;
  /** More than the usual quorum, for gates that ask for a share of the wave. */
  readonly needed?: number;
}

/**
 * Counts votes. Enough clusters over the limit fail the gate at once, whatever is still missing; otherwise missing ones
 * hold it up, apart from the share that may be liars.
 */
export function decide(count: Count): GateVerdict {
  const { wave, size, votes } = count;
  const needed = count.needed ?? quorum(size);
  const over = wave.flatMap((cluster, i) => {
    const vote = votes[i];
    return vote?.kind === "over" ? [`${cluster.name} (${vote.by})`] : [];
  });
  const missing = wave.flatMap((cluster, i) => {
    const vote = votes[i];
    return vote?.kind === "missing" ? [{ name: cluster.name, why: vote.why }] : [];
  });
  if (over.length >= needed) {
    const words = `${over.length} of ${size} ${count.over}, ${needed} are enough to fail: ${first(over)}`;
    return verdict(count, "fails", words);
  }
  if (count.together !== undefined) return verdict(count, "fails", count.together);
  if (wave.length === 0) return verdict(count, "waits", "no cluster has proved yet");
  if (missing.length > tolerated(size)) {
    const why = missing[0]?.why ?? "";
    const those = missing.filter((each) => each.why === why).map(({ name }) => name);
    return verdict(count, "waits", `${why}: ${first(those)}`);
  }
  const few = over.length === 0 ? "" : `; too few to count: ${first(over)}`;
  return verdict(count, "holds", `${count.fine}${few}`);
}

function verdict({ setting, measured }: Count, state: GateState, words: string): GateVerdict {
  return { gate: setting.name, state, measured, limit: renderLimit(setting), words };
}

/** Why a cluster cannot be compared yet; undefined when it can. */
export function missingRates(cluster: GateCluster): Vote | undefined {
  const { now, past, watchedMinutes, hasPrevious, isClockOff } = cluster;
  // Minutes are by the agent's clock: one that is ahead gives those from before the bundle out for those after it.
  if (isClockOff) {
    const why =
      "minutes from before and after the bundle cannot be told apart while a clock is off (clock/skew), as it is on";
    return { kind: "missing", why };
  }
  if (watchedMinutes < watchedMinutesMin) {
    return { kind: "missing", why: `needs ${watchedMinutesMin} whole minutes after the proof` };
  }
  // One minute may still be on its way; beyond that a fifth may be lost.
  if (now.length < Math.max(watchedMinutesMin - 1, Math.floor(0.8 * (watchedMinutes - 1)))) {
    return { kind: "missing", why: "no rates come from" };
  }
  if (hasPrevious && past.length < pastMinutesMin) {
    const why = `needs ${pastMinutesMin} minutes of rates from before the bundle came, which there are not for`;
    return { kind: "missing", why };
  }
  return undefined;
}

export function first(items: readonly string[]): string {
  const more = items.length > 3 ? ` and ${items.length - 3} more` : "";
  return `${items.slice(0, 3).join(", ")}${more}`;
}
