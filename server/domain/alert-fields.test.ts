import assert from "node:assert/strict";
import { test } from "node:test";

import { actorOf, fieldsOf } from "./alert-fields.ts";
import { compileMatchers, parseMatchers } from "./alert-matcher.ts";

test("a silence for a long name does not meet alerts of a longer name that begins the same", () => {
  // As long as a name of a service account gets, and what a matcher may hold at most.
  for (const length of [340, 1_024]) {
    const silenced = `system:serviceaccount:${"a".repeat(length - 22)}`;
    const parsed = parseMatchers("matchers", `actor="${silenced}"`);
    assert.ok(parsed.ok);
    const meets = compileMatchers(parsed.value);
    const facts = { rule: "r", priority: 4, source: "s", output: "", tags: [], cluster: "c", labels: {} };
    const met = [silenced, `${silenced}b`, silenced.slice(0, 200)].map((name) => {
      const fields = fieldsOf(JSON.stringify({ output_fields: { "ka.user.name": name } }));
      return meets({ ...facts, fields, actor: actorOf(fields) });
    });
    assert.deepEqual(met, [true, false, false]);
  }
});
