/** A candidate beside what runs: a whole agent, a real server, and nothing that is emitted. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { sql } from "../server/store/drizzle.ts";
import { BundleKind } from "#proto/fleet/v1/common";
import { RolloutService, RolloutState } from "#proto/fleet/v1/rollout";
import { type RolloutSpecSchema } from "#proto/fleet/v1/rollout_spec";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { newHome, rules, shipper, startAgentFleet, until, type AgentFleet, type Home } from "./testing.ts";

const listRule = `- rule: Listed
  desc: d
  condition: ka.verb = list
  output: "%ka.user.name listed with %ka.uri"
  priority: WARNING
  source: k8s_audit
`;

/** An agent on which starter 1.0.0 runs, and 2.0.0, which notices lists and nothing else, is released. */
async function setUp(
  t: TestContext,
  transport: string,
): Promise<{ fleet: AgentFleet; home: Home; ids: readonly string[] }> {
  const fleet = await startAgentFleet(t);
  const next = rules("2.0.0", { files: [{ path: "rules.yaml", content: listRule }] });
  const config = shipper("1.0.0");
  await fleet.release(config, next);
  const home = newHome(t, await fleet.joinString(), { FALCONRY_TRANSPORT: transport });
  await home.start();
  await fleet.assign("rules", "starter@1.0.0");
  await until("the rules are proved", async () => (await fleet.proved("rules")) === fleet.bundles[0]?.digest);
  await fleet.assign("shipper", "default@1.0.0");
  await until("the shipper is proved", async () => (await fleet.proved("shipper")) === config.digest);
  const rollouts = await fleet.at.client(RolloutService);
  await until("nothing is in work", async () => {
    return (await rollouts.listRollouts({ unfinished: true })).rollouts.length === 0;
  });
  return { fleet, home, ids: [fleet.bundles[0]?.digest ?? "", next.digest] };
}

async function start(fleet: AgentFleet, spec: MessageInitShape<typeof RolloutSpecSchema>) {
  const rollouts = await fleet.at.client(RolloutService);
  const whole = { ...spec, kind: BundleKind.RULES, bundle: "starter@2.0.0", allowCoverageLoss: true };
  const { rollout } = await rollouts.startRollout({ spec: whole as typeof spec });
  assert.ok(rollout);
  const shadow = () => rollouts.getShadow({ rolloutId: rollout.id });
  const now = async () => (await rollouts.getRollout({ rolloutId: rollout.id })).rollout;
  return { id: rollout.id, rollouts, shadow, now };
}

for (const transport of ["stream", "long-poll"]) {
  test(`over ${transport}, a shadow shows what would change, emits nothing, and the rollout waits for a person`, async (t) => {
    const { fleet, home, ids } = await setUp(t, transport);
    const { id, rollouts, shadow, now } = await start(fleet, { shadowSeconds: 3600 });
    let n = 0;
    await until("both kinds of events were evaluated", async () => {
      home.exec(`exec-${(n += 1)}`);
      home.list(`list-${n}`);
      const { rules: sums } = await shadow();
      return sums.length === 2 && sums.every((sum) => sum.examples.length > 0);
    });
    const { rules: sums, shadow: stands } = await shadow();
    const listed = sums.find(({ rule }) => rule === "Listed");
    const other = sums.find(({ rule }) => rule !== "Listed");
    assert.deepEqual([listed?.now, listed?.gone, other?.candidate, other?.new], [0n, 0n, 0n, 0n]);
    assert.ok(listed && other && listed.new === listed.candidate && other.gone === other.now);
    assert.deepEqual([stands?.agents, stands?.evaluated, stands?.refused, stands?.isOver], [1, 1, 0, false]);
    assert.match(
      listed.examples[0]?.fields["ka.uri"] ?? "",
      /^\(\d+ characters\)$/,
      "what was asked for is not shown",
    );
    assert.equal(await fleet.proved("rules"), ids[0]);
    const { rows } = await fleet.at.db.execute(sql`select 1 from alerts where rule = 'Listed'`);
    assert.equal(rows.length, 0, "no alert of the candidate is emitted");

    await fleet.at.db.execute(
      sql`update rollouts set created_at = now() - interval '3600 s' where id = ${id}`,
    );
    await until("it waits for a person", async () => (await now())?.state === RolloutState.PAUSED);
    const paused = await now();
    assert.match(paused?.because ?? "", /shadow is over/);
    assert.equal(await fleet.proved("rules"), ids[0], "nothing was assigned");
    await rollouts.resumeRollout({ rolloutId: id, generation: paused?.generation ?? 0n });
    await until("the candidate runs", async () => (await fleet.proved("rules")) === ids[1]);
    await until("it says why the shadow ended", async () => (await shadow()).shadow?.isOver === true);
  });
}

test("a shadow that is called off ends on the agents, and the next one begins", async (t) => {
  const { fleet, home } = await setUp(t, "stream");
  const first = await start(fleet, { shadowSeconds: 3600 });
  await until("it is evaluated", async () => {
    home.list("a");
    return (await first.shadow()).shadow?.evaluated === 1;
  });
  const seen = await first.now();
  await first.rollouts.abortRollout({ rolloutId: first.id, generation: seen?.generation ?? 0n });
  await until("the agent stopped", async () => {
    const { rows } = await fleet.at.db.execute<{ state: string; reason: string }>(
      sql`select state, reason from shadow_reports where rollout_id = ${first.id}`,
    );
    return rows[0]?.state === "stopped" && rows[0].reason === "shadow/ended";
  });
  const second = await start(fleet, { shadowSeconds: 3600, shadowThenGo: true });
  await until("the next one is evaluated", async () => {
    home.list("b");
    return (await second.shadow()).shadow?.evaluated === 1;
  });
  await fleet.at.db.execute(
    sql`update rollouts set created_at = now() - interval '3600 s' where id = ${second.id}`,
  );
  await until("it went on by itself", async () => (await second.now())?.state === RolloutState.SUCCEEDED);
});
