/** A problem in a YAML text at an offset, in the words of the library that Falco reads rules with. */
export class YamlProblem extends Error {
  readonly at: number;
  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

/** A limit that a text goes beyond; the words are our own. */
export class YamlLimitProblem extends YamlProblem {}

/** Something that is YAML, but not taken here. */
export class YamlRefusal extends YamlProblem {}

const letters = /[\w/.()=+$;]+/y;

/** A text that is read from its start to its end. */
export class Input {
  readonly text: string;
  at: number;
  line: number;
  private lineStart: number;

  constructor(text: string) {
    this.text = text;
    this.at = 0;
    this.line = 0;
    this.lineStart = 0;
  }

  get done(): boolean {
    return this.at >= this.text.length;
  }

  get column(): number {
    return this.at - this.lineStart;
  }

  /** The character at, or some way behind, the place; empty behind the end. */
  peek(ahead = 0): string {
    return this.text.charAt(this.at + ahead);
  }

  /** Goes on by some characters, none of them a line feed. */
  skip(count: number): void {
    this.at += count;
  }

  takeBreak(): void {
    this.at += this.breakLength();
    this.line++;
    this.lineStart = this.at;
  }

  /** How long the line break here is, or 0 when there is none. */
  breakLength(ahead = 0): number {
    const char = this.peek(ahead);
    if (char === "\n") return 1;
    return char === "\r" && this.peek(ahead + 1) === "\n" ? 2 : 0;
  }

  isBlank(ahead = 0): boolean {
    const char = this.peek(ahead);
    return char === " " || char === "\t";
  }

  /** Whether a blank, a line break or the end is some way behind the place. */
  isGap(ahead: number): boolean {
    return this.isBlank(ahead) || this.breakLength(ahead) > 0 || this.at + ahead >= this.text.length;
  }

  /** Whether the mark that starts (`---`) or ends (`...`) a document stands here. */
  isDocumentMark(mark: "---" | "..."): boolean {
    return this.column === 0 && this.text.startsWith(mark, this.at) && this.isGap(3);
  }

  skipBlanks(): void {
    while (this.isBlank()) this.at++;
  }

  /** Goes on to the line break, or to the end. */
  skipLine(): void {
    const { text, at } = this;
    const feed = text.indexOf("\n", at);
    if (feed < 0) this.at = text.length;
    else this.at = feed > at && text.charAt(feed - 1) === "\r" ? feed - 1 : feed;
  }

  /** Takes letters, digits and other characters that mean nothing in any YAML text, as many as stand here. */
  takeLetters(): string {
    letters.lastIndex = this.at;
    const found = letters.exec(this.text)?.[0] ?? "";
    this.at += found.length;
    return found;
  }

  problem(message: string): YamlProblem {
    return new YamlProblem(message, this.at);
  }
}
