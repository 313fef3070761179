/** Every command of docs/rollouts.md, as it stands there, by a person at a real server with agents. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { RolloutService, RolloutState } from "#proto/fleet/v1/rollout";
import { startTestFleet, until } from "../../server/rpc/agent-service/fixture.ts";
import type { TestServer } from "../../server/testing.ts";
import { runCli, setEnv } from "../support/run-cli.ts";
import { startSimAgent } from "../support/sim-agent.ts";
import { blocksOf, commandsOf, readPage, wordsOf, yamlOf } from "./blocks.ts";

const page = readPage("rollouts.md");
const lines = blocksOf(page).flatMap(commandsOf);

/** Four clusters in production and one for tests, with agents, on starter@1.0.0; 1.1.0 is released. */
async function startFleet(t: TestContext) {
  const fleet = await startTestFleet(t, 2, {
    env: { FALCONRY_APPROVAL_LABELS: "environment=prod" },
    tuning: { reportMs: 1_000 },
  });
  for (const name of ["eu-1", "eu-2", "eu-3", "us-1", "us-2"]) {
    const environment = name === "us-2" ? "prod" : "test";
    const agent = startSimAgent(await fleet.enrol(name, { labels: { environment, team: "payments" } }));
    t.after(() => agent.stop());
    await agent.connected;
  }
  return fleet.at;
}

/** Contexts of two people: one starts rollouts, the other one may approve them. */
async function becomePeople(t: TestContext, at: TestServer): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "falconry-page-"));
  const before = process.cwd();
  process.chdir(dir);
  t.after(async () => {
    process.chdir(before);
    await rm(dir, { recursive: true });
  });
  const context = async (role: "operator" | "approver") => ({
    server: at.baseUrl,
    ca: at.ca,
    token: await at.token(role),
  });
  const contexts = { operator: await context("operator"), approver: await context("approver") };
  const file = join(dir, "contexts.json");
  await writeFile(file, JSON.stringify({ current: "operator", contexts }), { mode: 0o600 });
  setEnv(t, "FLEETCTL_CONFIG", file);
  await writeFile("strategy.yaml", yamlOf(page)[0] ?? "");
}

async function newest(at: TestServer) {
  const rollouts = await at.client(RolloutService);
  return (await rollouts.listRollouts({ pageSize: 1 })).rollouts[0];
}

/** Lets go of every cluster, as a person does before the next example. */
async function abortAll(at: TestServer): Promise<void> {
  const rollouts = await at.client(RolloutService);
  await until("no rollout is left", async () => {
    const { rollouts: left } = await rollouts.listRollouts({ unfinished: true });
    for (const { id: rolloutId, generation, state } of left) {
      if (state === RolloutState.ROLLING_BACK) continue;
      await rollouts.abortRollout({ rolloutId, generation }).catch(() => undefined); // It has just ended.
    }
    return left.length === 0;
  });
}

const run = async (line: string) => {
  const { code, out, talk } = await runCli(wordsOf(line).slice(1));
  assert.equal(code, 0, `${line}\n${out}${talk}`);
  return `${out}${talk}`;
};

/** What has to be there before a command, and what stands in it for what the reader has. */
async function prepare(at: TestServer, line: string): Promise<string> {
  const tomorrow = new Date(Date.now() + 86_400_000).toISOString();
  const dated = line.replaceAll(/\b20\d\d-\d\d-\d\dT[\d:]+(?:Z|[+-]\d\d:\d\d)/g, tomorrow);
  if (/rollout rules/.test(dated) && !dated.includes("--dry-run")) await abortAll(at);
  if (!/rollout (approve|show) ro_/.test(dated)) return dated;
  if ((await newest(at))?.state !== RolloutState.AWAITING_APPROVAL) {
    await abortAll(at);
    await run("fleetctl rollout rules --environment prod");
  }
  const { id = "", planDigest = "" } = (await newest(at)) ?? {};
  const own = dated.replace("ro_...", id).replace("sha256:...", planDigest);
  return own.includes("rollout approve")
    ? own.replace("rollout approve", "rollout approve --context approver")
    : own;
}

/** What the page says that one sees. */
const seen: readonly [RegExp, RegExp][] = [
  [/--strategy .*--dry-run/, /wave 1\/3 test 1 of 2 \(to 1\)[^]*unproved at a time: at most 1 cluster/],
  [/rollout explain/, /succeeded/],
  [/rollout watch -o json/, /"event":"state"/],
  [/--on-failure rollback --dry-run/, /judged by proof, health 5%, ingest 50%/],
  [/rollout show +#/, /WAVE +GATE +STATE +MEASURED +LIMIT +WHY/],
  [/--window/, /awaiting approval/],
  [/freeze show/, /incident 4711/],
  [/--at /, /awaiting approval/],
  [/show ro_/, /sha256:[0-9a-f]{64}/],
  [/approve ro_.*--plan/, /Approved plan sha256:/],
  [/--reject/, /it has ended/],
  [/--emergency/, /EMERGENCY/],
];

test("every command of the page on rollouts works as it stands there, and shows what the page says", async (t) => {
  const at = await startFleet(t);
  await becomePeople(t, at);
  assert.ok(lines.length >= 17, "the page has commands");
  assert.deepEqual(
    seen.filter(([which]) => !lines.some((line) => which.test(line))).map(([which]) => String(which)),
    [],
    "the page no longer has these",
  );
  await run("fleetctl rollout rules --bundle starter@1.0.0 -l region=eu --watch");
  for (const line of lines) {
    await t.test(line, async () => {
      const [, says] = seen.find(([which]) => which.test(line)) ?? [];
      const command = await prepare(at, line);
      const shown = await run(command);
      // What gates say is there once a cluster has proved.
      if (/rollout show +#/.test(line)) {
        await until("gates have judged", async () => says?.test(await run(command)));
      } else if (says !== undefined) assert.match(shown, says);
    });
  }
});

test("a slip of the pen in a strategy file is told as the page shows it", async (t) => {
  const at = await startFleet(t);
  await becomePeople(t, at);
  await writeFile("strategy.yaml", "canary: 2\nmax_unavalable: 10%\n");
  const { code, talk } = await runCli("rollout rules --all --strategy strategy.yaml --dry-run".split(" "));
  assert.equal(code, 2);
  const [shown = ""] = blocksOf(page).flatMap(({ language, text }) => (language === "" ? [text.trim()] : []));
  assert.match(shown, /max_unavalable/);
  assert.ok(talk.includes(shown), talk);
});
