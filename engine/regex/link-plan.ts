import type { Link } from "./automaton.ts";

const bits = 32;

/**
 * How to follow links when positions are bits of words, for all bits of a word at once. Positions that are linked to the one
 * after them have their bit in a mask. Other links are shifts of a masked word, which many links share when a group is
 * repeated. What is left are jumps: when any of some bits is set, set others.
 */
export interface LinkPlan {
  readonly ahead: Int32Array;
  /** Word, mask, word to go to, bits to the left (or, below zero, to the right). */
  readonly shifts: Int32Array;
  /** Pairs of word and mask to look at after their number, then those to set after theirs. */
  readonly jumps: Int32Array;
  /** About how many words are touched to follow all links. */
  readonly work: number;
}

/** Links between more pairs of positions than this are jumps without a second look. */
const pairsMax = 64;
const shiftWork = 2;
const jumpWork = 2;

export function planLinks(links: readonly Link[], words: number): LinkPlan {
  const merged = mergeLinks(links);
  const planner = new Planner(words);
  for (const link of merged) planner.weigh(link);
  for (const link of merged) planner.add(link);
  return planner.plan();
}

/** Links that start from the same positions become one. */
function mergeLinks(links: readonly Link[]): readonly Link[] {
  const merged = new Map<string, Link>();
  for (const { from, to } of links) {
    const key = from.join();
    merged.set(key, { from, to: [...(merged.get(key)?.to ?? []), ...to] });
  }
  return [...merged.values()];
}

class Planner {
  private readonly words: number;
  private readonly ahead: Int32Array;
  /** Shifts by word, word to go to and distance: how many pairs of positions could use them, and the bits that do. */
  private readonly uses: Map<number, number>;
  private readonly shifts: Map<number, number>;
  private readonly jumps: number[];
  private work: number;

  constructor(words: number) {
    this.words = words;
    this.ahead = new Int32Array(words);
    this.uses = new Map();
    this.shifts = new Map();
    this.jumps = [];
    this.work = words;
  }

  weigh({ from, to }: Link): void {
    if (from.length * to.length > pairsMax) return;
    for (const one of from) {
      for (const other of to) {
        const key = this.shiftKey(one, other);
        this.uses.set(key, (this.uses.get(key) ?? 0) + 1);
      }
    }
  }

  add({ from, to }: Link): void {
    const [starts, ends] = [masksOf(from), masksOf(to)];
    const work = jumpWork + (starts.length + ends.length) / 2;
    if (this.shiftsWork(from, to) <= work) return this.addShifts(from, to);
    this.jumps.push(starts.length / 2, ...starts, ends.length / 2, ...ends);
    this.work += work;
  }

  plan(): LinkPlan {
    const shifts = [...this.shifts].flatMap(([key, mask]) => {
      const [word, target] = [
        Math.floor(key / (2 * bits) / this.words),
        Math.floor(key / (2 * bits)) % this.words,
      ];
      return [word, mask, target, (key % (2 * bits)) - bits];
    });
    return {
      ahead: this.ahead,
      shifts: Int32Array.from(shifts),
      jumps: Int32Array.from(this.jumps),
      work: this.work + this.shifts.size * shiftWork,
    };
  }

  /** What following the pairs one by one costs, where each shift is paid for by all who could use it. */
  private shiftsWork(from: readonly number[], to: readonly number[]): number {
    if (from.length * to.length > pairsMax) return Infinity;
    let work = 0;
    for (const one of from) {
      for (const other of to) {
        if (other !== one + 1) work += shiftWork / (this.uses.get(this.shiftKey(one, other)) ?? 1);
      }
    }
    return work;
  }

  private addShifts(from: readonly number[], to: readonly number[]): void {
    for (const one of from) {
      const [word, bit] = [one >>> 5, 1 << (one & 31)];
      for (const other of to) {
        if (other === one + 1) this.ahead[word] = (this.ahead[word] ?? 0) | bit;
        else {
          const key = this.shiftKey(one, other);
          this.shifts.set(key, (this.shifts.get(key) ?? 0) | bit);
        }
      }
    }
  }

  private shiftKey(one: number, other: number): number {
    const distance = (other & 31) - (one & 31);
    return ((one >>> 5) * this.words + (other >>> 5)) * 2 * bits + distance + bits;
  }
}

/** Pairs of a word and the bits of some positions in it. */
export function masksOf(positions: readonly number[]): readonly number[] {
  const masks: number[] = [];
  const places = new Map<number, number>();
  for (const one of positions) {
    const word = one >>> 5;
    const place = places.get(word) ?? masks.push(word, 0) - 1;
    places.set(word, place);
    masks[place] = (masks[place] ?? 0) | (1 << (one & 31));
  }
  return masks;
}
