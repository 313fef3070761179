/** A small real fleet, and a person at the command line: rules over events that have passed, on agents of their own processes. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";
import { type Fleet, machineOf, part } from "../../cli/local/fleet.ts";
import { until } from "../../cli/local/until.ts";
import { localFleet } from "../support/local-fleet.ts";
import { spawnCli } from "../support/run-cli.ts";

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

const env = { FLEETCTL_CONTEXT: "local" };
const eu = (bundle: string) => ["--bundle", bundle, "--region", "eu", "--since", "1h"];

async function backtest(t: TestContext, ...argv: readonly string[]): Promise<BacktestJson> {
  const { code, out, talk } = await spawnCli(["rules", "backtest", ...argv, "-o", "json"], { env });
  t.diagnostic(`rules backtest ${argv.join(" ")}: exit ${code}`);
  assert.equal(code, 0, talk);
  return JSON.parse(out) as BacktestJson;
}

test(
  "rules are tried on events that have passed, by agents of one region, and a person who interrupts it ends it",
  { timeout: 240_000 },
  async (t) => {
    const fleet = await localFleet(t, { regions: ["eu=2", "us=1"], rate: 50 });
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
  },
);

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
  const main = join(import.meta.dirname, "../../cli/main.ts");
  const argv = [main, "rules", "backtest", ...eu(bundle)];
  const child = spawn(process.execPath, argv, { env: { ...process.env, ...env }, stdio: "pipe" });
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
