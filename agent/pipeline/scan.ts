import { numberEnd, skipBlanks, stringEnd, wordEnd } from "#engine";

/** Most levels of nesting in a record: what the API server's own JSON reader allows. */
const depthMax = 10_000;
const membersMax = 65_536;

const objectEnd = 0x7d;

/**
 * Checks that bytes are one JSON object, exactly as strictly as JSON.parse, and finds its top-level members on the way.
 * One scanner serves all records: nothing is allocated per record, and no value is built.
 */
export class RecordScanner {
  /** Of member n: [4n] and [4n+1] are where the key begins and ends, quotes included; [4n+2] and [4n+3] the value. */
  members: Int32Array = new Int32Array(4 * 64);
  count = 0;
  /** Where the braces are. */
  open = 0;
  close = 0;
  /** Whether a key is written with escapes, so that its bytes are not its name. */
  hasEscapedKey = false;
  /** Why the last scan failed. */
  why = "";
  /** The bracket that ends each open object and array but the root. */
  readonly #stack = new Uint8Array(depthMax);

  /**
   * Whether `bytes` from `start` to `end` are a JSON object; a line break or the end of the buffer has to follow, or what ends a
   * value. Bytes beyond ASCII are not looked at: check UTF-8 apart.
   */
  // One loop, because a call for each value would cost a third of the speed.
  // oxlint-disable-next-line eslint/max-lines-per-function
  scan(bytes: Uint8Array, start: number, end: number): boolean {
    const stack = this.#stack;
    this.count = 0;
    this.hasEscapedKey = false;
    let at = skipBlanks(bytes, start);
    if (at >= end || bytes[at] !== 0x7b) return this.#fail("it is no JSON object");
    this.open = at;
    let depth = 0;
    let closing = objectEnd;
    /** Whether something is open that holds nothing yet: it may end at once. */
    let isFresh = true;
    at = skipBlanks(bytes, at + 1);
    for (;;) {
      if (!isFresh || bytes[at] !== closing) {
        if (at >= end) return this.#fail("it is cut off");
        if (closing === objectEnd) {
          const key = at;
          if (bytes[at] !== 0x22) return this.#fail("a key is missing");
          const to = stringEnd(bytes, at + 1);
          if (to === 0) return this.#failString(bytes, at + 1, end);
          at = (to < 0 ? -to : to) + 1;
          const keyEnd = at;
          if ((bytes[at] ?? 0) <= 0x20) at = skipBlanks(bytes, at);
          if (at >= end || bytes[at] !== 0x3a) return this.#fail("a colon is missing");
          at += 1;
          if ((bytes[at] ?? 0) <= 0x20) at = skipBlanks(bytes, at);
          if (depth === 0 && !this.#member(bytes, key, keyEnd, at, to < 0)) return false;
        }
        const byte = bytes[at] ?? 0;
        if (byte === 0x22) {
          const to = stringEnd(bytes, at + 1);
          if (to === 0) return this.#failString(bytes, at + 1, end);
          at = (to < 0 ? -to : to) + 1;
        } else if (byte === 0x7b || byte === 0x5b) {
          if (depth + 1 >= depthMax) return this.#fail(`it is nested deeper than ${depthMax}`);
          depth += 1;
          closing = byte + 2;
          stack[depth] = closing;
          isFresh = true;
          at = skipBlanks(bytes, at + 1);
          continue;
        } else {
          const to = byte > 0x39 ? wordEnd(bytes, at) : numberEnd(bytes, at);
          if (to < 0 || to > end) return this.#fail("a value is missing");
          at = to;
        }
        if (depth === 0) this.members[4 * this.count++ + 3] = at;
      }
      isFresh = false;
      for (;;) {
        if ((bytes[at] ?? 0) <= 0x20) at = skipBlanks(bytes, at);
        if (at >= end) return this.#fail("it is cut off");
        const mark = bytes[at++];
        if (mark === 0x2c) {
          if ((bytes[at] ?? 0) <= 0x20) at = skipBlanks(bytes, at);
          break;
        }
        if (mark !== closing) return this.#fail("a comma or a closing bracket is missing");
        if (depth === 0) {
          this.close = at - 1;
          at = skipBlanks(bytes, at);
          // Blanks may go on over the line break that ends the record.
          return at >= end || this.#fail("something follows the JSON object");
        }
        depth -= 1;
        closing = depth === 0 ? objectEnd : (stack[depth] ?? 0);
        if (depth === 0) this.members[4 * this.count++ + 3] = at;
      }
    }
  }

  /** Notes a key of the record and where its value begins. */
  #member(bytes: Uint8Array, key: number, keyEnd: number, value: number, isHard: boolean): boolean {
    if (this.count >= membersMax) return this.#fail(`it has more than ${membersMax} keys`);
    if (isHard && bytes.subarray(key, keyEnd).includes(0x5c)) this.hasEscapedKey = true;
    const at = 4 * this.count;
    if (at + 3 >= this.members.length) this.#grow();
    this.members[at] = key;
    this.members[at + 1] = keyEnd;
    this.members[at + 2] = value;
    return true;
  }

  #grow(): void {
    const larger = new Int32Array(this.members.length * 2);
    larger.set(this.members);
    this.members = larger;
  }

  #failString(bytes: Uint8Array, from: number, end: number): false {
    const rest = bytes.subarray(from, end);
    const broken = rest.findIndex((byte) => byte < 0x20 || byte === 0x22);
    if (broken !== -1 && rest[broken] !== 0x22) return this.#fail("a string holds a control character");
    return this.#fail(
      broken === -1 && !rest.includes(0x5c)
        ? "a string is not closed"
        : "a string is not closed or holds an escape that does not exist",
    );
  }

  #fail(why: string): false {
    this.why = why;
    return false;
  }
}
