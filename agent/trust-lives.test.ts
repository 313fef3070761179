import assert from "node:assert/strict";
import { test } from "node:test";
import { createConditions } from "./conditions.ts";
import { noteLives } from "./trust-lives.ts";

const begins = new Date("2030-01-01T00:00:00Z");
const day = 86_400_000;
const after = (days: number) => new Date(begins.getTime() + days * day);

test("the age of metadata is one condition per role, of the worst stage, and goes when it was signed anew", () => {
  const conditions = createConditions(() => {});
  const look = (days: number, targetsFrom = begins) => {
    const targets = { begins: targetsFrom, ends: new Date(targetsFrom.getTime() + 100 * day) };
    const root = { begins, ends: after(1000) };
    noteLives({ root, targets }, conditions, after(days));
    return conditions.list().map(({ code }) => code);
  };
  assert.deepEqual(look(49), []);
  assert.deepEqual(look(50), ["trust/aging targets"]);
  assert.deepEqual(look(80), ["trust/expiring targets"]);
  assert.deepEqual(look(100), ["trust/expired targets"]);
  assert.match(conditions.list()[0]?.message ?? "", /expired at 2030-04-11T00:00:00.000Z: what runs goes on/);
  assert.deepEqual(look(100, after(100)), []);
  assert.deepEqual(look(500, after(490)), ["trust/aging root"]);
  assert.deepEqual(look(1000, after(990)), ["trust/expired root"]);
});

test("what an agent does not hold yet raises nothing, and what it holds no longer is no alarm", () => {
  const conditions = createConditions(() => {});
  const root = { begins, ends: after(1) };
  noteLives({ root, timestamp: root }, conditions, after(1));
  assert.equal(conditions.list().length, 2);
  noteLives({ root }, conditions, after(1));
  assert.deepEqual(
    conditions.list().map(({ code }) => code),
    ["trust/expired root"],
  );
});
