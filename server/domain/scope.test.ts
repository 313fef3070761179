import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import {
  inScope,
  isWithin,
  judgeRelabel,
  narrow,
  parseScope,
  scopeText,
  wholeFleet,
  type Scope,
} from "./scope.ts";

const values = fc.subarray(["x", "y", "z"], { minLength: 1 });
const requirement = fc.oneof(
  fc.record({ key: fc.constantFrom("a", "b"), operator: fc.constantFrom("in", "not-in"), values }),
  fc.record({
    key: fc.constantFrom("a", "b"),
    operator: fc.constantFrom("exists", "not-exists"),
    values: fc.constant([] as string[]),
  }),
);
const scope = fc.array(requirement, { maxLength: 3 }).map((raw): Scope => {
  const parsed = parseScope("scope", raw);
  assert.ok(parsed.ok);
  return parsed.value;
});

/** Every set of labels that the scopes above can tell apart. */
const worlds = ["", "x", "y", "z", "other"].flatMap((a) =>
  ["", "x", "y", "z", "other"].map((b) => ({ ...(a === "" ? {} : { a }), ...(b === "" ? {} : { b }) })),
);

test("isWithin() says yes only where every cluster of the one is in the other", () => {
  let count = 0;
  fc.assert(
    fc.property(scope, scope, (inner, outer) => {
      if (!isWithin(inner, outer)) return;
      count += 1;
      for (const labels of worlds) assert.ok(!inScope(inner, labels) || inScope(outer, labels));
    }),
  );
  assert.ok(count > 5, "the law must not pass because it saw nothing");
});

test("narrow() gives exactly the clusters of both, so that nobody gives on more than he has", () => {
  fc.assert(
    fc.property(scope, scope, (holder, wanted) => {
      const given = narrow(holder, wanted);
      assert.ok(given.ok);
      assert.ok(isWithin(given.value, holder));
      for (const labels of worlds) {
        assert.equal(inScope(given.value, labels), inScope(holder, labels) && inScope(wanted, labels));
      }
    }),
  );
});

test("judgeRelabel() lets no scope gain or lose a cluster but those that the holder holds", () => {
  fc.assert(
    fc.property(
      scope,
      scope,
      fc.constantFrom(...worlds),
      fc.constantFrom(...worlds),
      (holder, other, a, b) => {
        if (!inScope(holder, a) || !judgeRelabel(holder, [other], a, b).ok) return;
        assert.ok(inScope(holder, b));
        assert.ok(inScope(other, a) === inScope(other, b) || isWithin(other, holder));
      },
    ),
  );
  assert.ok(judgeRelabel(wholeFleet, [], { a: "x" }, { a: "y" }).ok);
});

test("scopeText() writes a scope as -l takes it", () => {
  const parsed = parseScope("scope", [
    { key: "team", operator: "in", values: ["payments"] },
    { key: "stage", operator: "not-in", values: ["a", "b"] },
    { key: "canary", operator: "not-exists", values: [] },
  ]);
  assert.ok(parsed.ok);
  assert.equal(scopeText(parsed.value), "team=payments,stage notin (a,b),!canary");
  assert.equal(scopeText(wholeFleet), "the whole fleet");
});
