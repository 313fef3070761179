import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { heldRows, withNewest, type Order } from "./held.ts";

interface Row {
  readonly id: string;
  readonly ms: number;
}

const order: Order<Row> = { keyOf: ({ id }) => id, msOf: ({ ms }) => ms };
const idsOf = (rows: readonly Row[]) => rows.map(({ id }) => id).join("");
/** Each row is a millisecond older than the one before it. */
const list = (text: string, firstMs = 0): readonly Row[] =>
  text.split("").map((id, i) => ({ id, ms: firstMs - i }));

test("rows that are held stay in their places, say what is new of them, and nothing comes before or between them", () => {
  const shown = (seen: string, fresh: string) => {
    const { rows, waiting } = heldRows(list(seen), list(fresh), order.keyOf);
    return [idsOf(rows), idsOf(waiting)];
  };
  assert.deepEqual(shown("abc", "xyabc"), ["abc", "xy"]);
  assert.deepEqual(
    shown("abc", "cab"),
    ["abc", ""],
    "a group that gets an alert moves to the front of the list",
  );
  assert.deepEqual(shown("abc", "ac"), ["abc", ""], "what left is still there to be pointed at");
  assert.deepEqual(shown("abc", "xabcde"), ["abcde", "x"], "what was read behind them moves nothing");
  assert.deepEqual(shown("abc", "axbc"), ["abc", "x"]);
  assert.deepEqual(shown("abc", "xyz"), ["abc", "xyz"]);
  const now = { id: "a", ms: 9 };
  assert.deepEqual(heldRows([{ id: "a", ms: 1 }], [now], order.keyOf).rows, [now]);
});

test("what comes to the front of a list that was read back is put there without the list being read again, and what left is gone", () => {
  const merged = (newest: readonly Row[], read: string, isAll = false) => {
    const { rows, isTorn } = withNewest({ rows: newest, isAll }, list(read), order);
    return [idsOf(rows), isTorn];
  };
  assert.deepEqual(merged(list("xab", 1), "abcd"), ["xabcd", false]);
  assert.deepEqual(merged(list("xa", 1), "abcd"), ["xabcd", false], "one match more of a rare pattern");
  assert.deepEqual(merged([{ id: "c", ms: 1 }, ...list("ab")], "abcd"), ["cabd", false], "c moved up");
  const withoutB = list("abc").filter(({ id }) => id !== "b");
  assert.deepEqual(merged(withoutB, "abcd"), ["acd", false], "b left");
  assert.deepEqual(merged(list("a"), "abcd", true), ["a", false], "nothing follows what there is");
  assert.deepEqual(merged([], "abcd", true), ["", false]);
  assert.deepEqual(merged([], "abcd"), ["abcd", false], "so far nothing matches, and more follow");
  assert.deepEqual(merged(list("xyz", 9), "abcd"), ["xyzabcd", true], "others may be between z and a");
  assert.deepEqual(merged(list("xc", 9).with(1, { id: "c", ms: 8 }), "abcd"), ["xcabd", true]);
  assert.deepEqual(merged(list("x"), ""), ["x", true]);
  const read = list("ab");
  assert.equal(withNewest(undefined, read, order).rows, read);
});

test("whatever comes, moves or leaves: a list that is not torn misses no row, and keeps none that left above the end of its first page", () => {
  const change = fc.record({ what: fc.constantFrom("come", "move", "leave"), at: fc.nat(30) });
  const lists = fc.record({
    length: fc.nat(20),
    readMax: fc.integer({ min: 1, max: 20 }),
    pageMax: fc.integer({ min: 1, max: 8 }),
    changes: fc.array(change, { maxLength: 12 }),
  });
  fc.assert(
    fc.property(lists, ({ length, readMax, pageMax, changes }) => {
      const before: readonly Row[] = Array.from({ length }, (_, i) => ({ id: `${i} `, ms: -i }));
      const after = changes.reduce((rows, { what, at }, i): readonly Row[] => {
        const found = rows[at % Math.max(1, rows.length)];
        const others = rows.filter((row) => what === "come" || row !== found);
        if (what === "leave" || (what === "move" && found === undefined)) return others;
        return [{ id: what === "move" ? (found?.id ?? "") : `new${i} `, ms: i + 1 }, ...others];
      }, before);
      const read = before.slice(0, readMax);
      const newest = { rows: after.slice(0, pageMax), isAll: after.length <= pageMax };
      const { rows, isTorn } = withNewest(newest, read, order);
      const keys = rows.map(order.keyOf);
      assert.equal(new Set(keys).size, keys.length, "no row is there twice");
      if (isTorn) return;
      const lastMs = newest.isAll ? -Infinity : (read.at(-1)?.ms ?? Infinity);
      const missed = after.filter((row) => row.ms >= lastMs && !keys.includes(row.id));
      assert.deepEqual(missed, []);
      const endMs = newest.isAll ? -Infinity : (newest.rows.at(-1)?.ms ?? Infinity);
      const there = new Set(after.map(order.keyOf));
      assert.deepEqual(
        rows.filter((row) => row.ms > endMs && !there.has(row.id)),
        [],
      );
    }),
  );
});
