import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { BacktestState } from "#proto/fleet/v1/backtest";
import { BundleKind } from "#proto/fleet/v1/common";
import { serveFleet } from "../test/support/fake-fleet.ts";
import { runCli, useContext } from "../test/support/run-cli.ts";

async function newFleet(t: TestContext) {
  const served = await serveFleet(t);
  await useContext(t, served.context);
  for (const name of ["eu-1", "eu-2"]) served.fleet.addCluster(name, { region: "eu", team: "payments" });
  served.fleet.addBundle(BundleKind.RULES, "starter", "1.1.0");
  return served.fleet.backtests;
}

const command = (more: string) => `rules backtest --bundle starter@1.1.0 ${more}`.trim().split(" ");

test("rules backtest asks for the time and the clusters, tells how far it is, and prints what each rule would have done", async (t) => {
  const backtests = await newFleet(t);
  const now = Date.UTC(2030, 0, 1);
  const { code, out, talk } = await runCli(command("-l team=payments --since 6h --until 30m --deadline 5m"), {
    now,
  });
  assert.equal(code, 0, talk);
  const [asked] = backtests.asked;
  assert.deepEqual(
    [asked?.bundle, asked?.deadlineSeconds, asked?.since?.seconds, asked?.until?.seconds],
    ["starter@1.1.0", 300, BigInt(now / 1000 - 6 * 3600), BigInt(now / 1000 - 1800)],
  );
  assert.match(talk, /bt_1 running: 0 of 2 agents ended, 50 %.*; 2 without an answer/);
  assert.match(
    out,
    /bt_1 done: 2 of 2 agents ended, 100 %, 12 events: 3 alerts new, 1 gone \(4 now, 6 then\)\n/,
  );
  assert.match(out, /RULE +NOW +THEN +NEW +GONE +CLUSTERS\nExec into a pod +4 +6 +3 +1 +2/);
  assert.match(out, /eu-2\/node-1: backtest\/ring-short: since an hour only/);
  const shown = await runCli(["rules", "backtest", "--show", "bt_1"]);
  assert.deepEqual([shown.code, shown.out], [0, out], "it can be looked at again");
});

test("rules backtest -o json gives one document and keeps progress out of it", async (t) => {
  await newFleet(t);
  const { code, out, talk } = await runCli(command("--all --since 1h -o json"), { terminal: true });
  assert.equal(code, 0);
  const { backtest, rules } = JSON.parse(out) as { backtest: { state: string }; rules: { new: string }[] };
  assert.deepEqual([backtest.state, rules[0]?.new], ["BACKTEST_STATE_DONE", "3"]);
  assert.match(talk, /running/);
});

test("rules backtest draws its progress in place for a person", async (t) => {
  await newFleet(t);
  const { out, talk } = await runCli(command("--all --since 1h"), { terminal: true });
  assert.ok(out.includes("bt_1 running") && !talk.includes("running"), talk);
});

test("Ctrl-C cancels the backtest and says so", async (t) => {
  const backtests = await newFleet(t);
  backtests.end = BacktestState.RUNNING;
  const interrupt = new AbortController();
  const onTalk = (all: string) => all.includes("running") && interrupt.abort();
  const options = { interrupt: interrupt.signal, onTalk };
  const { code, talk } = await runCli(command("--all --since 1h"), options);
  assert.equal(code, 130);
  assert.match(talk, /bt_1 is cancelled[\s\S]*--show bt_1/);
  assert.equal(backtests.find("bt_1").state, BacktestState.CANCELED);
});

test("the exit code tells a backtest that nobody could do, or that was late, from one that was done", async (t) => {
  const backtests = await newFleet(t);
  backtests.refused = 2;
  const nobody = await runCli(command("--all --since 1h"));
  assert.equal(nobody.code, 1);
  assert.match(nobody.talk, /No agent replayed anything: 2 of 2/);
  backtests.end = BacktestState.LATE;
  assert.equal((await runCli(command("--all --since 1h"))).code, 1);
  const canceled = await runCli(["rules", "backtest", "--cancel", "bt_2"]);
  assert.equal(canceled.code, 0);
  for (const wrong of ["--since 1h", "--all", "--all --since soon", "--since 1h --show bt_1"]) {
    assert.equal((await runCli(command(wrong))).code, 2, wrong);
  }
  assert.equal((await runCli(command("-l team=nowhere --since 1h"))).code, 1);
});
