import assert from "node:assert/strict";
import { test } from "node:test";

import { isIdentifier, isLabelKey, isLabelValue, isName, isPath, isSha256, isVersion } from "./names.ts";

const many = (count: number, text = "a") => text.repeat(count);
const parts = (count: number, length = 1) => Array.from({ length: count }, () => many(length)).join("/");

type Case = readonly [(value: unknown) => boolean, readonly string[], readonly string[]];

const cases: readonly Case[] = [
  [isName, ["a", "0", "team-payments", many(63)], ["", "A", "-a", "a-", "a_b", "a.b", many(64), "a\n"]],
  [
    isVersion,
    ["0.0.0", "1.4.0", "999999999.0.0", "2.0.0-rc.1", `1.0.0-${many(31)}`, "1.0.0-a.b.c.d.e"],
    ["1", "1.0", "01.0.0", "1.0.0+b", "1.0.0-", "1.0.0-a..b", "1.0.0-a.b.c.d.e.f", `1.0.0-${many(32)}`],
  ],
  [
    isPath,
    ["a", "k8s/exec.yaml", "_/A", many(100), parts(8), `${parts(7, 24)}/${many(25)}`],
    [
      "",
      "/a",
      "a/",
      "a//b",
      "../a",
      "a/..",
      ".a",
      "a\\b",
      many(101),
      parts(9),
      `${parts(7, 24)}/${many(26)}`,
    ],
  ],
  [isLabelKey, ["a", "A/b.c_d", many(63)], ["", "-a", "a/", "a b", many(64)]],
  [isLabelValue, ["a", "A.b_c-d", many(63)], ["", "a/b", "-a", "a.", many(64)]],
  [isSha256, [many(64), many(32, "0f")], [many(63), many(65), many(64, "A"), many(64, "g")]],
  [isIdentifier, ["cl_1", many(128)], ["", "_a", "a/b", "../a", "a.", many(129)]],
];
for (const [is, good, bad] of cases) {
  test(`${is.name}() takes what fits into paths, ids and logs, up to its longest, and nothing beyond`, () => {
    for (const text of good) assert.equal(is(text), true, text);
    for (const text of bad) assert.equal(is(text), false, text);
    for (const odd of [undefined, null, 1, {}, [good[0]]]) assert.equal(is(odd), false);
  });
}
