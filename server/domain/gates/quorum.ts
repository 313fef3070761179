/** How many of a wave have to say the same. A cluster has one vote, however many agents, events and alerts it has. */

/** Of n clusters so many may lie, or say nothing, without a say in the verdict: one in twenty. */
export function tolerated(n: number): number {
  return Math.floor(n / 20);
}

/**
 * So many clusters over a limit fail a gate: more than one in ten, and never a single one of three or more. Always more
 * than `tolerated`, so liars alone cannot fail a wave; and a change that is seen by `quorum + tolerated` clusters fails it
 * whatever the liars among them say.
 */
export function quorum(n: number): number {
  return n < 3 ? 1 : Math.max(2, Math.floor(n / 10) + 1);
}

/** So many are left out at each end of a mean over clusters: all that could be liars, and as many again. */
export function cutOf(n: number): number {
  return n < 3 ? 0 : quorum(n) - 1;
}
