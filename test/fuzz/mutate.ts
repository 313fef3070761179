import * as fc from "fast-check";

/** One change to a text. Places are fractions, so that a change means something for any text. */
interface Change {
  readonly kind: "flip" | "drop" | "double" | "insert" | "swap" | "splice" | "cut" | "unit";
  readonly at: number;
  readonly length: number;
  readonly pick: number;
}

const fraction = fc.double({ min: 0, max: 0.999999, noNaN: true });
const changes = fc.array(
  fc.record({
    kind: fc.constantFrom<Change["kind"]>(
      "flip",
      "drop",
      "double",
      "insert",
      "swap",
      "splice",
      "cut",
      "unit",
    ),
    at: fraction,
    length: fc.nat(40),
    pick: fraction,
  }),
  { minLength: 1, maxLength: 6 },
);

/** No text grows beyond this many characters, so that a case stays small and its cost means something. */
const lengthMax = 60_000;

/** Texts made from known ones by changing bytes and words; now and then from nothing but words. */
export function mutated(corpus: readonly string[], words: readonly string[]): fc.Arbitrary<string> {
  const word = fc.constantFrom(...words);
  const repeated = fc
    .tuple(word, word, fc.nat(3000))
    .map(([before, again, times]) => before + again.repeat(times));
  return fc.oneof(
    {
      weight: 8,
      arbitrary: fc
        .tuple(fc.constantFrom(...corpus), fc.constantFrom(...corpus), changes)
        .map(([text, other, all]) => all.reduce((now, one) => apply(now, one, other, words), text)),
    },
    { weight: 2, arbitrary: fc.array(word, { maxLength: 60 }).map((all) => all.join("")) },
    { weight: 1, arbitrary: repeated },
    { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 200 }) },
  );
}

function apply(text: string, change: Change, other: string, words: readonly string[]): string {
  return changed(text, change, other, words).slice(0, lengthMax);
}

function changed(
  text: string,
  { kind, at, length, pick }: Change,
  other: string,
  words: readonly string[],
): string {
  const place = Math.floor(at * (text.length + 1));
  const word = words[Math.floor(pick * words.length)] ?? "";
  const [before, after] = [text.slice(0, place), text.slice(place)];
  switch (kind) {
    case "flip":
      return flipped(text, at, pick);
    case "drop":
      return before + after.slice(length);
    case "double":
      return before + after.slice(0, length).repeat(1 + Math.floor(pick * 40)) + after.slice(length);
    case "insert":
      return before + word + after;
    case "swap":
      return before + after.replace(/[\w.]+|\S/, () => word);
    case "splice":
      return before + other.slice(Math.floor(pick * other.length));
    case "cut":
      return before;
    case "unit":
      return before + String.fromCharCode(Math.floor(pick * 0x10000)) + after;
  }
}

/** Turns over one bit of the text's bytes, which may leave bytes that are no UTF-8. */
function flipped(text: string, at: number, pick: number): string {
  const bytes = Buffer.from(text);
  const index = Math.floor(at * bytes.length);
  const byte = bytes[index];
  if (byte !== undefined) bytes[index] = byte ^ (1 << Math.floor(pick * 8));
  return bytes.toString();
}
