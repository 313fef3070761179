import assert from "node:assert/strict";
import { test } from "node:test";
import { seeThreats } from "../../cli/local/alerts.ts";
import { provedDigest, readCluster, readClusters } from "../../cli/local/clusters.ts";
import { proveNothingLost } from "../../cli/local/completeness.ts";
import { machineOf, part } from "../../cli/local/fleet.ts";
import type { Fleet } from "../../cli/local/fleet.ts";
import { stopGenerators } from "../../cli/local/generators.ts";
import { until } from "../../cli/local/until.ts";
import { BundleKind } from "#proto/fleet/v1/common";
import { RolloutService, RolloutState } from "#proto/fleet/v1/rollout";
import { localFleet } from "../support/local-fleet.ts";

const rounds = Number(process.env["FALCONRY_CHAOS_ROUNDS"] ?? "1");
const victims = ["agent", "server", "postgres"] as const;

test(
  `kill -9 of an agent, a server and Postgres, ${rounds} times each during rollouts, loses no record, no alert and no rollout`,
  { timeout: 900_000 },
  async (t) => {
    const since = new Date();
    const fleet = await localFleet(t, { regions: ["eu=2", "us=1"], rate: 100 });
    for (let round = 0; round < rounds * victims.length; round += 1) {
      const victim = victims[round % victims.length] ?? "agent";
      await rolloutWithKill(fleet, victim, round, (line) => t.diagnostic(line));
    }
    await stopGenerators(fleet);
    const threats = await seeThreats(fleet, since);
    const records = await proveNothingLost(fleet);
    t.diagnostic(`threats planted ${threats.planted}, seen ${threats.seen}`);
    t.diagnostic(`records written ${records.written}, lost 0, delivered twice ${records.duplicates}`);
    assert.ok(threats.planted > 0, "the generators have to plant threats");
    assert.equal(threats.seen, threats.planted);
  },
);

async function rolloutWithKill(
  fleet: Fleet,
  victim: (typeof victims)[number],
  round: number,
  say: (line: string) => void,
): Promise<void> {
  const { names, rulesBefore, rulesAfter } = part(fleet, "bundles");
  const [name, digest] = round % 2 === 0 ? [names.rulesAfter, rulesAfter] : [names.rulesBefore, rulesBefore];
  const client = part(fleet, "connection").client(RolloutService);
  const requestId = `chaos-${round}-${process.pid}`;
  const id = await until("the rollout to start", 60_000, async () => {
    const { rollout } = await client.startRollout({
      spec: {
        kind: BundleKind.RULES,
        bundle: name,
        deadlineSeconds: 120,
        soakSeconds: 1,
        allowCoverageLoss: true,
      },
      requestId,
    });
    return rollout === undefined ? { seen: "no rollout" } : { done: rollout.id };
  });
  // With a second of soak per wave a rollout takes about four seconds.
  const delayMs = Math.random() * 3_500;
  await new Promise((resolve) => setTimeout(resolve, delayMs));
  const pid = pidOf(fleet, victim, round);
  if (pid !== undefined) process.kill(pid, "SIGKILL");
  const startedAt = performance.now();
  let raised = "";
  await until(`the rollout ${id} to succeed after the ${victim} was killed`, 90_000, async () => {
    const { rollout } = await client.getRollout({ rolloutId: id });
    if (rollout?.state === RolloutState.PAUSED) {
      raised = await raisedOf(fleet);
      await client.resumeRollout({ rolloutId: id, generation: rollout.generation });
    }
    return rollout?.state === RolloutState.SUCCEEDED
      ? { done: true }
      : { seen: `${rollout?.because ?? "no rollout"}${raised}` };
  });
  const clusters = await readClusters(fleet);
  for (const [cluster, state] of clusters) {
    assert.equal(provedDigest(state, BundleKind.RULES), digest, `${cluster} proves ${name}`);
  }
  say(
    `round ${round}: ${victim} killed ${Math.round(delayMs)} ms into the rollout of ${name}, converged ${((performance.now() - startedAt) / 1000).toFixed(1)} s later`,
  );
}

/** What agents report of themselves, so that a rollout that was paused says why. */
async function raisedOf(fleet: Fleet): Promise<string> {
  const clusters = await Promise.all(fleet.plan.clusters.map(({ name }) => readCluster(fleet, name)));
  return clusters
    .flatMap(({ name, agents }) =>
      agents.flatMap(({ conditions }) => conditions.map((c) => `\n${name}: ${c.message}`)),
    )
    .join("");
}

function pidOf(fleet: Fleet, victim: (typeof victims)[number], round: number): number | undefined {
  const cluster = fleet.plan.clusters[round % fleet.plan.clusters.length]?.name ?? "";
  switch (victim) {
    case "agent":
      return machineOf(fleet, cluster).agent?.pid();
    case "server":
      return fleet.server?.pid();
    case "postgres":
      return fleet.postgres?.pid;
  }
}
