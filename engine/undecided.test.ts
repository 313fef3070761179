import assert from "node:assert/strict";
import { test } from "node:test";
import type { Frame } from "./compile.ts";
import { StepsProblem } from "./regex/regex.ts";
import { Undecided } from "./undecided.ts";

const frame = {} as Frame;
const never = (): boolean => {
  throw new StepsProblem("too long");
};

test("a rule that can not be decided does not match and is told once", () => {
  const undecided = new Undecided();
  assert.equal(
    undecided.matches("plain", () => true, frame),
    true,
  );
  assert.equal(undecided.matches("hard", never, frame), false);
  assert.deepEqual(undecided.take(), ["rule 'hard' was not decided: too long"]);
  assert.deepEqual(undecided.take(), []);
});

test("a rule set of hard rules is told in few words", () => {
  const undecided = new Undecided();
  for (let i = 0; i < 1000; i++) undecided.matches(`r${i}`, never, frame);
  const problems = undecided.take();
  assert.equal(problems.length, 21);
  assert.equal(problems.at(-1), "and 980 problems more");
});

test("what is wrong with a rule in another way is not taken for it", () => {
  const broken = (): boolean => {
    throw new TypeError("broken");
  };
  assert.throws(() => new Undecided().matches("r", broken, frame), TypeError);
});
