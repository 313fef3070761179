import { Finder } from "./finder.ts";

/**
 * When a record happened, as it says itself: the last `stageTimestamp` of it, or `requestReceivedTimestamp`, which in an
 * audit event stand behind everything that a client sent. One clock serves all records: nothing is allocated for each.
 */
export class RecordClock {
  /** Whole seconds since 1970. */
  seconds = 0;
  nanos = 0;
  /** Where the text of it is, without quotes; both 0 when the record has none. */
  textStart = 0;
  textEnd = 0;
  readonly #stage = new Finder('"stageTimestamp":"');
  readonly #received = new Finder('"requestReceivedTimestamp":"');
  /** The minute that was worked out last: "2026-11-22T10:31". */
  readonly #minute: Uint8Array = new Uint8Array(16);
  #minuteSeconds = 0;

  /** Reads the time of the record from `start` to `end`; what has none happened at `otherwiseMs`. */
  read(bytes: Buffer, start: number, end: number, otherwiseMs: number): void {
    const stage = this.#stage.last(bytes, start, end);
    if (stage !== -1 && this.#parse(bytes, stage, end)) return;
    const received = this.#received.last(bytes, start, end);
    if (received !== -1 && this.#parse(bytes, received, end)) return;
    const ms = Math.floor(otherwiseMs);
    this.seconds = Math.floor(ms / 1000);
    this.nanos = (ms - this.seconds * 1000) * 1e6;
    this.textStart = this.textEnd = 0;
  }

  /** RFC 3339 in UTC, as Kubernetes writes it; anything else is no time. */
  #parse(bytes: Buffer, at: number, end: number): boolean {
    if (at + 20 > end || bytes[at + 16] !== 0x3a) return false;
    const second = twoDigits(bytes, at + 17);
    let nanos = 0;
    let digits = 0;
    let here = at + 19;
    if (bytes[here] === 0x2e) {
      for (here++; isDigit(bytes[here]) && digits < 9; here++, digits++) {
        nanos = nanos * 10 + (bytes[here] ?? 0) - 0x30;
      }
      if (digits === 0) return false;
    }
    if (bytes[here] !== 0x5a || bytes[here + 1] !== 0x22 || second < 0 || second > 60) return false;
    if (!this.#readMinute(bytes, at)) return false;
    for (; digits < 9; digits++) nanos *= 10;
    this.seconds = this.#minuteSeconds + second;
    this.nanos = nanos;
    this.textStart = at;
    this.textEnd = here + 1;
    return true;
  }

  /** Nearly all records are of the minute of the one before. */
  #readMinute(bytes: Buffer, at: number): boolean {
    const known = this.#minute;
    let same = 15;
    while (same >= 0 && bytes[at + same] === known[same]) same--;
    if (same < 0) return true;
    const text = bytes.toString("latin1", at, at + 16);
    const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d$/.test(text) ? Date.parse(`${text}:00Z`) : Number.NaN;
    if (Number.isNaN(ms)) return false;
    this.#minuteSeconds = ms / 1000;
    known.set(bytes.subarray(at, at + 16));
    return true;
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

/** The number, or -1. */
function twoDigits(bytes: Buffer, at: number): number {
  if (!isDigit(bytes[at]) || !isDigit(bytes[at + 1])) return -1;
  return ((bytes[at] ?? 0) - 0x30) * 10 + (bytes[at + 1] ?? 0) - 0x30;
}
