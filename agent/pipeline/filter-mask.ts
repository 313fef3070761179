import { createHmac } from "node:crypto";
import { skipBlanks, stringEnd } from "#engine";
import type { MaskConfig } from "#shipper";
import { KeySet } from "./draft.ts";
import type { Draft, Member } from "./draft.ts";
import { compileConditions } from "./filter-conditions.ts";
import type { Filter } from "./filter.ts";

import { eachMatch, RecordKey, scalarEnd, stepsOf, textOf, wholeOf } from "./json-walk.ts";
import type { Steps, Text } from "./json-walk.ts";

interface Field {
  readonly top: RecordKey;
  readonly rest: Steps;
}

/**
 * `mask`: replaces every text, number and truth value below some fields. Keys and nesting stay, so that a record keeps its
 * shape and its place in an index: texts become the mask, all else becomes null. The draft remembers what was there.
 */
export class MaskFilter implements Filter {
  readonly config: MaskConfig;
  readonly #holds: (draft: Draft) => boolean;
  readonly #fields: readonly Field[];
  readonly #tops: KeySet;
  readonly #mask: (bytes: Buffer, start: number, end: number) => Buffer;

  constructor(config: MaskConfig) {
    this.config = config;
    this.#holds = compileConditions(config.conditions);
    this.#fields = config.fields.flatMap((path) => {
      const [top, ...rest] = stepsOf(path);
      return top instanceof RecordKey ? [{ top, rest }] : [];
    });
    this.#tops = new KeySet(this.#fields.map(({ top }) => top));
    const { how } = config;
    if (how.kind === "text") {
      const text = Buffer.from(JSON.stringify(how.text));
      this.#mask = () => text;
    } else {
      this.#mask = (bytes, start, end) => {
        const digest = createHmac("sha256", how.key)
          .update(textOf(bytes, start, end))
          .digest("hex");
        return Buffer.from(`"hmac:${digest.slice(0, 32)}"`);
      };
    }
  }

  apply(draft: Draft): undefined {
    if (!draft.hasAny(this.#tops) || !this.#findsAny(draft) || !this.#holds(draft)) return;
    let changed = false;
    const members = draft.members.map((member) => {
      const masked = this.#maskMember(member);
      if (masked !== member) changed = true;
      return masked;
    });
    if (changed) draft.replace(members);
  }

  /** A look at the fields before anything is taken apart: most records have nothing to hide. */
  #findsAny(draft: Draft): boolean {
    return this.#fields.some(({ top, rest }) =>
      draft.valuesOf(top).some((value) => {
        let found = false;
        eachMatch(value.bytes, value.start, rest, () => (found = true));
        return found;
      }),
    );
  }

  #maskMember(member: Member): Member {
    let now = member;
    for (const { top, rest } of this.#fields) {
      if (!now.is(top)) continue;
      const value = this.#maskBelow(now.value, rest);
      if (value !== undefined) now = now.withValue(value, now.clear ?? now.value);
    }
    return now;
  }

  /** The value with what the steps lead to masked; undefined when there is nothing to hide. */
  #maskBelow({ bytes, start, end }: Text, steps: Steps): Text | undefined {
    const pieces: Buffer[] = [];
    let kept = start;
    eachMatch(bytes, start, steps, (from, to) => {
      this.#eachScalar(bytes, from, to, (at, after, mask) => {
        pieces.push(bytes.subarray(kept, at), mask);
        kept = after;
      });
    });
    if (pieces.length === 0) return undefined;
    return wholeOf(Buffer.concat([...pieces, bytes.subarray(kept, end)]));
  }

  #eachScalar(
    bytes: Buffer,
    start: number,
    end: number,
    found: (start: number, end: number, mask: Buffer) => void,
  ): void {
    for (let at = start; at < end;) {
      const byte = bytes[at] ?? 0;
      if (byte === 0x22) {
        const after = Math.abs(stringEnd(bytes, at + 1)) + 1;
        const isKey = bytes[skipBlanks(bytes, after)] === 0x3a;
        if (!isKey) found(at, after, this.#mask(bytes, at, after));
        at = after;
      } else if (isScalarStart(byte)) {
        const after = scalarEnd(bytes, at);
        if (byte !== 0x6e) found(at, after, nothing);
        at = after;
      } else at++;
    }
  }
}

const nothing = Buffer.from("null");

/** Whether a number, `true`, `false` or `null` begins with this byte. */
function isScalarStart(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || byte === 0x2d || (byte >= 0x61 && byte <= 0x7a);
}
