import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { queryValue } from "./fields/uri.ts";
import { isCompatible } from "./semver.ts";
import { formatTime, parseTime } from "./time.ts";
import { compareUtf8, decodeUtf8, utf8Cut, utf8Length } from "./utf8.ts";

const wellFormed = fc.string({ unit: "binary", maxLength: 20 }).map((text) => text.toWellFormed());

test("utf8Length() and decodeUtf8() agree with the platform's encoder", () => {
  fc.assert(
    fc.property(wellFormed, (text) => {
      const bytes = [...new TextEncoder().encode(text)];
      assert.equal(utf8Length(text), bytes.length);
      assert.equal(decodeUtf8(bytes), text);
    }),
  );
});

test("compareUtf8() orders as the bytes do", () => {
  fc.assert(
    fc.property(wellFormed, wellFormed, (a, b) => {
      assert.equal(Math.sign(compareUtf8(a, b)), Buffer.compare(Buffer.from(a), Buffer.from(b)));
    }),
    { numRuns: 1000 },
  );
});

test("utf8Cut() never cuts a character in two", () => {
  fc.assert(
    fc.property(wellFormed, fc.nat(40), (text, bytesMax) => {
      const cut = utf8Cut(text, bytesMax);
      assert.ok(text.startsWith(cut) && cut.isWellFormed() && utf8Length(cut) <= bytesMax);
    }),
  );
});

test("parseTime() and formatTime() agree with the platform's calendar", () => {
  const date = fc.date({
    min: new Date("0001-01-01T00:00:00Z"),
    max: new Date("9999-12-31T23:59:59Z"),
    noInvalidDate: true,
  });
  fc.assert(
    fc.property(date, (value) => {
      const ns = parseTime(value.toISOString());
      assert.equal(ns, BigInt(value.getTime()) * 1_000_000n);
      assert.equal(formatTime(ns ?? 0n), value.toISOString().replace("Z", "000000Z"));
    }),
    { numRuns: 1000 },
  );
});

test("parseTime() refuses what is no time", () => {
  for (const text of [
    "",
    "yesterday",
    "2024-13-01T00:00:00Z",
    "2023-02-29T00:00:00Z",
    "2024-01-01 00:00:00Z",
    "2024-01-01T24:00:00Z",
  ]) {
    assert.equal(parseTime(text), undefined, text);
  }
  assert.equal(parseTime("1970-01-01T00:00:00.123456789-01:30"), 5_400_123_456_789n);
});

const queries: readonly [string, string, string | undefined][] = [
  ["/x?command=ls&command=id", "command", "ls"],
  ["/x?a=%2Fbin%2Fsh+-c", "a", "/bin/sh -c"],
  ["/x?a", "a", ""],
  ["/x?a=%zz&b=1", "b", undefined],
  ["/x?a=1;b=2", "a", undefined],
  ["/x?a=%C3%A9#a=2", "a", "é"],
  ["/x", "a", undefined],
];
for (const [uri, key, want] of queries) {
  test(`queryValue() reads ${key} of ${uri} as ${want}`, () => assert.equal(queryValue(uri, key), want));
}

test("queryValue() finds a parameter however its name is escaped, and nothing else by a quick look", () => {
  const piece = fc.constantFrom(
    "a",
    "b",
    "%61",
    "%6",
    "+",
    " ",
    "=",
    "&",
    "&",
    "?",
    "?",
    "/",
    ";",
    "#",
    "x:",
    "//",
  );
  const uri = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(""));
  fc.assert(
    fc.property(uri, fc.constantFrom("a", "b", "ab", " ", "c", ""), (given, key) => {
      // The key in a fragment means nothing, but has the whole URI looked at.
      assert.equal(queryValue(given, key), queryValue(`${given}#${key}`, key), given);
    }),
    { numRuns: 10_000 },
  );
});

test("isCompatible() wants the same major and at least the rest", () => {
  assert.equal(isCompatible("0.62.0", "0.31.0"), true);
  assert.equal(isCompatible("0.62.0", "0.62.1"), false);
  assert.equal(isCompatible("1.0.0", "0.62.0"), false);
  assert.equal(isCompatible("0.62.0", "junk"), false);
});
