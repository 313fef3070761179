import type { FieldPath } from "#shipper";
import { eachChild, findValue, stepsOf, textOf } from "./json-walk.ts";
import type { RecordKey, Steps, Text } from "./json-walk.ts";

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

/** Reads several fields of records, going over each record once. */
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

  /** The values of the object at `at`, in the order of the paths; valid until the next call. */
  read(bytes: Buffer, at: number): readonly (Text | undefined)[] {
    this.#found.fill(undefined);
    if (this.#fields.length === 0) return this.#found;
    eachChild(bytes, at, (keyStart, keyEnd, start, end) => {
      let index = -1;
      for (const { key, rest } of this.#fields) {
        index++;
        if (!key.isAt(bytes, keyStart, keyEnd)) continue;
        // Of a repeated key the last one counts, as in JSON.parse.
        this.#found[index] = rest.length === 0 ? { bytes, start, end } : findValue(bytes, start, rest);
      }
    });
    return this.#found;
  }
}
