/** What agents are offered to replay, what becomes of their reports, and how a backtest comes to its end. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { sql } from "../store/drizzle.ts";
import type { SyncRequestSchema } from "#proto/agent/v1/agent";
import { BacktestService, BacktestState } from "#proto/fleet/v1/backtest";
import { Requirement_Operator } from "#proto/fleet/v1/common";
import { verifyBacktest } from "#trust";

import { fetchBlob, newSimSession, newSimState, takeIn } from "../../test/support/sim-agent.ts";
import { openLink } from "../../test/support/sim-link.ts";
import { startTestFleet, type TestFleet } from "./agent-service/fixture.ts";

type Standing = MessageInitShape<typeof SyncRequestSchema>["backtest"];

/** An agent that says what a test wants of backtests. */
async function speaker(t: TestContext, fleet: TestFleet, cluster: string) {
  const identity = await fleet.enrol(cluster);
  const state = newSimState(identity);
  const link = openLink("long-poll", identity);
  t.after(() => link.close());
  const session = newSimSession(identity, "long-poll", state);
  const say = async (backtest?: Standing) => {
    const response = await link.say(session.message(backtest === undefined ? {} : { backtest }));
    await takeIn(identity, state, link, response, () => "ignore");
    return response;
  };
  await say();
  return { identity, state, link, say };
}

const since = () => timestampFromMs(Date.now() - 6 * 3_600_000);
const refusal = (call: Promise<unknown>) =>
  call.then(
    () => assert.fail("it has to be refused"),
    (error: unknown) => ConnectError.from(error),
  );

test("agents are offered a signed order, report in bounds, and the backtest is done when the last of them is", async (t) => {
  const fleet = await startTestFleet(t, 1);
  const backtests = await fleet.at.client(BacktestService);
  const { identity, state, link, say } = await speaker(t, fleet, "eu-1");
  const digest = fleet.bundles[0]?.digest ?? "";
  await assert.rejects(fetchBlob(link, digest), /not_found/i, "nobody gave it to the cluster yet");
  const { backtest } = await backtests.startBacktest({ bundle: digest, since: since() });
  const backtestId = backtest?.id ?? "";
  assert.deepEqual([backtest?.state, backtest?.clusters, backtest?.agents], [BacktestState.RUNNING, 1, 1]);
  assert.equal((await say()).backtest, undefined, "an older agent would be told again and again");
  const { backtest: offer } = await say({});
  assert.ok(offer?.order);
  const order = verifyBacktest(state.trusted, offer.order, { ...identity, now: new Date() });
  assert.ok(order.ok, JSON.stringify(order));
  assert.deepEqual([order.value.backtestId, `sha256:${order.value.target.sha256}`], [backtestId, digest]);
  assert.equal(order.value.since.getTime(), Number(backtest?.since?.seconds) * 1000);
  assert.ok((await fetchBlob(link, digest)).length > 0);

  const held = { backtestId, isReplaying: true };
  assert.equal((await say(held)).backtest, undefined, "what it holds is not offered again");
  const { problems } = await backtests.getBacktest({ backtestId });
  assert.deepEqual(
    problems.map(({ reason }) => reason),
    ["backtest/no-answer"],
  );
  const rules = [
    {
      rule: "loud",
      candidate: 1n << 60n,
      new: 3n,
      samples: [{ fields: { "ka.user.name": "x".repeat(999) } }],
    },
    { rule: "same", now: 2n, candidate: 2n },
  ];
  const figures = { state: "replaying", events: 10n, rules };
  await say({ ...held, report: { figures, bytesDone: 5n, bytesTotal: 20n } });
  const half = await backtests.getBacktest({ backtestId });
  assert.deepEqual([half.backtest?.bytesDone, half.backtest?.bytesTotal, half.backtest?.ended], [5n, 20n, 0]);
  assert.deepEqual(
    half.rules.map(({ rule, candidate }) => [rule, candidate]),
    [
      ["loud", 1n << 48n],
      ["same", 2n],
    ],
  );
  assert.equal(half.rules[0]?.examples[0]?.fields["ka.user.name"]?.length, 128);

  const short = { ...figures, state: "done", reason: "backtest/ring-short", detail: "since an hour only" };
  const done = {
    backtestId,
    isReplaying: false,
    report: { figures: short, bytesDone: 20n, bytesTotal: 20n },
  };
  const told = await say(done);
  assert.equal(told.backtest, undefined);
  const whole = await backtests.getBacktest({ backtestId });
  assert.deepEqual(
    [whole.backtest?.state, whole.backtest?.ended, whole.backtest?.refused],
    [BacktestState.DONE, 1, 0],
  );
  assert.deepEqual(
    whole.problems.map(({ reason, detail }) => [reason, detail]),
    [["backtest/ring-short", "since an hour only"]],
  );
  await assert.rejects(fetchBlob(link, digest), /not_found/i);
  const seen: number[] = [];
  for await (const message of backtests.watchBacktest({ backtestId })) {
    seen.push(message.backtest?.state ?? 0);
  }
  assert.deepEqual(seen, [BacktestState.DONE], "whoever watches what is over is told once");
});

test("a cluster replays one thing at a time, what is cancelled ends on it, and what nobody answers is late", async (t) => {
  const fleet = await startTestFleet(t, 1);
  const backtests = await fleet.at.client(BacktestService);
  const { say } = await speaker(t, fleet, "eu-1");
  await fleet.enrol("eu-2");
  const start = (more: object = {}) =>
    backtests.startBacktest({ bundle: "starter", since: since(), ...more });
  const first = (await start()).backtest?.id ?? "";
  const busy = await refusal(start());
  assert.equal(busy.code, Code.FailedPrecondition);
  assert.match(busy.rawMessage, new RegExp(`${first} runs on cluster eu-1.*cancel`));
  const offered = await say({});
  assert.equal(offered.backtest?.backtestId, first);
  const { backtest: ended } = await backtests.cancelBacktest({ backtestId: first });
  assert.equal(ended?.state, BacktestState.CANCELED);
  const held = { backtestId: first, isReplaying: true };
  let told = await say(held);
  while (told.backtest === undefined) told = await say(held);
  assert.equal(told.backtest.backtestId, "", "it is told to stop");
  const again = await backtests.cancelBacktest({ backtestId: first });
  assert.equal(again.backtest?.state, BacktestState.CANCELED, "repeated, it changes nothing");

  const { backtest: second } = await start({ deadlineSeconds: 10 });
  const backtestId = second?.id ?? "";
  await fleet.at.db.execute(sql`update backtests set deadline_at = now() where id = ${backtestId}`);
  const late = await backtests.getBacktest({ backtestId });
  assert.equal(late.backtest?.state, BacktestState.LATE);
  assert.deepEqual(
    late.problems.map(({ clusterName }) => clusterName),
    ["eu-1", "eu-2"],
  );
  assert.match(late.problems[0]?.detail ?? "", /did not answer.*heard of at \d{4}/);
  assert.ok((await start()).backtest, "the late one is in nobody's way");
});

test("a backtest that cannot be is refused with its reason", async (t) => {
  const fleet = await startTestFleet(t, 1);
  const backtests = await fleet.at.client(BacktestService);
  await fleet.enrol("eu-1");
  const viewer = await fleet.at.client(BacktestService, "viewer");
  const nowhere = { requirements: [{ key: "team", operator: Requirement_Operator.EXISTS, values: [] }] };
  const good = { bundle: "starter", since: since() };
  const cases: readonly (readonly [object, Code, RegExp])[] = [
    [{ ...good, bundle: "" }, Code.InvalidArgument, /bundle/],
    [{ bundle: "starter" }, Code.InvalidArgument, /since: is missing/],
    [{ ...good, until: timestampFromMs(Date.now() + 1e6) }, Code.InvalidArgument, /until/],
    [{ ...good, deadlineSeconds: 1 }, Code.InvalidArgument, /deadline_seconds/],
    [{ ...good, bundle: "nothing" }, Code.NotFound, /nothing/],
    [{ ...good, selector: nowhere }, Code.FailedPrecondition, /chooses no cluster/],
  ];
  for (const [request, code, why] of cases) {
    const refused = await refusal(backtests.startBacktest(request));
    assert.deepEqual([refused.code, why.test(refused.rawMessage)], [code, true], refused.rawMessage);
  }
  assert.equal((await refusal(viewer.startBacktest(good))).code, Code.PermissionDenied);
  const unknown = await refusal(backtests.getBacktest({ backtestId: "bt_0000000000000000" }));
  assert.equal(unknown.code, Code.NotFound);
});
