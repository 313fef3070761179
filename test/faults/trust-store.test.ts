import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { openTrustStore, writeTrusted } from "../../agent/trust-store.ts";
import { decodeTrusted } from "#trust";
import { takeStep, trustHistory } from "./trust-store.ts";

// Ten rounds are every point; fewer are a sample, another one in each run.
const rounds = Number(process.env["FALCONRY_CHAOS_ROUNDS"] ?? "3");
const program = join(import.meta.dirname, "trust-store-process.ts");
const now = new Date();
const { begin, history } = await trustHistory(now);

interface Home {
  readonly dir: string;
  readonly state: string;
  readonly steps: string;
}

function newHome(t: TestContext): Home {
  const root = mkdtempSync(join(tmpdir(), "falconry-trust-"));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  const home = {
    dir: join(root, "trust"),
    state: join(root, "trust", "trusted.json"),
    steps: join(root, "steps.json"),
  };
  mkdirSync(home.dir);
  writeTrusted(home.state, begin);
  writeFileSync(home.steps, JSON.stringify(history));
  return home;
}

/** The text of the state after each number of steps, from none on: there is nothing else that a disk may hold. */
const states = (() => {
  const dir = mkdtempSync(join(tmpdir(), "falconry-trust-"));
  try {
    const path = join(dir, "trusted.json");
    writeTrusted(path, begin);
    const store = openTrustStore(path, history.holder);
    const text = () => readFileSync(path, "utf8");
    return [
      text(),
      ...history.steps.map((step) => {
        takeStep(store, step, now);
        return text();
      }),
    ];
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
})();

/** Runs the agent's half until it is killed or done; answers with how many steps it said it took, and what it counted. */
async function run({ state, steps }: Home, killAt: number, killAfterMs?: number) {
  const child = spawn(process.execPath, [program, state, steps, String(killAt)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    // From the first step on, so that the moment falls into the writes and not into the start of the process.
    if (output === "" && killAfterMs !== undefined) setTimeout(() => child.kill("SIGKILL"), killAfterMs);
    output += chunk.toString();
  });
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  return {
    code,
    signal,
    took: [...output.matchAll(/^took /gm)].length,
    points: Number(/^points (\d+)/m.exec(output)?.[1] ?? 0),
  };
}

/** What has to hold whenever the agent was killed, and after it was started again. */
function survived({ dir, state }: Home, took: number, where: string): void {
  const text = readFileSync(state, "utf8");
  assert.ok(decodeTrusted(text).ok, `${where}: the state cannot be read`);
  const reached = states.indexOf(text, took);
  assert.ok(reached === took || reached === took + 1, `${where}: not a state on the way`);
  const store = openTrustStore(state, history.holder);
  assert.deepEqual(readdirSync(dir), ["trusted.json"], `${where}: something is left over`);
  for (const step of history.steps.slice(took)) takeStep(store, step, now);
  assert.equal(readFileSync(state, "utf8"), states.at(-1), `${where}: the agent does not get on`);
}

test(
  "an agent that is killed anywhere in a write of its trust holds the floors from before or after, and gets on",
  { timeout: 3_600_000 },
  async (t) => {
    const whole = await run(newHome(t), -1);
    assert.equal(whole.code, 0);
    assert.equal(whole.took, history.steps.length);
    assert.ok(whole.points >= 100, `only ${whole.points} points`);
    const chosen = rounds >= 10 ? whole.points : Math.min(whole.points, rounds * 2);
    const offset = Math.floor(Math.random() * whole.points);
    for (let i = 0; i < chosen; i += 1) {
      const point = (offset + Math.floor((i * whole.points) / chosen)) % whole.points;
      const home = newHome(t);
      const { signal, took } = await run(home, point);
      assert.equal(signal, "SIGKILL", `point ${point}`);
      survived(home, took, `killed at point ${point}`);
    }
    t.diagnostic(`killed at ${chosen} of ${whole.points} points`);
  },
);

test("an agent that is killed at any moment holds the floors from before or after, and gets on", async (t) => {
  let killed = 0;
  for (let round = 0; round < rounds; round += 1) {
    const home = newHome(t);
    const { signal, took } = await run(home, -1, Math.random() * 60);
    if (signal === "SIGKILL") killed += 1;
    survived(home, took, `killed after step ${took}`);
  }
  // Steps take longer than most of these delays; all rounds done before would mean that nothing was tried.
  assert.ok(rounds < 10 || killed > 0);
  t.diagnostic(`killed in ${killed} of ${rounds} rounds, the others were done before`);
});
