import type { Alphabet } from "./alphabet.ts";
import type { Automaton } from "./automaton.ts";
import { type CharSet, hasPoint } from "./char-set.ts";
import { type LinkPlan, masksOf, planLinks } from "./link-plan.ts";

/** Takes a text character by character. */
export interface Machine {
  /** About how many words one character touches, and the first one of its class besides. */
  readonly work: number;
  readonly classWork: number;
  /** How many classes had to be learned; whoever counts may set it back. */
  learned: number;
  /** Whether the text may end after the character that was taken last. */
  readonly isDone: boolean;
  /** Begins where some positions are waiting, as bits. */
  enter(waiting: Int32Array): void;
  /** Says which positions are waiting. */
  leave(waiting: Int32Array): void;
  /** Takes a character of a class. False when no further one can be taken. */
  take(number: number): boolean;
}

/** What a character costs besides. */
const takeWork = 8;
/** Words kept for classes of characters; a pattern of thousands of different characters makes some anew. */
const keptMax = 1 << 18;

/**
 * Runs an automaton over a text, all positions at once: each is one bit. What a character costs depends on the pattern alone.
 */
export class BitMachine implements Machine {
  readonly work: number;
  readonly classWork: number;
  learned: number;
  /** How many words the positions take. */
  readonly size: number;
  /** The positions that may take the next character, and those that might have taken the one before. */
  waiting: Int32Array;
  private before: Int32Array;
  private readonly plan: LinkPlan;
  private readonly first: readonly number[];
  private readonly last: readonly number[];
  private readonly alphabet: Alphabet;
  /** Sets of one character by that, all others, and which words and bits of positions take them. */
  private readonly singles: ReadonlyMap<number, readonly number[]>;
  private readonly sets: readonly (readonly [CharSet, readonly number[]])[];
  /** By class of characters. */
  private classes: (Taking | undefined)[];
  private kept: number;
  private latest: Taking;

  constructor({ sets, positions, links, first, last }: Automaton, alphabet: Alphabet) {
    const words = Math.max(1, Math.ceil(positions.length / 32));
    this.size = words;
    this.waiting = new Int32Array(words);
    this.before = new Int32Array(words);
    this.plan = planLinks(links, words);
    this.first = masksOf(first);
    this.last = masksOf(last);
    this.alphabet = alphabet;
    const places = Map.groupBy(positions.keys(), (position) => positions[position] ?? 0);
    const masks = sets.map((set, number) => [set, masksOf(places.get(number) ?? [])] as const);
    this.singles = new Map(
      masks.filter(([set]) => isSingle(set)).map(([[point = 0], words]) => [point, words]),
    );
    this.sets = masks.filter(([set]) => !isSingle(set));
    this.classes = [];
    this.kept = 0;
    this.learned = 0;
    this.latest = { all: new Int32Array(words), ahead: new Int32Array(words) };
    this.work = takeWork + this.plan.work;
    this.classWork = 200 + 8 * words + this.sets.reduce((sum, [, masks]) => sum + 8 + masks.length, 0);
  }

  start(): void {
    this.waiting.fill(0);
    setBits(this.waiting, this.first);
  }

  enter(waiting: Int32Array): void {
    this.waiting.set(waiting);
  }

  leave(waiting: Int32Array): void {
    waiting.set(this.waiting);
  }

  get isDone(): boolean {
    const { before, last } = this;
    const taking = this.latest.all;
    for (let i = 0; i < last.length; i += 2) {
      const word = last[i] ?? 0;
      if (((before[word] ?? 0) & (taking[word] ?? 0) & (last[i + 1] ?? 0)) !== 0) return true;
    }
    return false;
  }

  /** Whether no class of so many has to be learned twice. */
  keepsAll(classes: number): boolean {
    return classes * 2 * this.waiting.length <= keptMax;
  }

  take(number: number): boolean {
    const { waiting: now, before: next } = this;
    const latest = this.classes[number] ?? this.learn(number);
    const { all } = latest;
    let any = stepAhead(now, next, latest.ahead);
    const { shifts, jumps } = this.plan;
    for (let i = 0; i < shifts.length; i += 4) {
      const from = shifts[i] ?? 0;
      const moving = (now[from] ?? 0) & (all[from] ?? 0) & (shifts[i + 1] ?? 0);
      if (moving === 0) continue;
      const to = shifts[i + 2] ?? 0;
      const by = shifts[i + 3] ?? 0;
      next[to] = (next[to] ?? 0) | (by >= 0 ? moving << by : moving >>> -by);
      any = 1;
    }
    this.latest = latest;
    this.before = now;
    this.waiting = next;
    return (jumps.length > 0 && this.jump(jumps)) || any !== 0;
  }

  private jump(jumps: Int32Array): boolean {
    const { before, waiting } = this;
    const { all } = this.latest;
    let isAny = false;
    for (let i = 0; i < jumps.length;) {
      let taken = 0;
      let end = i + 1 + 2 * (jumps[i] ?? 0);
      for (i++; i < end; i += 2) {
        const word = jumps[i] ?? 0;
        taken |= (before[word] ?? 0) & (all[word] ?? 0) & (jumps[i + 1] ?? 0);
      }
      end = i + 1 + 2 * (jumps[i] ?? 0);
      if (taken === 0) i = end;
      else {
        isAny = true;
        for (i++; i < end; i += 2) {
          const word = jumps[i] ?? 0;
          waiting[word] = (waiting[word] ?? 0) | (jumps[i + 1] ?? 0);
        }
      }
    }
    return isAny;
  }

  private learn(number: number): Taking {
    const all = new Int32Array(this.waiting.length);
    const point = this.alphabet.pointOf(number);
    setBits(all, this.singles.get(point) ?? []);
    for (const [set, masks] of this.sets) if (hasPoint(set, point)) setBits(all, masks);
    const taking = { all, ahead: all.map((word, i) => word & (this.plan.ahead[i] ?? 0)) };
    this.learned++;
    this.kept += 2 * all.length;
    if (this.kept > keptMax) {
      this.classes = [];
      this.kept = 2 * all.length;
    }
    this.classes[number] = taking;
    return taking;
  }
}

/** The positions that take the characters of a class, and those of them that are linked to the one after them. */
interface Taking {
  readonly all: Int32Array;
  readonly ahead: Int32Array;
}

function isSingle([from, to, ...more]: CharSet): boolean {
  return from === to && more.length === 0;
}

function setBits(words: Int32Array, masks: readonly number[]): void {
  for (let i = 0; i < masks.length; i += 2) {
    const word = masks[i] ?? 0;
    words[word] = (words[word] ?? 0) | (masks[i + 1] ?? 0);
  }
}

/** Moves the bits that a mask lets pass to the place above, in another array: in one and the same it takes far longer. */
function stepAhead(now: Int32Array, next: Int32Array, ahead: Int32Array): number {
  let carry = 0;
  let any = 0;
  for (let i = 0; i < now.length; i++) {
    const moving = (now[i] ?? 0) & (ahead[i] ?? 0);
    const word = (moving << 1) | carry;
    next[i] = word;
    any |= word;
    carry = moving >>> 31;
  }
  return any;
}
