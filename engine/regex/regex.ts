import { Alphabet } from "./alphabet.ts";
import { buildAutomaton } from "./automaton.ts";
import { BitMachine, type Machine } from "./bit-machine.ts";
import { PatternProblem, tooLarge } from "./pattern.ts";
import { parsePattern } from "./pattern-parser.ts";
import { StateTable } from "./state-table.ts";
import { StretchMachine } from "./stretch-machine.ts";
import { findStretches } from "./stretches.ts";

/** A pattern longer than this is refused. */
export const patternLengthMax = 16_384;
/** A pattern that could take too many steps on a text of this length is refused. */
export const textLengthAlways = 4096;

export interface RegexLimits {
  /** One test takes at most so many steps. A step is two or three nanoseconds of a busy processor. */
  readonly steps: number;
  /** Numbers that are kept of what has been found out about one pattern. */
  readonly room: number;
  /** After so many states that had to be found first, they are not kept for a while. */
  readonly misses: number;
  /** Shorter rows of like positions are not worth to be looked after by the clock. */
  readonly stretch: number;
}

export const regexLimits: RegexLimits = { steps: 16_000_000, room: 1 << 18, misses: 256, stretch: 256 };

/** A text on which a pattern would take too many steps. */
export class StepsProblem extends Error {}

export type RegexOutcome =
  | { readonly ok: true; readonly regex: Regex }
  | { readonly ok: false; readonly message: string };

/** Compiles a regular expression of RE2's POSIX syntax into a test of whole texts. */
export function compileRegex(pattern: string, limits: RegexLimits = regexLimits): RegexOutcome {
  if (pattern.length > patternLengthMax) {
    return { ok: false, message: `pattern too large: more than ${patternLengthMax} characters` };
  }
  try {
    return { ok: true, regex: new Regex(pattern, limits) };
  } catch (error) {
    if (error instanceof PatternProblem) return { ok: false, message: error.message };
    throw error;
  }
}

/** Beyond the misses of the limits, one in so many characters may be one. */
const missesRareness = 8;
/** For so many characters states are not kept then, and twice as many each further time. */
const blindLength = 8192;
/** So many characters are paid for at once. */
const paidLength = 256;

/**
 * Tests texts against a pattern: in a table of states that is filled as they come up, and where a text leads to ever new
 * states, without it. So it takes time in proportion to the text, whatever the pattern.
 */
export class Regex {
  private readonly pattern: string;
  private readonly limits: RegexLimits;
  private readonly matchesEmpty: boolean;
  private readonly alphabet: Alphabet;
  private readonly machine: BitMachine;
  /** Does the same, for some patterns with less work for a character but more to begin with. */
  private readonly walker: Machine;
  /** The waiting positions of the state that is looked at. */
  private readonly waiting: Int32Array;
  private readonly table: StateTable;
  /** What it takes to find a state that is not known. */
  private readonly missSteps: number;
  private row: number;
  private startRow: number;
  private taken: number;
  private length: number;

  constructor(pattern: string, limits: RegexLimits) {
    const automaton = buildAutomaton(parsePattern(pattern));
    this.pattern = pattern;
    this.limits = limits;
    this.matchesEmpty = automaton.matchesEmpty;
    this.alphabet = new Alphabet(automaton.sets);
    this.machine = new BitMachine(automaton, this.alphabet);
    const stretches = findStretches(automaton, limits.stretch);
    this.walker =
      stretches.length === 0 ? this.machine : new StretchMachine(automaton, this.alphabet, stretches);
    this.waiting = new Int32Array(this.machine.size);
    this.table = new StateTable(this.alphabet.size, limits.room);
    this.missSteps = 100 + 3 * this.machine.work + this.alphabet.size / 2;
    this.row = 0;
    this.startRow = 0;
    this.taken = 0;
    this.length = 0;
    if (this.stepsAtWorst(textLengthAlways) > limits.steps) throw tooLarge();
  }

  /** No text of a length takes more steps. */
  stepsAtWorst(length: number): number {
    const { machine, walker, alphabet, missSteps } = this;
    const classes = machine.keepsAll(alphabet.size) ? Math.min(length, alphabet.size) : length;
    const times = 1 + Math.log2(1 + length / blindLength);
    const searches = times * (2 + this.limits.misses) + length / missesRareness;
    return length * (1 + walker.work) + searches * missSteps + 2 * classes * machine.classWork;
  }

  /** How many steps the last test took. */
  get steps(): number {
    return this.taken;
  }

  /** Whether the whole text matches. Throws {@link StepsProblem} when it would take too many steps to find out. */
  test(text: string): boolean {
    this.taken = 0;
    this.length = text.length;
    if (text.length === 0) return this.matchesEmpty;
    this.startRow = this.row = this.startRow === 0 ? this.start() : this.startRow;
    let blind = blindLength;
    for (let at = 0; at < text.length; blind *= 2) {
      at = this.lookUp(text, at);
      if (at < text.length) at = this.workOut(text, at, Math.min(text.length, at + blind));
    }
    return this.table.isDone(this.row);
  }

  private start(): number {
    this.machine.start();
    this.machine.leave(this.waiting);
    return this.find(false);
  }

  /** Goes from state to state as far as it is worth it, and gives the place in the text; its end when no text can match. */
  private lookUp(text: string, from: number): number {
    const { alphabet, table } = this;
    let misses = 0;
    let at = from;
    for (;;) {
      at = this.skim(text, at);
      if (this.row === table.dead) return text.length;
      if (at >= text.length) return at;
      const point = text.codePointAt(at) ?? 0;
      const number = alphabet.classOf(point);
      let next = table.rows[this.row + number] ?? 0;
      if (next === 0) {
        if (misses > this.limits.misses + (at - from) / missesRareness) return at;
        misses++;
        next = this.miss(this.row, number);
      }
      this.row = next;
      this.taken++;
      at += point > 0xffff ? 2 : 1;
    }
  }

  /** Goes on while characters are ASCII and states are known, as nearly all are. A loop of its own is twice as fast. */
  private skim(text: string, from: number): number {
    const { ascii } = this.alphabet;
    const { rows, dead } = this.table;
    let { row } = this;
    let at = from;
    for (; at < text.length; at++) {
      const unit = text.charCodeAt(at);
      if (unit >= 0x80) break;
      const next = rows[row + (ascii[unit] ?? 0)] ?? 0;
      if (next <= dead) {
        if (next === dead) row = dead;
        break;
      }
      row = next;
    }
    this.row = row;
    this.taken += at - from;
    return at;
  }

  private miss(row: number, number: number): number {
    const { table, machine, waiting } = this;
    this.spend(this.missSteps);
    table.load(row, waiting);
    machine.enter(waiting);
    machine.take(number);
    this.spendLearning(machine);
    machine.leave(waiting);
    const { age } = table;
    const next = this.find(machine.isDone);
    if (age === table.age) table.rows[row + number] = next;
    return next;
  }

  /** The row of a state. When there is no room for it, all others are forgotten. */
  private find(isDone: boolean): number {
    const found = this.table.find(this.waiting, isDone);
    if (found !== 0) return found;
    this.table.clear();
    this.startRow = 0;
    return this.table.find(this.waiting, isDone);
  }

  /** Goes on to an end without a look at what is known, and gives the place in the text. */
  private workOut(text: string, from: number, end: number): number {
    const { walker, waiting } = this;
    this.table.load(this.row, waiting);
    walker.enter(waiting);
    let at = from;
    let isOpen = true;
    while (isOpen && at < end) {
      const next = Math.min(end, at + paidLength);
      this.spend(walker.work * (next - at));
      for (; isOpen && at < next; at++) {
        const point = text.codePointAt(at) ?? 0;
        if (point > 0xffff) at++;
        isOpen = walker.take(this.alphabet.classOf(point));
      }
      this.spendLearning(walker);
    }
    walker.leave(waiting);
    this.row = this.find(walker.isDone);
    return at;
  }

  private spendLearning(machine: Machine): void {
    const { learned } = machine;
    machine.learned = 0;
    this.spend(learned * machine.classWork);
  }

  private spend(steps: number): void {
    this.taken += steps;
    if (this.taken <= this.limits.steps) return;
    const pattern = this.pattern.length > 80 ? `${this.pattern.slice(0, 80)}...` : this.pattern;
    const most = `more than ${this.limits.steps} steps on a text of ${this.length} characters`;
    throw new StepsProblem(`regular expression '${pattern}' takes ${most}`);
  }
}
