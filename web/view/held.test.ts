import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { addNewest, heldRows, withNewest, type Newest, type Order } from "./held.ts";

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

/** When the list was read: the rows of `list` are all older. */
const readAt = 60_000;
/** What asking for the first page once more brought, a while later: how far back it looked, beyond its last row where little matches. */
const page = (rows: readonly Row[], backMs = rows.at(-1)?.ms ?? Infinity, atMs = 2 * readAt) => ({
  rows,
  backMs,
  atMs,
});
const all = (rows: readonly Row[]) => page(rows, -Infinity);

test("what comes to the front of a list that was read back is put there without the list being read again, and what left is gone", () => {
  const merged = (newest: ReturnType<typeof page>, read: string) => {
    const { rows, isTorn } = withNewest(newest, { rows: list(read), atMs: readAt }, order);
    return [idsOf(rows), isTorn];
  };
  assert.deepEqual(merged(page(list("xab", 1)), "abcd"), ["xabcd", false]);
  assert.deepEqual(merged(page([{ id: "c", ms: 1 }, ...list("ab")]), "abcd"), ["cabd", false], "c moved up");
  const withoutB = list("abc").filter(({ id }) => id !== "b");
  assert.deepEqual(merged(page(withoutB), "abcd"), ["acd", false], "b left");
  assert.deepEqual(merged(all(list("a")), "abcd"), ["a", false], "nothing follows what there is");
  assert.deepEqual(merged(all([]), "abcd"), ["", false]);
  assert.deepEqual(merged(page([], -2), "abcd"), ["cd", false], "none of those that were looked at matches");
  const late = list("xyz", 3 * readAt);
  assert.deepEqual(merged(page(late), "abcd"), ["xyzabcd", true], "others may be between z and a");
  assert.deepEqual(merged(page(late, readAt - 20_000), "abcd"), ["xyzabcd", false], "none is: it looked");
  const read = { rows: list("ab"), atMs: readAt };
  assert.equal(withNewest(undefined, read, order).rows, read.rows);
});

test("who looked further back for what is rare keeps all that was found when one more comes, however much that does not match comes besides", () => {
  const far = { rows: list("a", -1_000_000), atMs: readAt };
  const none = { rows: [], atMs: readAt };
  // Each page looks a little further than to where the one before began.
  const first = page(list("x", 60_000), readAt - 20_000, 80_000);
  const second = page(list("y", 80_000), 65_000, 100_000);
  const third = page([], 85_000, 120_000);
  const known = [first, second, third].reduce<Newest<Row> | undefined>(
    (before, each) => addNewest(before, each, order),
    undefined,
  );
  assert.deepEqual(withNewest(known, far, order), {
    rows: [...list("y", 80_000), ...list("x", 60_000), ...far.rows],
    isTorn: false,
  });
  assert.deepEqual(withNewest(known, none, order).isTorn, false, "nothing was found yet, and one came");
  // The page was out of sight, and so much came meanwhile that nobody knows what is between.
  const gap = addNewest(known, page(list("z", 500_000), 400_000, 500_000), order);
  assert.deepEqual(withNewest(gap, far, order), { rows: [...list("z", 500_000), ...far.rows], isTorn: true });
  const left = addNewest(known, page([], 50_000, 130_000), order);
  assert.deepEqual(withNewest(left, far, order).rows, far.rows, "both left");
  const many = addNewest(
    known,
    page(
      list("m".repeat(1_000), 110_000).map((row, i) => ({ ...row, id: `m${i}` })),
      95_000,
      130_000,
    ),
    order,
  );
  assert.equal(many.rows.length, 1_000, "a list does not grow for ever");
});

/** Between two things that happen; so short that rows come late over several of them. */
const stepMs = 4_000;
/** Up to ten seconds late, or ten minutes ahead where a cluster's clock is wrong. */
const offMs = fc.oneof(
  fc.constant(0),
  fc.integer({ min: -9_999, max: 0 }),
  fc.integer({ min: 0, max: 600_000 }),
);

test("whatever comes, also late or from clocks that are ahead, moves or leaves: a list that is not torn misses no row, and keeps none that left above the end of its first page", () => {
  const change = fc.record({ what: fc.constantFrom("come", "move", "leave"), at: fc.nat(30), off: offMs });
  const newestFirst = (rows: readonly Row[]) => rows.toSorted((one, other) => other.ms - one.ms);
  const lists = fc.record({
    offs: fc.array(offMs, { maxLength: 20 }),
    readMax: fc.integer({ min: 1, max: 20 }),
    pageMax: fc.integer({ min: 1, max: 8 }),
    looks: fc.array(fc.array(change, { maxLength: 6 }), { minLength: 1, maxLength: 4 }),
  });
  fc.assert(
    fc.property(lists, ({ offs, readMax, pageMax, looks }) => {
      // A part of a millisecond tells rows of the same time apart.
      const msAt = (n: number, off: number) => n * stepMs + off + n / 1_000;
      const before = newestFirst(offs.map((off, i) => ({ id: `${i} `, ms: msAt(-i, off) })));
      const read = { rows: before.slice(0, readMax), atMs: stepMs / 2 };
      let [after, newest, n]: [readonly Row[], Newest<Row> | undefined, number] = [before, undefined, 0];
      for (const changes of looks) {
        for (const { what, at, off } of changes) {
          const found = after[at % Math.max(1, after.length)];
          after = after.filter((row) => what === "come" || row !== found);
          if (what === "leave" || (what === "move" && found === undefined)) continue;
          n += 1;
          const id = what === "move" ? (found?.id ?? "") : `new${n} `;
          after = newestFirst([{ id, ms: msAt(n, off) }, ...after]);
        }
        const rows = after.slice(0, pageMax);
        const backMs = after.length <= pageMax ? -Infinity : (rows.at(-1)?.ms ?? Infinity);
        newest = addNewest(newest, { rows, backMs, atMs: (n + 0.5) * stepMs }, order);
      }
      const { rows, isTorn } = withNewest(newest, read, order);
      const keys = rows.map(order.keyOf);
      assert.equal(new Set(keys).size, keys.length, "no row is there twice");
      if (isTorn) return;
      const pageEndMs = after.length <= pageMax ? -Infinity : (after[pageMax - 1]?.ms ?? Infinity);
      const lastMs = (newest?.backMs ?? 0) === -Infinity ? -Infinity : (read.rows.at(-1)?.ms ?? Infinity);
      const missed = after.filter((row) => row.ms >= lastMs && !keys.includes(row.id));
      assert.deepEqual(missed, []);
      const there = new Set(after.map(order.keyOf));
      assert.deepEqual(
        rows.filter((row) => row.ms > pageEndMs && !there.has(row.id)),
        [],
      );
    }),
  );
});
