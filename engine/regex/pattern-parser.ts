import { type CharSet, dot, namedSet, negated, pointMax, union } from "./char-set.ts";
import { choice, type Pattern, PatternProblem, repeat, sequence } from "./pattern.ts";

const repeatMax = 1000;
const nestingMax = 250;

/**
 * Reads RE2's POSIX syntax, with the words of RE2 for what is wrong. The syntax has no Perl escapes, flags or lazy operators
 * (`a*?` is `a*` made optional).
 */
export function parsePattern(text: string): Pattern {
  return new Parser(text).parse();
}

/** What has been read of a group. */
interface Group {
  readonly branches: Pattern[];
  branch: Pattern[];
  /** The piece a repetition would apply to. */
  atom: Pattern | undefined;
  /** How often the most repeated thing in the atom, and in the group, is written out. */
  atomCopies: number;
  copies: number;
}

const newGroup = (): Group => ({ branches: [], branch: [], atom: undefined, atomCopies: 1, copies: 1 });

class Parser {
  private readonly text: string;
  private at: number;

  constructor(text: string) {
    this.text = text;
    this.at = 0;
  }

  parse(): Pattern {
    const outer: Group[] = [];
    let group = newGroup();
    while (this.at < this.text.length) {
      const char = this.text.charAt(this.at);
      if (char === "(") {
        if (outer.length >= nestingMax) throw new PatternProblem("expression nests too deeply");
        this.at++;
        outer.push(group);
        group = newGroup();
      } else if (char === ")") {
        const inner = group;
        const next = outer.pop();
        if (next === undefined) throw new PatternProblem(`unexpected ): ${this.text}`);
        this.at++;
        group = next;
        add(group, finish(inner), inner.copies);
      } else if (char === "|") {
        this.at++;
        endBranch(group);
      } else if (!this.repetition(group, char)) {
        add(group, this.atom(char), 1);
      }
    }
    if (outer.length > 0) throw new PatternProblem(`missing ): ${this.text}`);
    return finish(group);
  }

  private repetition(group: Group, char: string): boolean {
    const range = this.repeatRange(char);
    if (range === undefined) return false;
    const { operator, least, most } = range;
    if (least > repeatMax || (most !== Infinity && (most > repeatMax || most < least))) {
      throw new PatternProblem(`invalid repetition size: ${operator}`);
    }
    if (group.atom === undefined) {
      throw new PatternProblem(`no argument for repetition operator: ${operator}`);
    }
    this.at += operator.length;
    const copies = most === Infinity ? least : most;
    group.atomCopies *= Math.max(1, copies);
    if (copies >= 2 && group.atomCopies > repeatMax) {
      throw new PatternProblem(`invalid repetition size: ${operator}`);
    }
    group.atom = repeat(group.atom, least, most);
    return true;
  }

  /** `*`, `+`, `?`, `{2}`, `{2,}` or `{2,3}` at the current place; any other brace is an ordinary character. */
  private repeatRange(
    char: string,
  ): { readonly operator: string; readonly least: number; readonly most: number } | undefined {
    if (char === "*") return { operator: char, least: 0, most: Infinity };
    if (char === "+") return { operator: char, least: 1, most: Infinity };
    if (char === "?") return { operator: char, least: 0, most: 1 };
    if (char !== "{") return undefined;
    const counted = /\{(0|[1-9]\d{0,8})(?:(,)(0|[1-9]\d{0,8})?)?\}/y;
    counted.lastIndex = this.at;
    const [operator, from, comma, to] = counted.exec(this.text) ?? [];
    if (operator === undefined) return undefined;
    const least = Number(from);
    return {
      operator,
      least,
      most: to === undefined ? (comma === undefined ? least : Infinity) : Number(to),
    };
  }

  private atom(char: string): Pattern {
    if (char === "[") return { kind: "set", set: this.charClass() };
    if (char === "\\") return literal(this.escape());
    if (char === "." || char === "^" || char === "$") {
      this.at++;
      return char === "." ? { kind: "set", set: dot } : { kind: char === "^" ? "begin" : "end" };
    }
    return literal(this.codePoint());
  }

  private codePoint(): number {
    const point = this.text.codePointAt(this.at) ?? 0;
    this.at += point > 0xffff ? 2 : 1;
    return point;
  }

  private escape(): number {
    const rest = this.text.slice(this.at + 1);
    if (rest === "") throw new PatternProblem("trailing \\");
    const octal = /^(?:0[0-7]{0,2}|[1-7][0-7]{1,2})/.exec(rest)?.[0];
    if (octal !== undefined) return this.skip(octal.length, Number.parseInt(octal, 8));
    if (rest.startsWith("x")) return this.hexEscape(rest);
    const control = controls.get(rest.charAt(0));
    if (control !== undefined) return this.skip(1, control);
    const point = rest.codePointAt(0) ?? 0;
    if (point >= 0x80 || /^[0-9A-Za-z]/.test(rest)) throw badEscape(String.fromCodePoint(point));
    return this.skip(1, point);
  }

  private hexEscape(rest: string): number {
    const [two] = /^x[0-9a-fA-F]{2}/.exec(rest) ?? [];
    if (two !== undefined) return this.skip(3, Number.parseInt(two.slice(1), 16));
    const [braced, digits = ""] = /^x\{([0-9a-fA-F]+)\}/.exec(rest) ?? [];
    const value = Number.parseInt(digits, 16);
    if (braced !== undefined && value <= pointMax) return this.skip(braced.length, value);
    throw badEscape(wrongHex(rest));
  }

  private skip(length: number, value: number): number {
    this.at += 1 + length;
    return value;
  }

  private charClass(): CharSet {
    const start = this.at++;
    const isNegated = this.text.charAt(this.at) === "^";
    if (isNegated) this.at++;
    const sets: CharSet[] = [];
    for (let isFirst = true; isFirst || this.text.charAt(this.at) !== "]"; isFirst = false) {
      if (this.at >= this.text.length) throw new PatternProblem(`missing ]: ${this.text.slice(start)}`);
      if (this.text.charAt(this.at) === "-" && !isFirst) this.lastHyphen();
      sets.push(this.namedClass() ?? this.range(start));
    }
    this.at++;
    const set = union(sets);
    return isNegated ? negated(set) : set;
  }

  /** A hyphen after the first place of a class has to be its last. */
  private lastHyphen(): void {
    const next = this.text.codePointAt(this.at + 1);
    // RE2 takes the end of the pattern for half a character here.
    if (next === undefined) throw new PatternProblem("invalid UTF-8");
    if (next === 0x5d) return;
    throw new PatternProblem(`invalid character class range: -${String.fromCodePoint(next)}`);
  }

  private namedClass(): CharSet | undefined {
    if (!this.text.startsWith("[:", this.at)) return undefined;
    const end = this.text.indexOf(":]", this.at + 2);
    if (end < 0) return undefined;
    const name = this.text.slice(this.at, end + 2);
    const set = namedSet(name.slice(2, -2));
    if (set === undefined) throw new PatternProblem(`invalid character class range: ${name}`);
    this.at = end + 2;
    return set;
  }

  private range(start: number): CharSet {
    const begin = this.at;
    const from = this.classChar(start);
    const isRange = this.text.charAt(this.at) === "-" && !["]", ""].includes(this.text.charAt(this.at + 1));
    if (!isRange) return [from, from];
    this.at++;
    const to = this.classChar(start);
    if (to < from) {
      throw new PatternProblem(`invalid character class range: ${this.text.slice(begin, this.at)}`);
    }
    return [from, to];
  }

  private classChar(start: number): number {
    if (this.at >= this.text.length) throw new PatternProblem(`missing ]: ${this.text.slice(start)}`);
    return this.text.charAt(this.at) === "\\" ? this.escape() : this.codePoint();
  }
}

const controls: ReadonlyMap<string, number> = new Map([
  ["a", 7],
  ["f", 12],
  ["n", 10],
  ["r", 13],
  ["t", 9],
  ["v", 11],
]);

function literal(point: number): Pattern {
  return { kind: "set", set: [point, point] };
}

function add(group: Group, atom: Pattern, copies: number): void {
  endAtom(group);
  group.atom = atom;
  group.atomCopies = copies;
}

function endAtom(group: Group): void {
  if (group.atom !== undefined) group.branch.push(group.atom);
  group.copies = Math.max(group.copies, group.atomCopies);
  group.atom = undefined;
  group.atomCopies = 1;
}

function endBranch(group: Group): void {
  endAtom(group);
  group.branches.push(sequence(group.branch));
  group.branch = [];
}

function finish(group: Group): Pattern {
  endBranch(group);
  return choice(group.branches);
}

function badEscape(text: string): PatternProblem {
  return new PatternProblem(`invalid escape sequence: \\${text}`);
}

/** The part of a wrong `\x` that RE2 has looked at when it gives up. */
function wrongHex(rest: string): string {
  if (!rest.startsWith("x{")) return Array.from(rest).slice(0, 3).join("");
  let value = 0;
  for (let i = 2; ; i++) {
    const digit = Number.parseInt(rest.charAt(i), 16);
    value = value * 16 + digit;
    if (Number.isNaN(digit) || value > pointMax) {
      return rest.slice(0, i) + (Array.from(rest.slice(i))[0] ?? "");
    }
  }
}
