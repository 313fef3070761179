import assert from "node:assert/strict";
import { test } from "node:test";
import { readPrometheus, sumOf } from "./prometheus-text.ts";

test("samples are read with their labels, and what is no sample is left out", () => {
  const samples = readPrometheus(`# HELP a b
# TYPE a counter
a{name="x\\"y",of="\\\\d,{}"} 3 1700000000
a{name="z"} 4e2
b +Inf
c 1.5
broken{name="x} 1
worse{name="x" 1
none
`);
  assert.deepEqual(samples, [
    { name: "a", labels: { name: 'x"y', of: "\\d,{}" }, value: 3 },
    { name: "a", labels: { name: "z" }, value: 400 },
    { name: "c", labels: {}, value: 1.5 },
  ]);
  assert.equal(sumOf(samples, "a"), 403);
  assert.equal(sumOf(samples, "nothing"), undefined);
});
