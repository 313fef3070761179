import type { Automaton, Link } from "./automaton.ts";

/**
 * A row of positions that take the same characters, of which each leads to the next alone and is reached from the one before,
 * or together with all others of the row: what `.{900}` and `.{0,900}` consist of.
 */
export interface Stretch {
  readonly from: number;
  readonly to: number;
}

/** An automaton in which stretches are cut out, and what stands in their places. */
export interface CutAutomaton {
  readonly automaton: Automaton;
  /** From left to right. */
  readonly cuts: readonly Cut[];
  /** Which position each was before, or -1 for those in place of a stretch. */
  readonly origins: readonly number[];
}

export interface Cut extends Stretch {
  /** Positions in place of the stretch: one that waits when its first would, and one that waits when all of it would. */
  readonly entry: number;
  readonly fill: number;
  /** The position that the stretch leads to, which may be the entry of another. */
  readonly exit: number;
}

/** The stretches of a least length, from left to right. */
export function findStretches(automaton: Automaton, lengthMin: number): readonly Stretch[] {
  const { positions } = automaton;
  if (positions.length < lengthMin) return [];
  const inner = innerPositions(automaton);
  const reached = reachedBy(automaton);
  const stretches: Stretch[] = [];
  let from = 0;
  for (let at = 1; at <= positions.length; at++) {
    const goesOn = inner[at] === 1 && inner[at - 1] === 1;
    if (goesOn && positions[at] === positions[at - 1] && reached[at] === reached[at - 1]) continue;
    if (inner[from] === 1 && at - from >= lengthMin) stretches.push({ from, to: at - 1 });
    from = at;
  }
  return stretches;
}

/** Positions that a text can not end at, and that lead to the next one and nowhere else. */
function innerPositions({ positions, links, last }: Automaton): Uint8Array {
  const inner = new Uint8Array(positions.length);
  for (const link of links) if (isStep(link)) inner[link.from[0] ?? 0] = 1;
  for (const { from } of links.filter((link) => !isStep(link))) for (const one of from) inner[one] = 0;
  for (const one of last) inner[one] = 0;
  return inner;
}

const isStep = ({ from, to }: Link): boolean =>
  from.length === 1 && to.length === 1 && to[0] === (from[0] ?? 0) + 1;

/** Of each position a number for how it is reached otherwise than from the one before. */
function reachedBy({ positions, links, first }: Automaton): Int32Array {
  const reached = new Int32Array(positions.length);
  const numbers = new Map<string, number>();
  const ways: readonly (readonly number[])[] = [
    first,
    ...links.filter((link) => !isStep(link)).map(({ to }) => to),
  ];
  for (const [way, ends] of ways.entries()) {
    for (const one of new Set(ends)) {
      const key = `${reached[one]} ${way}`;
      const number = numbers.get(key) ?? numbers.size + 1;
      numbers.set(key, number);
      reached[one] = number;
    }
  }
  return reached;
}

/** Puts two positions, which take nothing, in the place of each stretch. */
export function cutStretches(automaton: Automaton, stretches: readonly Stretch[]): CutAutomaton {
  const { sets, links, first, last } = automaton;
  const origins: number[] = [];
  const moved = new Int32Array(automaton.positions.length);
  const entries = new Map<number, number>();
  for (let at = 0; at < moved.length; at++) {
    const stretch = stretches[entries.size];
    if (stretch?.from !== at) moved[at] = origins.push(at) - 1;
    else {
      entries.set(at, origins.length);
      origins.push(-1, -1);
      moved.fill(origins.length - 1, at, stretch.to + 1);
      at = stretch.to;
    }
  }
  const place = (position: number): number => entries.get(position) ?? moved[position] ?? 0;
  const move = (ends: readonly number[]): readonly number[] => [
    ...new Set(ends.map((one) => moved[one] ?? 0)),
  ];
  const kept = links.flatMap((link): readonly Link[] => {
    const from = move(link.from);
    if (origins[from[0] ?? 0] === -1) return [];
    return [{ from, to: isStep(link) ? link.to.map(place) : move(link.to) }];
  });
  return {
    automaton: {
      ...automaton,
      // Nothing is taken by what stands in the place of a stretch.
      sets: [...sets, []],
      positions: origins.map((one) => automaton.positions[one] ?? sets.length),
      links: kept,
      first: move(first),
      last: move(last),
    },
    cuts: stretches.map(({ from, to }) => {
      const entry = place(from);
      return { from, to, entry, fill: entry + 1, exit: place(to + 1) };
    }),
    origins,
  };
}
