/** A candidate over the events that agents kept: whole agents, a real server, and nothing that is emitted. */
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { sql } from "../server/store/drizzle.ts";
import { BacktestService, BacktestState } from "#proto/fleet/v1/backtest";
import { RolloutService } from "#proto/fleet/v1/rollout";
import { openBacktestStarts } from "./backtest-starts.ts";
import { newHome, rules, shipper, startAgentFleet, until } from "./testing.ts";

const listRule = `- rule: Listed
  desc: d
  condition: ka.verb = list
  output: "%ka.user.name listed with %ka.uri"
  priority: WARNING
  source: k8s_audit
`;
const ringOn = "[SERVICE]\n  backtest_ring on\n";
const lastHour = () => timestampFromMs(Date.now() - 3_600_000);

/** An agent on which starter 1.0.0 runs, and 2.0.0, which notices lists and nothing else, is released. */
async function setUp(t: TestContext, transport: string, service = ringOn) {
  const fleet = await startAgentFleet(t);
  const config = shipper("1.0.0", service);
  await fleet.release(config, rules("2.0.0", { files: [{ path: "rules.yaml", content: listRule }] }));
  const home = newHome(t, await fleet.joinString(), { FALCONRY_TRANSPORT: transport });
  const agent = await home.start();
  await fleet.assign("rules", "starter@1.0.0");
  await until("the rules are proved", async () => (await fleet.proved("rules")) === fleet.bundles[0]?.digest);
  await fleet.assign("shipper", "default@1.0.0");
  await until("the shipper is proved", async () => (await fleet.proved("shipper")) === config.digest);
  const rollouts = await fleet.at.client(RolloutService);
  await until("nothing is in work", async () => {
    return (await rollouts.listRollouts({ unfinished: true })).rollouts.length === 0;
  });
  const backtests = await fleet.at.client(BacktestService);
  const start = async () => {
    const { backtest } = await backtests.startBacktest({ bundle: "starter@2.0.0", since: lastHour() });
    return backtest?.id ?? "";
  };
  const ended = async (backtestId: string) => {
    await until("the backtest is over", async () => {
      return (await backtests.getBacktest({ backtestId })).backtest?.state !== BacktestState.RUNNING;
    });
    return backtests.getBacktest({ backtestId });
  };
  return { fleet, home, agent, backtests, start, ended };
}

for (const transport of ["stream", "long-poll"]) {
  test(`over ${transport}, a backtest counts per rule over events that have passed, and changes nothing`, async (t) => {
    const { fleet, home, start, ended } = await setUp(t, transport);
    home.exec("e-1");
    for (let i = 0; i < 3; i++) home.list(`l-${i}`);
    home.exec("e-2");
    await until("the alerts are in the store", async () => (await fleet.alerts()).length === 2);
    const { backtest, rules: sums, problems } = await ended(await start());
    assert.deepEqual(
      [backtest?.state, backtest?.events, backtest?.agents, backtest?.ended, backtest?.refused],
      [BacktestState.DONE, 5n, 1, 1, 0],
    );
    assert.ok(backtest && backtest.bytesTotal > 0n && backtest.bytesDone === backtest.bytesTotal);
    const counts = sums.map((sum) => [sum.rule === "Listed", sum.now, sum.candidate, sum.new, sum.gone]);
    assert.deepEqual(counts, [
      [true, 0n, 3n, 3n, 0n],
      [false, 2n, 0n, 0n, 2n],
    ]);
    const sample = sums[0]?.examples[0];
    assert.equal(sample?.clusterName, "eu-1");
    assert.match(sample.fields["ka.uri"] ?? "", /^\(\d+ characters\)$/, "what was asked for is not shown");
    assert.deepEqual(
      problems.map(({ reason }) => reason),
      ["backtest/ring-short"],
      "it began less than an hour ago",
    );
    assert.equal(await fleet.proved("rules"), fleet.bundles[0]?.digest);
    const { rows } = await fleet.at.db.execute(sql`select 1 from alerts where rule = 'Listed'`);
    assert.equal(rows.length, 0, "no alert of the candidate is emitted");
  });
}

test("an agent that is away is told of, and replays when it is back; one that killed it too often is left alone", async (t) => {
  const { fleet, home, agent, backtests, start, ended } = await setUp(t, "stream");
  home.list("l-1");
  home.exec("e-1");
  await until("it was read", async () => (await fleet.alerts()).length === 1);
  await agent.stop();
  const backtestId = await start();
  const away = await backtests.getBacktest({ backtestId });
  assert.deepEqual(
    [away.backtest?.state, away.problems[0]?.reason],
    [BacktestState.RUNNING, "backtest/no-answer"],
  );
  const back = await home.start();
  const { backtest } = await ended(backtestId);
  assert.deepEqual([backtest?.state, backtest?.events, backtest?.new], [BacktestState.DONE, 2n, 1n]);
  assert.ok(!existsSync(home.paths.backtestStarts), "what came to its end is forgotten");
  await back.stop();

  const second = await start();
  for (let i = 0; i < 3; i++) openBacktestStarts(home.paths.backtestStarts).begin(second);
  await home.start();
  const { problems } = await ended(second);
  assert.equal(problems[0]?.reason, "backtest/crashed");
  writeFileSync(home.paths.backtestStarts, '{"backtestId":');
  assert.equal(
    openBacktestStarts(home.paths.backtestStarts).begin(second),
    1,
    "half a file counts for nothing",
  );
});

test("an agent that keeps no events says so, with what to set", async (t) => {
  const { home, start, ended } = await setUp(t, "stream", "");
  const { backtest, problems } = await ended(await start());
  assert.deepEqual([backtest?.state, backtest?.refused], [BacktestState.DONE, 1]);
  assert.equal(problems[0]?.reason, "backtest/no-ring");
  assert.match(problems[0]?.detail ?? "", /backtest_ring on/);
  assert.ok(!existsSync(join(home.paths.pipeline, "ring")));
});
