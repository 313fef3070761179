import { RE2JS } from "re2js";

/** A pattern longer than this is refused. */
export const patternLengthMax = 16_384;
const repeatMax = 1000;
const nestingMax = 250;

export type RegexOutcome =
  | { readonly ok: true; readonly test: (text: string) => boolean }
  | { readonly ok: false; readonly message: string };

class PatternProblem extends Error {}

/**
 * Compiles a regular expression of RE2's POSIX syntax into a test of a whole text that runs in linear time.
 *
 * The syntax has no Perl escapes, flags or lazy operators (`a*?` is `a*` made optional). The engine below
 * speaks Perl syntax, so the pattern is read here and spelled anew in the part both mean alike.
 */
export function compileRegex(pattern: string): RegexOutcome {
  if (pattern.length > patternLengthMax) {
    return { ok: false, message: `pattern too large: more than ${patternLengthMax} characters` };
  }
  try {
    const regex = RE2JS.compile(new Translator(pattern).translate(), RE2JS.MULTILINE);
    return { ok: true, test: (text) => regex.testExact(text) };
  } catch (error) {
    if (error instanceof Error) return { ok: false, message: error.message };
    throw error;
  }
}

interface Frame {
  /** What is finished in this group, and the piece a repetition would still apply to. */
  done: string;
  atom: string | undefined;
  /** The repetition that `atom` already carries, or an empty text. */
  repeated: string;
}

const newFrame = (): Frame => ({ done: "", atom: undefined, repeated: "" });

class Translator {
  private readonly pattern: string;
  private at: number;

  constructor(pattern: string) {
    this.pattern = pattern;
    this.at = 0;
  }

  translate(): string {
    const stack: Frame[] = [];
    let frame = newFrame();
    while (this.at < this.pattern.length) {
      const char = this.pattern.charAt(this.at);
      if (char === "(") {
        if (stack.length >= nestingMax) throw new PatternProblem("expression nests too deeply");
        this.at++;
        stack.push(frame);
        frame = newFrame();
      } else if (char === ")") {
        const outer = stack.pop();
        if (outer === undefined) throw new PatternProblem(`unexpected ): ${this.pattern}`);
        this.at++;
        const body = finish(frame);
        frame = outer;
        add(frame, `(?:${body})`);
      } else if (char === "|") {
        this.at++;
        frame = { done: `${finish(frame)}|`, atom: undefined, repeated: "" };
      } else if (!this.repetition(frame, char)) {
        add(frame, this.atom(char));
      }
    }
    if (stack.length > 0) throw new PatternProblem(`missing ): ${this.pattern}`);
    return finish(frame);
  }

  private repetition(frame: Frame, char: string): boolean {
    const operator = "*+?".includes(char) ? char : this.counted();
    if (operator === undefined) return false;
    if (frame.atom === undefined) {
      throw new PatternProblem(`no argument for repetition operator: ${operator}`);
    }
    this.at += operator.length;
    const { atom, repeated } = frame;
    if (isSimple(operator) && isSimple(repeated)) {
      // Two of these are one again, so that a row of stars does not nest.
      frame.repeated = operator === repeated ? operator : "*";
      frame.atom = atom.slice(0, -1) + frame.repeated;
    } else {
      frame.atom = (repeated === "" ? atom : `(?:${atom})`) + operator;
      frame.repeated = operator;
    }
    return true;
  }

  /** `{2}`, `{2,}` or `{2,3}` at the current place; any other brace is an ordinary character. */
  private counted(): string | undefined {
    const counted = /\{(\d{1,9})(?:(,)(\d{1,9})?)?\}/y;
    counted.lastIndex = this.at;
    const found = counted.exec(this.pattern);
    if (found === null) return undefined;
    const least = Number(found[1]);
    const most = found[3] === undefined ? least : Number(found[3]);
    if (least > repeatMax || most > repeatMax || most < least) {
      throw new PatternProblem(`invalid repetition size: ${found[0]}`);
    }
    return found[0];
  }

  private atom(char: string): string {
    if (char === "[") return this.charClass();
    if (char === "\\") return literal(this.escape());
    if (char === "." || char === "^" || char === "$") {
      this.at++;
      return char === "." ? "." : `(?:${char})`;
    }
    return literal(this.codePoint());
  }

  private codePoint(): number {
    const point = this.pattern.codePointAt(this.at) ?? 0;
    this.at += point > 0xffff ? 2 : 1;
    return point;
  }

  private escape(): number {
    const rest = this.pattern.slice(this.at + 1);
    if (rest === "") throw new PatternProblem("trailing \\");
    const octal = /^(?:0[0-7]{0,2}|[1-7][0-7]{1,2})/.exec(rest)?.[0];
    if (octal !== undefined) return this.skip(octal.length, Number.parseInt(octal, 8));
    const hex = /^x(?:([0-9a-fA-F]{2})|\{([0-9a-fA-F]{1,6})\})/.exec(rest);
    if (hex !== null) {
      const value = Number.parseInt(hex[1] ?? hex[2] ?? "", 16);
      if (value <= 0x10ffff) return this.skip(hex[0].length, value);
    }
    const control = controls.get(rest.charAt(0));
    if (control !== undefined) return this.skip(1, control);
    const point = rest.codePointAt(0) ?? 0;
    if (point >= 0x80 || /^\w/.test(rest)) {
      throw new PatternProblem(`invalid escape sequence: \\${String.fromCodePoint(point)}`);
    }
    return this.skip(1, point);
  }

  private skip(length: number, value: number): number {
    this.at += 1 + length;
    return value;
  }

  private charClass(): string {
    const start = this.at++;
    const negated = this.pattern.charAt(this.at) === "^";
    if (negated) this.at++;
    let text = "";
    for (let isFirst = true; isFirst || this.pattern.charAt(this.at) !== "]"; isFirst = false) {
      if (this.at >= this.pattern.length) throw new PatternProblem(`missing ]: ${this.pattern.slice(start)}`);
      const next = this.pattern.charAt(this.at + 1);
      if (this.pattern.charAt(this.at) === "-" && !isFirst && next !== "]") {
        throw new PatternProblem(`invalid character class range: -${next}`);
      }
      text += this.namedClass() ?? this.range(start);
    }
    this.at++;
    return `[${negated ? "^" : ""}${text}]`;
  }

  private namedClass(): string | undefined {
    if (!this.pattern.startsWith("[:", this.at)) return undefined;
    const end = this.pattern.indexOf(":]", this.at + 2);
    if (end < 0) return undefined;
    const name = this.pattern.slice(this.at, end + 2);
    if (!classNames.has(name.slice(2, -2).replace("^", ""))) {
      throw new PatternProblem(`invalid character class range: ${name}`);
    }
    this.at = end + 2;
    return name;
  }

  private range(start: number): string {
    const from = this.classChar(start);
    const isRange =
      this.pattern.charAt(this.at) === "-" && !["]", ""].includes(this.pattern.charAt(this.at + 1));
    if (!isRange) return literal(from);
    const begin = this.at;
    this.at++;
    const to = this.classChar(start);
    if (to < from) {
      const text = String.fromCodePoint(from) + this.pattern.slice(begin, this.at);
      throw new PatternProblem(`invalid character class range: ${text}`);
    }
    return `${literal(from)}-${literal(to)}`;
  }

  private classChar(start: number): number {
    if (this.at >= this.pattern.length) throw new PatternProblem(`missing ]: ${this.pattern.slice(start)}`);
    return this.pattern.charAt(this.at) === "\\" ? this.escape() : this.codePoint();
  }
}

const isSimple = (operator: string): boolean => operator === "*" || operator === "+" || operator === "?";

const controls: ReadonlyMap<string, number> = new Map([
  ["a", 7],
  ["f", 12],
  ["n", 10],
  ["r", 13],
  ["t", 9],
  ["v", 11],
]);

const classNames: ReadonlySet<string> = new Set([
  "alnum",
  "alpha",
  "ascii",
  "blank",
  "cntrl",
  "digit",
  "graph",
  "lower",
  "print",
  "punct",
  "space",
  "upper",
  "word",
  "xdigit",
]);

function finish(frame: Frame): string {
  return frame.done + (frame.atom ?? "");
}

function add(frame: Frame, atom: string): void {
  frame.done += frame.atom ?? "";
  frame.atom = atom;
  frame.repeated = "";
}

function literal(point: number): string {
  const char = String.fromCodePoint(point);
  return /^[a-zA-Z0-9]$/.test(char) ? char : `\\x{${point.toString(16)}}`;
}
