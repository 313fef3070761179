import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { oneText } from "../value-tests.ts";
import { WordSearch } from "./word-search.ts";

const letters = fc.constantFrom("a", "b", "A", "B", '"', "\\", "\u0001", "\u007f");
const wordsOf = (minLength: number) =>
  fc.array(fc.string({ unit: letters, minLength, maxLength: 6 }), { minLength: 1, maxLength: 12 });
const someWords = fc.oneof(wordsOf(1), wordsOf(2), wordsOf(3), wordsOf(5));
/** Texts that nearly hold the words, with letters that fold to ASCII ones outside of it. */
const text = fc.string({
  unit: fc.oneof({ weight: 5, arbitrary: letters }, fc.constantFrom("é", "\u212a", "\ud83d\ude00", "\u0131")),
  maxLength: 30,
});

test("one search for many words finds each that the text holds, and no other", () => {
  fc.assert(
    fc.property(
      someWords,
      fc.array(text, { minLength: 1, maxLength: 5 }),
      fc.boolean(),
      (words, texts, isFolded) => {
        const search = new WordSearch(isFolded);
        const operator = isFolded ? "icontains" : "contains";
        const places = words.map((one) => search.add(one) ?? assert.fail(one));
        for (const [stamp, one] of texts.entries()) {
          const bytes = Buffer.from(`ab${one}ba`);
          search.search(bytes, 2, bytes.length - 2, stamp);
          assert.deepEqual(
            words.filter((_, i) => search.holds(places[i] ?? -1, stamp)),
            words.filter((wanted) => oneText(operator, wanted)(one)),
          );
        }
      },
    ),
    { numRuns: 3000 },
  );
});

test("a word that comes in later is looked for beside the others", () => {
  const search = new WordSearch(false);
  const first = search.add("xmrig") ?? assert.fail();
  search.search(Buffer.from("xmrig"), 0, 5, 1);
  const second = search.add("rig") ?? assert.fail();
  search.search(Buffer.from("a rig"), 0, 5, 2);
  assert.deepEqual([first, second, search.add("xmrig")], [0, 1, 0]);
  assert.deepEqual(
    [search.holds(first, 2), search.holds(second, 2), search.holds(first, 1)],
    [false, true, true],
  );
});

test("what is no ASCII, empty, or too much for one table is not taken", () => {
  const search = new WordSearch(true);
  assert.equal(search.add("é"), undefined);
  assert.equal(search.add(""), undefined);
  const places = Array.from({ length: 100 }, (_, i) => search.add(`${i}`.padEnd(100, "x")));
  assert.equal(places.filter((place) => place !== undefined).length, 40);
});
