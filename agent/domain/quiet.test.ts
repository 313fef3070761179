import assert from "node:assert/strict";
import { test } from "node:test";
import { justStarted, stepQuiet } from "./quiet.ts";

const lengthMs = 5000;

/** On which of some looks memory is given back. */
function dueAt(looks: readonly number[]): readonly number[] {
  let quiet = justStarted;
  return looks.flatMap((utilization, index) => {
    const next = stepQuiet(quiet, { lengthMs, utilization });
    quiet = next;
    return next.isDue ? [index] : [];
  });
}
const times = (count: number, utilization: number) => Array.from({ length: count }, () => utilization);

test("memory is given back once after a start, when the agent has been at rest for several looks", () => {
  assert.deepEqual(dueAt([0.3, 0.18, 0.01, 0.3, ...times(1000, 0.01)]), [7]);
});

for (const utilization of [0.05, 0.09, 0.5]) {
  test(`an agent that is busy for ${utilization * 100} % of all the time is never stopped to collect garbage`, () => {
    assert.deepEqual(dueAt(times(10_000, utilization)), []);
    // What it is not at rest between does not make it due either.
    assert.deepEqual(dueAt(Array.from({ length: 10_000 }, (_, at) => (at % 3 === 0 ? utilization : 0))), []);
  });
}

test("an agent that does next to nothing, however long, does not collect again", () => {
  assert.deepEqual(dueAt(times(10_000, 0.015)), [3]);
});

test("bursts with rests between them have memory given back no oftener than every ten minutes, and the last one's too", () => {
  const burst = [0.8, ...times(11, 0.005)];
  const [first, ...later] = dueAt([...Array.from({ length: 60 }, () => burst).flat(), ...times(200, 0.005)]);
  assert.equal(first, 4);
  const gaps = later.map((at, index) => at - (later[index - 1] ?? 4));
  assert.ok(gaps.length >= 6 && gaps.every((gap) => gap * lengthMs >= 600_000), gaps.join(", "));
});
