/** A small real fleet, and a person at the command line: rules over events that have passed, what a rollout changes, and what takes it back. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";
import { BundleKind } from "#proto/fleet/v1/common";
import { provedDigest, readClusters } from "../../cli/local/clusters.ts";
import { type Fleet, machineOf, part } from "../../cli/local/fleet.ts";
import { until } from "../../cli/local/until.ts";
import { localFleet } from "../support/local-fleet.ts";
import { programArgs } from "../support/built-programs.ts";
import { runCli, setEnv, spawnCli } from "../support/run-cli.ts";

test("a person at the command line", { timeout: 280_000 }, async (t) => {
  const fleet = await localFleet(t, { regions: ["eu=2", "us=1"], rate: 50 });
  setEnv(t, "FLEETCTL_CONTEXT", "local");
  await t.test(
    "rules are tried on events that have passed, by agents of one region, and a person who interrupts it ends it",
    (each) => tryRules(each, fleet),
  );
  await t.test("a report of the week tells of the same acts as the list of alerts", sameNumbers);
  await t.test(
    "a rollout to a region changes exactly its clusters, undo brings exactly them back, and pause, resume and abort say by their exit codes how it went",
    (each) => rollOutAndUndo(each, fleet),
  );
});

interface BacktestJson {
  readonly backtest: Readonly<
    Record<"id" | "state" | "events" | "now" | "candidate" | "new" | "gone", string>
  > & {
    readonly agents: number;
    readonly ended: number;
    readonly refused: number;
  };
  readonly rules: readonly {
    readonly examples: readonly { readonly fields: Readonly<Record<string, string>> }[];
  }[];
  readonly problems: readonly { readonly clusterName: string; readonly reason: string }[];
}

const eu = (bundle: string) => ["--bundle", bundle, "--region", "eu", "--since", "1h"];

async function backtest(t: TestContext, ...argv: readonly string[]): Promise<BacktestJson> {
  const { code, out, talk } = await runCli(["rules", "backtest", ...argv, "-o", "json"]);
  t.diagnostic(`rules backtest ${argv.join(" ")}: exit ${code}`);
  assert.equal(code, 0, talk);
  return JSON.parse(out) as BacktestJson;
}

async function tryRules(t: TestContext, fleet: Fleet): Promise<void> {
  const { rulesBefore, rulesAfter } = part(fleet, "bundles").names;
  const { backtest: same } = await until("alerts to be among the events", 60_000, async () => {
    const found = await backtest(t, ...eu(rulesBefore));
    return Number(found.backtest.now) > 0 ? { done: found } : { seen: `${found.backtest.events} events` };
  });
  assert.deepEqual(
    [same.state, same.agents, same.ended, same.refused, same.new, same.gone],
    ["BACKTEST_STATE_DONE", 2, 2, 0, "0", "0"],
    "the rules that run raise what they raise",
  );
  assert.equal(same.candidate, same.now);

  const tuned = await backtest(t, ...eu(rulesAfter));
  const { now, candidate, new: added, gone } = tuned.backtest;
  assert.equal(Number(candidate), Number(now) + Number(added) - Number(gone));
  const shown = tuned.rules.flatMap((rule) => rule.examples.flatMap(({ fields }) => Object.values(fields)));
  assert.ok(shown.every((value) => value.length <= 128));
  await interrupted(t, fleet, rulesAfter);
}

/** With one agent that hangs, so that the backtest cannot end by itself. */
async function interrupted(t: TestContext, fleet: Fleet, bundle: string): Promise<void> {
  const pid = machineOf(fleet, "eu-2").agent?.pid();
  assert.ok(pid !== undefined);
  process.kill(pid, "SIGSTOP");
  try {
    const ended = await backtest(t, "--show", await interruptOne(bundle));
    assert.equal(ended.backtest.state, "BACKTEST_STATE_CANCELED");
    const silent = ended.problems.filter(({ reason }) => reason === "backtest/no-answer");
    assert.deepEqual(
      silent.map(({ clusterName }) => clusterName),
      ["eu-2"],
    );
  } finally {
    process.kill(pid, "SIGCONT");
  }
  const again = await backtest(t, ...eu(bundle));
  assert.deepEqual([again.backtest.ended, again.backtest.refused], [2, 0]);
}

/** Starts a backtest, presses Ctrl-C when one agent has ended, and gives its id. */
async function interruptOne(bundle: string): Promise<string> {
  const argv = [...programArgs("fleetctl"), "rules", "backtest", ...eu(bundle)];
  const child = spawn(process.execPath, argv, { stdio: "pipe" });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const out = text(child.stdout);
  await until("one of two agents to end", 30_000, async () =>
    said.includes("1 of 2 agents ended") ? { done: true } : { seen: said },
  );
  const exit = once(child, "exit");
  child.kill("SIGINT");
  const [code] = (await exit) as [number];
  assert.deepEqual([code, await out], [130, ""]);
  return /Backtest (bt_\w+) is cancelled/.exec(said)?.[1] ?? "";
}

/** Acts of the report, and audit events of the list, up to one time. What was seen before it may be written while we read, so both are read until they agree. */
async function sameNumbers(): Promise<void> {
  const upTo = ["--until", new Date().toISOString(), "-o", "json"];
  const report = await until("the report to tell of what the list tells of", 20_000, async () => {
    const listed = await runCli(["alerts", "list", "--tag", "T1609", "--limit", "10000", ...upTo]);
    const reported = await runCli(["report", "exec", "--week", ...upTo]);
    const { alerts } = JSON.parse(listed.out) as {
      alerts: readonly { clusterName: string; auditId: string }[];
    };
    const report = JSON.parse(reported.out) as {
      readonly acts: number;
      readonly alerts: number;
      readonly rows: readonly { readonly count: number; readonly command: string; readonly user: string }[];
    };
    const events = new Set(alerts.map(({ clusterName, auditId }) => `${clusterName} ${auditId}`));
    assert.ok(events.size > 0, "nobody ran a command in a pod");
    const agree = report.acts === events.size && report.alerts === alerts.length;
    return agree
      ? { done: report }
      : { seen: `${alerts.length} alerts of ${events.size} acts, and ${report.alerts} of ${report.acts}` };
  });
  assert.equal(
    report.rows.reduce((sum, { count }) => sum + count, 0),
    report.acts,
  );
  assert.ok(report.rows.every(({ command, user }) => command !== "" && user !== ""));
}

interface RolloutJson {
  readonly id: string;
  readonly state: string;
  readonly generation: string;
  readonly wave?: number;
  readonly waves?: readonly {
    readonly clusters: readonly { readonly clusterName: string; readonly state: string }[];
  }[];
}

/** Runs fleetctl, and holds it to its exit code. Only what is watched is a process of its own, as a person's is: a start takes a second of CPU. */
async function fleetctl(t: TestContext, code: number, ...argv: readonly string[]): Promise<string> {
  const result = await (argv.includes("--watch") ? spawnCli(argv) : runCli(argv));
  t.diagnostic(`fleetctl ${argv.join(" ")}: exit ${result.code}`);
  assert.equal(result.code, code, `fleetctl ${argv.join(" ")}\n${result.out}${result.talk}`);
  return code === 0 ? result.out : result.talk;
}

async function rolloutOf(t: TestContext, ...argv: readonly string[]): Promise<RolloutJson> {
  return JSON.parse(await fleetctl(t, 0, "rollout", ...argv, "-o", "json")) as RolloutJson;
}

/** The digest of the rules that each cluster proves to run. */
async function running(fleet: Fleet): Promise<Record<string, string>> {
  const clusters = await readClusters(fleet);
  return Object.fromEntries(
    [...clusters].map(([name, cluster]) => [name, provedDigest(cluster, BundleKind.RULES)]),
  );
}

async function rollOutAndUndo(t: TestContext, fleet: Fleet): Promise<void> {
  const { names, rulesBefore, rulesAfter } = part(fleet, "bundles");
  const before = await running(fleet);
  assert.deepEqual(before, { "eu-1": rulesBefore, "eu-2": rulesBefore, "us-1": rulesBefore });

  const done = await rolloutOf(t, "rules", "--region", "eu", "--bundle", names.rulesAfter, "--watch");
  assert.equal(done.state, "ROLLOUT_STATE_SUCCEEDED");
  assert.deepEqual(await running(fleet), { ...before, "eu-1": rulesAfter, "eu-2": rulesAfter });
  // What has ended takes no decision but the undo.
  for (const decision of ["pause", "resume", "abort"]) {
    assert.match(await fleetctl(t, 1, "rollout", decision, done.id), /that is succeeded/);
  }

  const undone = await rolloutOf(t, "undo", done.id, "--watch");
  assert.equal(undone.state, "ROLLOUT_STATE_ROLLED_BACK");
  assert.deepEqual(await running(fleet), before);
  assert.match(await fleetctl(t, 1, "rollout", "undo", done.id), /that is rolled-back/);

  await pauseAndResume(t, fleet);
  await fleetctl(t, 0, "rollout", "undo", (await newest(t)).id, "--watch");
  assert.deepEqual(await running(fleet), before);

  await pauseAndAbort(t, fleet);
  await oneCluster(t, fleet);
}

/** The newest rollout. */
async function newest(t: TestContext): Promise<RolloutJson> {
  return rolloutOf(t, "show");
}

/** A rollout of two waves that cannot reach its second by itself before somebody looked. */
function startSlowly(t: TestContext, fleet: Fleet): Promise<RolloutJson> {
  const { rulesAfter } = part(fleet, "bundles").names;
  return rolloutOf(t, "rules", "--region", "eu", "--bundle", rulesAfter, "--soak", "2m", "--no-watch");
}

async function pauseAndResume(t: TestContext, fleet: Fleet): Promise<void> {
  const { rulesBefore, rulesAfter } = part(fleet, "bundles");
  const { id, generation } = await startSlowly(t, fleet);
  await fleetctl(t, 0, "rollout", "pause", id, "--generation", generation);
  assert.match(await fleetctl(t, 1, "rollout", "pause", id), /that is paused/);
  assert.match(
    await fleetctl(t, 1, "rollout", "resume", id, "--generation", generation),
    /changed after generation/,
  );
  // Whoever follows a paused rollout is told by the exit code that it did not succeed.
  assert.match(await fleetctl(t, 1, "rollout", "watch", id), /is paused/);
  await until("the canary keeps on proving while it is paused", 30_000, async () => {
    const now = await running(fleet);
    return now["eu-1"] === rulesAfter ? { done: true } : { seen: JSON.stringify(now) };
  });
  assert.equal((await running(fleet))["eu-2"], rulesBefore);
  await fleetctl(t, 0, "rollout", "resume", id);
  await fleetctl(t, 0, "rollout", "abort", id);
  const ended = await newest(t);
  assert.deepEqual([ended.id, ended.state], [id, "ROLLOUT_STATE_ABORTED"]);
  assert.deepEqual(await running(fleet), {
    "eu-1": rulesAfter,
    "eu-2": rulesBefore,
    "us-1": rulesBefore,
  });
}

async function pauseAndAbort(t: TestContext, fleet: Fleet): Promise<void> {
  const { rulesBefore } = part(fleet, "bundles");
  const { id } = await startSlowly(t, fleet);
  await fleetctl(t, 0, "rollout", "pause", id);
  await fleetctl(t, 0, "rollout", "abort", id);
  assert.match(await fleetctl(t, 1, "rollout", "resume", id), /that is aborted/);
  assert.match(await fleetctl(t, 1, "rollout", "watch", id), /is aborted/);
  assert.equal((await running(fleet))["eu-2"], rulesBefore);
  await fleetctl(t, 1, "rollout", "abort", "ro_0000000000000000");
  await fleetctl(t, 2, "rollout", "abort");
}

/** The label that every cluster has from its name chooses it alone, by either way of saying so. */
async function oneCluster(t: TestContext, fleet: Fleet): Promise<void> {
  const { names, rulesAfter } = part(fleet, "bundles");
  const before = await until("every cluster to run what it is assigned", 30_000, async () => {
    const clusters = [...(await readClusters(fleet)).values()];
    const behind = clusters.filter((c) => provedDigest(c, BundleKind.RULES) !== c.assignment?.rules?.digest);
    return behind.length === 0 ? { done: await running(fleet) } : { seen: behind.map((c) => c.name).join() };
  });
  const done = await rolloutOf(t, "rules", "--cluster", "us-1", "--bundle", names.rulesAfter, "--watch");
  assert.deepEqual(await running(fleet), { ...before, "us-1": rulesAfter });
  await fleetctl(t, 0, "rollout", "undo", done.id, "--watch");
  const again = await rolloutOf(t, "rules", "-l", "cluster=us-1", "--bundle", names.rulesAfter, "--watch");
  assert.deepEqual(
    again.waves?.flatMap((wave) => wave.clusters.map((cluster) => cluster.clusterName)),
    ["us-1"],
  );
  assert.deepEqual(await running(fleet), { ...before, "us-1": rulesAfter });
}
