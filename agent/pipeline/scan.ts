/** Most levels of nesting in a record: what the API server's own JSON reader allows. */
const depthMax = 10_000;
const membersMax = 65_536;

const object = 1;
const array = 2;

type Expect = "key-or-end" | "key" | "value-or-end" | "value" | "after-value";

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
  #bytes: Uint8Array = new Uint8Array();
  #at = 0;
  #end = 0;
  #depth = -1;
  #sawEscape = false;
  #expect: Expect = "value";
  readonly #stack = new Uint8Array(depthMax);

  /** Whether `bytes` from `start` to `end` are a JSON object. Bytes beyond ASCII are not looked at: check UTF-8 apart. */
  scan(bytes: Uint8Array, start: number, end: number): boolean {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.count = 0;
    this.hasEscapedKey = false;
    this.#depth = -1;
    this.#skipSpace();
    if (this.#at >= end || bytes[this.#at] !== 0x7b) return this.#fail("it is no JSON object");
    this.open = this.#at;
    this.#enter(object);
    while (this.#depth >= 0) if (!this.#step()) return false;
    this.close = this.#at - 1;
    this.#skipSpace();
    return this.#at === end || this.#fail("something follows the JSON object");
  }

  #step(): boolean {
    this.#skipSpace();
    if (this.#at >= this.#end) return this.#fail("it is cut off");
    const byte = this.#bytes[this.#at] ?? 0;
    switch (this.#expect) {
      case "key-or-end":
        return byte === 0x7d ? this.#leave() : this.#key(byte);
      case "key":
        return this.#key(byte);
      case "value-or-end":
        return byte === 0x5d ? this.#leave() : this.#value(byte);
      case "value":
        return this.#value(byte);
      case "after-value":
        return this.#afterValue(byte);
    }
  }

  #afterValue(byte: number): boolean {
    const inObject = this.#stack[this.#depth] === object;
    if (byte === 0x2c) {
      this.#at++;
      this.#expect = inObject ? "key" : "value";
      return true;
    }
    if (byte === (inObject ? 0x7d : 0x5d)) return this.#leave();
    return this.#fail("a comma or a closing bracket is missing");
  }

  #enter(kind: number): boolean {
    if (this.#depth + 1 >= depthMax) return this.#fail(`it is nested deeper than ${depthMax}`);
    this.#stack[++this.#depth] = kind;
    this.#at++;
    this.#expect = kind === object ? "key-or-end" : "value-or-end";
    return true;
  }

  #leave(): boolean {
    this.#at++;
    this.#depth--;
    this.#expect = "after-value";
    this.#endValue();
    return true;
  }

  #key(byte: number): boolean {
    if (byte !== 0x22) return this.#fail("a key is missing");
    const start = this.#at;
    if (!this.#string()) return false;
    if (this.#depth === 0) {
      if (this.count >= membersMax) return this.#fail(`it has more than ${membersMax} keys`);
      if (this.#sawEscape) this.hasEscapedKey = true;
      if (4 * this.count + 3 >= this.members.length) this.#grow();
      this.members[4 * this.count] = start;
      this.members[4 * this.count + 1] = this.#at;
    }
    this.#skipSpace();
    if (this.#at >= this.#end || this.#bytes[this.#at] !== 0x3a) return this.#fail("a colon is missing");
    this.#at++;
    this.#skipSpace();
    if (this.#depth === 0) this.members[4 * this.count + 2] = this.#at;
    this.#expect = "value";
    return true;
  }

  #value(byte: number): boolean {
    if (byte === 0x7b) return this.#enter(object);
    if (byte === 0x5b) return this.#enter(array);
    const ok =
      byte === 0x22 ? this.#string() : byte === 0x2d || isDigit(byte) ? this.#number() : this.#word(byte);
    if (!ok) return false;
    this.#expect = "after-value";
    this.#endValue();
    return true;
  }

  #endValue(): void {
    if (this.#depth === 0) this.members[4 * this.count++ + 3] = this.#at;
  }

  #string(): boolean {
    const bytes = this.#bytes;
    const end = this.#end;
    let at = this.#at + 1;
    this.#sawEscape = false;
    while (at < end) {
      const byte = bytes[at] ?? 0;
      if (byte === 0x22) {
        this.#at = at + 1;
        return true;
      }
      if (byte < 0x20) return this.#fail("a string holds a control character");
      if (byte === 0x5c) {
        const length = escapeLength(bytes, at, end);
        if (length === 0) return this.#fail("a string holds an escape that does not exist");
        this.#sawEscape = true;
        at += length;
      } else at++;
    }
    return this.#fail("a string is not closed");
  }

  #number(): boolean {
    if (this.#bytes[this.#at] === 0x2d) this.#at++;
    if (this.#bytes[this.#at] === 0x30 && this.#at < this.#end) this.#at++;
    else if (this.#digits() === 0) return this.#fail("a number has no digits");
    if (this.#at < this.#end && this.#bytes[this.#at] === 0x2e) {
      this.#at++;
      if (this.#digits() === 0) return this.#fail("a number has no digits after the point");
    }
    if (this.#at < this.#end && ((this.#bytes[this.#at] ?? 0) | 0x20) === 0x65) {
      this.#at++;
      const sign = this.#bytes[this.#at];
      if (this.#at < this.#end && (sign === 0x2b || sign === 0x2d)) this.#at++;
      if (this.#digits() === 0) return this.#fail("a number has no exponent");
    }
    return true;
  }

  #digits(): number {
    const start = this.#at;
    while (this.#at < this.#end && isDigit(this.#bytes[this.#at] ?? 0)) this.#at++;
    return this.#at - start;
  }

  #word(byte: number): boolean {
    const word = byte === 0x74 ? "true" : byte === 0x66 ? "false" : byte === 0x6e ? "null" : "";
    if (word === "" || this.#at + word.length > this.#end) return this.#fail("a value is missing");
    for (let index = 0; index < word.length; index++) {
      if (this.#bytes[this.#at + index] !== word.charCodeAt(index)) return this.#fail("a value is missing");
    }
    this.#at += word.length;
    return true;
  }

  #skipSpace(): void {
    const bytes = this.#bytes;
    while (this.#at < this.#end) {
      const byte = bytes[this.#at];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
      this.#at++;
    }
  }

  #grow(): void {
    const larger = new Int32Array(this.members.length * 2);
    larger.set(this.members);
    this.members = larger;
  }

  #fail(why: string): false {
    this.why = why;
    return false;
  }
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** Bytes of the escape at `at`, 0 when there is no such escape. */
function escapeLength(bytes: Uint8Array, at: number, end: number): number {
  if (at + 1 >= end) return 0;
  const kind = bytes[at + 1] ?? 0;
  if (kind !== 0x75) return '"\\/bfnrt'.includes(String.fromCharCode(kind)) ? 2 : 0;
  if (at + 6 > end) return 0;
  for (let index = at + 2; index < at + 6; index++) {
    const byte = bytes[index] ?? 0;
    const letter = byte | 0x20;
    if (!isDigit(byte) && !(letter >= 0x61 && letter <= 0x66)) return 0;
  }
  return 6;
}
