import assert from "node:assert/strict";
import { test } from "node:test";

import { accept, refuse } from "../../domain/refusal.ts";
import { createChangeMemory } from "./change-memory.ts";

test("what was compared is not compared again until others took its place, and a failure is tried again", async () => {
  const compared: string[] = [];
  const memory = createChangeMemory(2);
  let bad: "throws" | "refused" | "good" = "throws";
  const ask = async (...keys: readonly string[]) => {
    const asked = keys.map((key) => ({ key }));
    const got = await memory.get(asked, async (missing) => {
      compared.push(missing.map(({ key }) => key).join("+"));
      const isBad = missing.some(({ key }) => key === "bad");
      if (isBad && bad === "throws") throw new Error("the store is away");
      if (isBad && bad === "refused") return refuse({ kind: "unavailable", why: "later" });
      return accept(missing.map(({ key }) => ({ added: [key], removed: [], changed: [], loss: undefined })));
    });
    return got.ok ? got.value.flatMap(({ added }) => added) : got.refusal.kind;
  };
  for (const key of ["a", "b", "a", "c", "a", "b"]) assert.deepEqual(await ask(key), [key]);
  assert.deepEqual(compared.splice(0), ["a", "b", "c", "b"]);
  assert.deepEqual(
    await ask("b", "d", "a"),
    ["b", "d", "a"],
    "each gets its own, in the order of what was asked",
  );
  assert.deepEqual(compared.splice(0), ["d"]);
  await assert.rejects(ask("bad"), /the store is away/);
  bad = "refused";
  assert.equal(await ask("bad"), "unavailable");
  bad = "good";
  assert.deepEqual(await ask("bad"), ["bad"]);
  assert.deepEqual(compared, ["bad", "bad", "bad"]);
});
