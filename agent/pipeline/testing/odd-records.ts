import * as fc from "fast-check";

/** What a record holds, with objects as lists: these keep order, and a key that is there twice. */
export type Odd = string | readonly OddMember[];
export type OddMember = readonly [name: string, value: Odd];

/** A record as it may be written, and what it says. The text was made from the members, so that no reader is asked. */
export interface OddRecord {
  readonly members: readonly OddMember[];
  readonly text: string;
}

/** Names that collide with what filters look for, and names that are written with escapes in any case. */
export const oddNames: readonly string[] = ["a", "b", "c", "ab", "n", "o", '"', "\\", "\\u0061", "é", ""];

/** Scalars and arrays as no serializer of ours writes them: their bytes have to survive. */
const scalars: readonly string[] = ["12345678901234567890", "1.50e+01", "-0", "[ 1 ,\t2 ]", '"\\u00e9\\/"'];

const name = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...oddNames) },
  fc.string({ unit: "grapheme", maxLength: 4 }),
);

/** One way to write a name: letters as they are or as `\u`, by the bits of a number. */
function spelled(text: string, how: number): string {
  const units = Array.from({ length: text.length }, (_, at) => text.charCodeAt(at));
  const isWhole = units.every((unit) => unit < 0xd800 || unit > 0xdfff);
  if (how === 0 || !isWhole) return JSON.stringify(text);
  const letters = units.map((unit, at) => {
    const hex = unit.toString(16).padStart(4, "0");
    const shown = (how >> (at % 8)) & 1 ? `\\u${how & 256 ? hex.toUpperCase() : hex}` : undefined;
    return shown ?? JSON.stringify(String.fromCharCode(unit)).slice(1, -1);
  });
  return `"${letters.join("")}"`;
}

interface Written {
  readonly value: Odd;
  readonly text: string;
}

const scalar = fc.constantFrom(...scalars).map((text): Written => ({ value: text, text }));

function objectOf(value: fc.Arbitrary<Written>, isUnique: boolean): fc.Arbitrary<Written> {
  const blank = fc.constantFrom("", "", " ", "\t \r");
  const member = fc.tuple(name, fc.nat(511), value, blank);
  const members = isUnique
    ? fc.uniqueArray(member, { selector: ([key]) => key, maxLength: 9 })
    : fc.array(member, { maxLength: 6 });
  return members.map((all) => {
    const parts = all.map(
      ([key, how, { text }, gap]) => `${gap}${spelled(key, how)}${gap}:${gap}${text}${gap}`,
    );
    return { value: all.map(([key, , { value }]) => [key, value] as const), text: `{${parts.join(",")}}` };
  });
}

/** Records whose keys are there once, and whose objects may hold a key twice. */
export const oddRecords: fc.Arbitrary<OddRecord> = recordsOf(true);

/** Records in which any key may be there twice. */
export const repeatingRecords: fc.Arbitrary<OddRecord> = recordsOf(false);

function recordsOf(isUnique: boolean): fc.Arbitrary<OddRecord> {
  const inner = objectOf(scalar, false);
  return objectOf(fc.oneof(scalar, scalar, inner), isUnique).map(({ value, text }) => ({
    members: typeof value === "string" ? [] : value,
    text,
  }));
}
