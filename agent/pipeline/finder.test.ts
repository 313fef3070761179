import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { Finder } from "./finder.ts";

test("a finder finds what lastIndexOf finds, whatever the text and where it is looked for", () => {
  const text = (maxLength: number) =>
    fc.array(fc.constantFrom("a", "b", '"', ":"), { minLength: 1, maxLength }).map((all) => all.join(""));
  fc.assert(
    fc.property(text(6), text(60), fc.nat(60), fc.nat(60), (wanted, bytes, one, other) => {
      const start = Math.min(one, other, bytes.length);
      const end = Math.min(Math.max(one, other), bytes.length);
      const at = bytes.slice(start, end).lastIndexOf(wanted);
      const found = new Finder(wanted).last(Buffer.from(bytes), start, end);
      assert.equal(found, at === -1 ? -1 : start + at + wanted.length);
    }),
    { numRuns: 1000 },
  );
});
