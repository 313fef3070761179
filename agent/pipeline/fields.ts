import type { FieldPath } from "#shipper";
import { findValue, stepsOf, textOf } from "./json-walk.ts";
import type { RecordKey, Steps, Text } from "./json-walk.ts";
import type { RecordScanner } from "./scan.ts";

/** What a text, number or word says; null, objects and arrays say nothing. */
export function scalarText(value: Text | undefined): string | undefined {
  if (value === undefined) return undefined;
  const { bytes, start, end } = value;
  const first = bytes[start];
  if (first === 0x22) return textOf(bytes, start, end);
  return first === 0x7b || first === 0x5b || first === 0x6e
    ? undefined
    : bytes.toString("latin1", start, end);
}

/** What any value says: objects and arrays as JSON. */
export function anyText(value: Text | undefined): string | undefined {
  const first = value?.bytes[value.start];
  if (value !== undefined && (first === 0x7b || first === 0x5b)) {
    return value.bytes.toString("utf8", value.start, value.end);
  }
  return scalarText(value);
}

interface Field {
  readonly key: RecordKey;
  readonly rest: Steps;
}

/** Reads several fields of records that a scanner has just gone over. */
export class FieldReader {
  readonly #fields: readonly Field[];
  readonly #found: (Text | undefined)[];

  constructor(paths: readonly FieldPath[]) {
    this.#fields = paths.flatMap((path) => {
      const [key, ...rest] = stepsOf(path);
      return typeof key === "object" ? [{ key, rest }] : [];
    });
    this.#found = this.#fields.map(() => undefined);
  }

  get isEmpty(): boolean {
    return this.#fields.length === 0;
  }

  /** The values, in the order of the paths; valid until the next call. */
  read(bytes: Buffer, { members, count }: RecordScanner): readonly (Text | undefined)[] {
    for (const [index, field] of this.#fields.entries()) {
      this.#found[index] = undefined;
      if (field === undefined) continue;
      // Of a repeated key the last one counts, as in JSON.parse.
      for (let at = 4 * (count - 1); at >= 0; at -= 4) {
        if (!field.key.isAt(bytes, members[at] ?? 0, members[at + 1] ?? 0)) continue;
        const start = members[at + 2] ?? 0;
        const end = members[at + 3] ?? 0;
        this.#found[index] =
          field.rest.length === 0 ? { bytes, start, end } : findValue(bytes, start, field.rest);
        break;
      }
    }
    return this.#found;
  }
}
