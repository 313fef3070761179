import type { Alphabet } from "./alphabet.ts";
import type { Automaton } from "./automaton.ts";
import { BitMachine, type Machine } from "./bit-machine.ts";
import { type CharSet, hasPoint } from "./char-set.ts";
import { type Cut, cutStretches, type Stretch } from "./stretches.ts";

/** What a stretch costs for each character, in words that a bit machine touches. */
const clockWork = 12;

/**
 * A bit machine that looks after long rows of like positions by the clock: what waits at the first of 900 positions comes out
 * 900 characters later, if all of them are of the right kind. So it does not matter how many there are.
 */
export class StretchMachine implements Machine {
  readonly work: number;
  readonly classWork: number;
  private readonly machine: BitMachine;
  private readonly clocks: readonly Clock[];
  private readonly origins: readonly number[];
  private readonly alphabet: Alphabet;
  /** By class: of each clock, whether its stretch takes the characters. */
  private readonly classes: (readonly boolean[] | undefined)[];
  private readonly sets: readonly CharSet[];

  constructor(automaton: Automaton, alphabet: Alphabet, stretches: readonly Stretch[]) {
    const { automaton: short, cuts, origins } = cutStretches(automaton, stretches);
    this.machine = new BitMachine(short, alphabet);
    this.clocks = cuts.map((cut) => new Clock(cut));
    this.origins = origins;
    this.alphabet = alphabet;
    this.classes = [];
    this.sets = cuts.map(({ from }) => automaton.sets[automaton.positions[from] ?? 0] ?? []);
    this.work = this.machine.work + clockWork * cuts.length;
    this.classWork = this.machine.classWork + clockWork * cuts.length;
  }

  get isDone(): boolean {
    return this.machine.isDone;
  }

  enter(waiting: Int32Array): void {
    this.machine.waiting.fill(0);
    for (const [position, origin] of this.origins.entries()) {
      if (origin >= 0 && hasBit(waiting, origin)) setBit(this.machine.waiting, position);
    }
    for (const clock of this.clocks) clock.enter(waiting);
  }

  leave(waiting: Int32Array): void {
    waiting.fill(0);
    for (const [position, origin] of this.origins.entries()) {
      if (origin >= 0 && hasBit(this.machine.waiting, position)) setBit(waiting, origin);
    }
    for (const clock of this.clocks) clock.leave(waiting);
  }

  get learned(): number {
    return this.machine.learned;
  }

  set learned(count: number) {
    this.machine.learned = count;
  }

  take(number: number): boolean {
    const isTaken = (this.classes[number] ??= this.learn(number));
    let isOpen = this.machine.take(number);
    // In their order, as one may lead to the next.
    for (let i = 0; i < this.clocks.length; i++) {
      if (this.clocks[i]?.tick(isTaken[i] === true, this.machine.waiting) === true) isOpen = true;
    }
    return isOpen;
  }

  private learn(number: number): readonly boolean[] {
    const point = this.alphabet.pointOf(number);
    return this.sets.map((set) => hasPoint(set, point));
  }
}

/** One stretch. Times are counted in characters since the machine was entered. */
class Clock {
  private readonly from: number;
  private readonly length: number;
  private readonly entry: Bit;
  private readonly fill: Bit;
  private readonly exit: Bit;
  /** For each time of late, as long as the stretch is: whether its first position was waiting then. */
  private readonly entered: Uint8Array;
  private now: number;
  /** The place of the present time in them. */
  private slot: number;
  /** When a character came last that the stretch does not take, when all of it was waiting, and when any of it began to. */
  private lastWrong: number;
  private lastFill: number;
  private lastEntry: number;

  constructor({ from, to, entry, fill, exit }: Cut) {
    this.from = from;
    this.length = to - from + 1;
    this.entry = new Bit(entry);
    this.fill = new Bit(fill);
    this.exit = new Bit(exit);
    this.entered = new Uint8Array(this.length);
    this.now = 0;
    this.slot = 0;
    this.lastWrong = 0;
    this.lastFill = 0;
    this.lastEntry = 0;
  }

  enter(waiting: Int32Array): void {
    const { length } = this;
    this.now = 0;
    this.slot = 0;
    this.lastWrong = -2 * length;
    this.lastFill = -2 * length;
    this.lastEntry = -2 * length;
    for (let ago = length - 1; ago >= 0; ago--) {
      const isWaiting = hasBit(waiting, this.from + ago);
      this.entered[(length - ago) % length] = isWaiting ? 1 : 0;
      if (isWaiting) this.lastEntry = -ago;
    }
  }

  leave(waiting: Int32Array): void {
    const { length, now, lastFill, lastWrong } = this;
    for (let ago = 0; ago < length; ago++) {
      const isEntered = this.entered[(this.slot - ago + length) % length] === 1 && lastWrong < now - ago;
      const isFilled = lastWrong < lastFill && now - lastFill <= ago;
      if (isEntered || isFilled) setBit(waiting, this.from + ago);
    }
  }

  /** Goes on by a character that the stretch takes or not. False when nothing in it is waiting. */
  tick(isTaken: boolean, waiting: Int32Array): boolean {
    const { length, entered, entry, fill, exit } = this;
    if (!isTaken) this.lastWrong = this.now;
    const now = ++this.now;
    const slot = this.slot + 1 === length ? 0 : this.slot + 1;
    this.slot = slot;
    const isOut =
      (entered[slot] === 1 && this.lastWrong < now - length) ||
      (now - this.lastFill <= length && this.lastWrong < this.lastFill);
    const isEntered = ((waiting[entry.word] ?? 0) & entry.mask) !== 0;
    entered[slot] = isEntered ? 1 : 0;
    if (isEntered) this.lastEntry = now;
    if (((waiting[fill.word] ?? 0) & fill.mask) !== 0) {
      this.lastFill = now;
      this.lastEntry = now;
    }
    if (isOut) waiting[exit.word] = (waiting[exit.word] ?? 0) | exit.mask;
    return isOut || (this.lastWrong < this.lastEntry && now - this.lastEntry < length);
  }
}

class Bit {
  readonly word: number;
  readonly mask: number;

  constructor(position: number) {
    this.word = position >>> 5;
    this.mask = 1 << (position & 31);
  }
}

function hasBit(words: Int32Array, position: number): boolean {
  return ((words[position >>> 5] ?? 0) & (1 << (position & 31))) !== 0;
}

function setBit(words: Int32Array, position: number): void {
  words[position >>> 5] = (words[position >>> 5] ?? 0) | (1 << (position & 31));
}
