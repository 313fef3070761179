const identifier = /[a-zA-Z][a-zA-Z0-9_]*/y;
const fieldName = /[a-zA-Z][a-zA-Z0-9_]*(?:\.[a-zA-Z][a-zA-Z0-9_]*)+/y;
const fieldArgument = /[^\]["'\t\n\v\f\r ]+/y;
const bareString = /[^()"'\t\n\v\f\r =,]+/y;
const hexNumber = /0[xX][0-9a-fA-F]+/y;
const number = /[+-]?[0-9]+\.?[0-9]*(?:[eE][+-][0-9]+)?/y;
const negation = /not[\t\n\v\f\r ]+/y;
const blanks = " \t\b\r\n";

/** A problem in a condition or an output, at an offset of the text that was read. */
export class SyntaxProblem extends Error {
  readonly at: number;
  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

/**
 * A position in a text, moved forward by prefix tests. There is no token stream on purpose: the language is
 * defined by what may follow at each place (`in(a)` and `inabc` are both the operator `in`).
 */
export class Cursor {
  readonly text: string;
  at: number;
  /** The last thing that was read; blanks do not count. It appears in messages. */
  last: string;

  constructor(text: string, at: number) {
    this.text = text;
    this.at = at;
    this.last = "";
  }

  get done(): boolean {
    return this.at >= this.text.length;
  }

  problem(message: string): SyntaxProblem {
    return new SyntaxProblem(message, this.at);
  }

  take(prefix: string): boolean {
    if (!this.text.startsWith(prefix, this.at)) return false;
    this.at += prefix.length;
    this.last = prefix;
    return true;
  }

  /** Skips blanks and says whether there were any. */
  blank(): boolean {
    const before = this.at;
    while (this.isBlank(this.at)) this.at++;
    return this.at > before;
  }

  isBlank(at: number): boolean {
    return at < this.text.length && blanks.includes(this.text.charAt(at));
  }

  /** Takes a word only when a blank follows, and the blanks with it. */
  takeWord(word: string): boolean {
    if (!this.text.startsWith(word, this.at) || !this.isBlank(this.at + word.length)) return false;
    this.at += word.length;
    this.last = word;
    this.blank();
    return true;
  }

  /** Takes the word `not` and the blanks behind it. */
  takeNot(): boolean {
    return this.match(negation) !== undefined;
  }

  identifier(): string | undefined {
    return this.match(identifier);
  }

  fieldName(): string | undefined {
    return this.match(fieldName);
  }

  fieldArgument(): string | undefined {
    return this.match(fieldArgument);
  }

  bareString(): string | undefined {
    return this.match(bareString);
  }

  number(): string | undefined {
    return this.match(hexNumber) ?? this.match(number);
  }

  /**
   * A quoted string, unescaped. Whether a quote ends the string depends on the one character before it, so
   * that a string may not end in an escaped backslash: Falco reads it that way, and rules rely on agreement.
   */
  quoted(): string | undefined {
    const quote = this.text.charAt(this.at);
    if (quote !== '"' && quote !== "'") return undefined;
    let end = this.text.indexOf(quote, this.at + 1);
    while (end > 0 && this.text.charAt(end - 1) === "\\") end = this.text.indexOf(quote, end + 1);
    if (end < 0) return undefined;
    const raw = this.text.slice(this.at + 1, end);
    this.at = end + 1;
    this.last = unescape(raw, quote, this.at);
    return this.last;
  }

  private match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0];
    if (found === undefined) return undefined;
    this.at += found.length;
    this.last = found;
    return found;
  }
}

const escapes: ReadonlyMap<string, string> = new Map([
  ["b", "\b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"],
  ["\\", "\\"],
  ["/", "/"],
  // Old rules write a lone backslash before a blank; it stands for the backslash alone.
  [" ", "\\"],
]);

function unescape(raw: string, quote: string, at: number): string {
  if (!raw.includes("\\")) return raw;
  let text = "";
  for (let i = 0; i < raw.length; i++) {
    const char = raw.charAt(i);
    if (char !== "\\") {
      text += char;
      continue;
    }
    const next = raw.charAt(++i);
    const value = next === quote ? quote : escapes.get(next);
    if (value === undefined) throw new SyntaxProblem(badEscape(next, quote), at);
    text += value;
  }
  return text;
}

function badEscape(char: string, quote: string): string {
  if (char !== '"' && char !== "'") return `unsupported string escape sequence: \\${char}`;
  return `invalid \\${char} escape in ${quote}-quoted string`;
}
