import assert from "node:assert/strict";
import { test } from "node:test";

import { createChangeMemory } from "./change-memory.ts";
import type { BundleChange } from "./diff.ts";

test("what was compared is not compared again until others took its place, and a failure is tried again", async () => {
  const compared: string[] = [];
  const memory = createChangeMemory(2);
  const ask = (key: string) =>
    memory.get(key, async (): Promise<BundleChange> => {
      compared.push(key);
      if (key === "bad" && compared.length < 8) throw new Error("the store is away");
      return { added: [key], removed: [], changed: [], loss: undefined };
    });
  for (const key of ["a", "b", "a", "c", "a", "b"]) assert.deepEqual((await ask(key)).added, [key]);
  assert.deepEqual(compared, ["a", "b", "c", "b"]);
  await assert.rejects(ask("bad"), /the store is away/);
  compared.push("", "", "");
  assert.deepEqual((await ask("bad")).added, ["bad"]);
});
