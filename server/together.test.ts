import assert from "node:assert/strict";
import { test } from "node:test";

import { together } from "./together.ts";

function recorded(fails: (items: readonly string[]) => Error | undefined = () => undefined, restMs?: number) {
  const groups: string[][] = [];
  const ask = together<string, string>({
    work: async (items) => {
      groups.push([...items]);
      await new Promise((resolve) => setImmediate(resolve));
      const error = fails(items);
      if (error !== undefined) throw error;
      return items.map((item) => `done ${item}`);
    },
    keyOf: (item) => item[0] ?? "",
    itemsMax: 3,
    ...(restMs === undefined ? {} : { restMs }),
  });
  return { groups, ask };
}

test("the first goes at once, those that come meanwhile go together, and each gets its own answer", async () => {
  const { groups, ask } = recorded();
  const said = await Promise.all(["a1", "b1", "c1", "d1", "e1"].map(ask));
  assert.deepEqual(said, ["done a1", "done b1", "done c1", "done d1", "done e1"]);
  assert.deepEqual(groups, [["a1"], ["b1", "c1", "d1"], ["e1"]]);
  assert.equal(await ask("f1"), "done f1");
});

test("two about the same thing never go together, and the later one goes later", async () => {
  const { groups, ask } = recorded();
  await Promise.all(["a1", "b1", "b2", "c1"].map(ask));
  assert.deepEqual(groups, [["a1"], ["b1", "c1"], ["b2"]]);
});

test("one that fails harms no other of its group", async () => {
  const { groups, ask } = recorded((items) => (items.includes("bad") ? new Error("it is bad") : undefined));
  const said = await Promise.allSettled(["a1", "x1", "bad", "y1"].map(ask));
  assert.deepEqual(
    said.map((each) => (each.status === "fulfilled" ? each.value : String(each.reason))),
    ["done a1", "done x1", "Error: it is bad", "done y1"],
  );
  assert.deepEqual(groups, [["a1"], ["x1", "bad", "y1"], ["x1"], ["bad"], ["y1"]]);
});

test("while the database is away everybody hears of it at once", async () => {
  const away = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" });
  const { groups, ask } = recorded(() => away);
  const said = await Promise.allSettled(["a1", "b1", "c1"].map(ask));
  assert.deepEqual(
    said.map(({ status }) => status),
    ["rejected", "rejected", "rejected"],
  );
  assert.deepEqual(groups, [["a1"], ["b1", "c1"]]);
});

test(
  "while many ask, they wait a little for more to go with, unless there are enough; who asks alone never waits",
  { timeout: 10_000 },
  async (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    const { groups, ask } = recorded(() => undefined, 50);
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    assert.equal(await ask("a1"), "done a1");
    assert.equal(await ask("b1"), "done b1");
    await turn();
    const few = ["c1", "d1"].map(ask);
    for (let i = 0; i < 5; i += 1) await turn();
    const more = ask("e1");
    await turn();
    assert.deepEqual(groups, [["a1"], ["b1"], ["c1"]]);
    t.mock.timers.tick(50);
    await Promise.all([...few, more]);
    assert.deepEqual(groups.at(-1), ["d1", "e1"]);
    await turn();
    await Promise.all(["f1", "g1", "h1", "i1"].map(ask));
    assert.deepEqual(groups.slice(4), [["f1"], ["g1", "h1", "i1"]]);
  },
);
