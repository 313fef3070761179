import { Client } from "pg";
import { BundleKind, Requirement_Operator } from "#proto/fleet/v1/common";
import { RolloutService, RolloutState } from "#proto/fleet/v1/rollout";
import { refused } from "../failure.ts";
import { provedDigest, readCluster } from "./clusters.ts";
import { machineOf, part, untilIn } from "./fleet.ts";
import type { Fleet } from "./fleet.ts";
import { short } from "./roll-out.ts";

const refuseMs = 45_000;

/**
 * Changes one byte of a signed bundle in the database, as somebody who owns the server could, and rolls it out to one
 * cluster: the agent must refuse it with its reason and go on with what it ran. The byte is put back afterwards.
 */
export async function drillTamperedBundle(fleet: Fleet, bundle: string, digest: string): Promise<string> {
  const target = fleet.plan.clusters.at(-1)?.name ?? "";
  const before = provedDigest(await readCluster(fleet, target), BundleKind.RULES);
  const client = part(fleet, "connection").client(RolloutService);
  await flipByte(fleet, digest);
  try {
    const requirement = { key: "cluster", operator: Requirement_Operator.IN, values: [target] };
    const spec = {
      kind: BundleKind.RULES,
      bundle,
      selector: { requirements: [requirement] },
      deadlineSeconds: 60,
      allowCoverageLoss: true,
    };
    const { rollout } = await client.startRollout({ spec });
    const id = rollout?.id ?? "";
    const rested = await untilIn(
      fleet,
      `the rollout ${id} of the tampered bundle to stop`,
      refuseMs,
      async () => {
        const { rollout: now } = await client.getRollout({ rolloutId: id });
        return now?.state === RolloutState.PAUSED || now?.state === RolloutState.SUCCEEDED
          ? { done: now }
          : { seen: now?.because ?? "no rollout" };
      },
    );
    if (rested.state === RolloutState.SUCCEEDED) {
      throw refused("The agent ran a bundle that was tampered with");
    }
    await client.abortRollout({ rolloutId: id, generation: rested.generation });
  } finally {
    await flipByte(fleet, digest);
  }
  const after = await readCluster(fleet, target);
  const attempt = after.agents
    .flatMap((a) => a.attempts)
    .find((a) => a.bundle?.digest === digest && a.phase === "rejected");
  if (attempt === undefined) {
    throw refused(`${target} shows no refused attempt of ${bundle}`, `fleetctl cluster show ${target}`);
  }
  const proved = provedDigest(after, BundleKind.RULES);
  if (proved !== before) {
    throw refused(`${target} proves ${short(proved)} after the drill, but proved ${short(before)} before`);
  }
  return `${target} refused it (${attempt.reason}) and still proves ${short(before)}`;
}

/** Kills an agent without warning and waits until it is back, connected and proving the same. */
export async function drillKilledAgent(fleet: Fleet): Promise<string> {
  const name = fleet.plan.clusters[0]?.name ?? "";
  const agent = machineOf(fleet, name).agent;
  const pid = agent?.pid();
  if (agent === undefined || pid === undefined) throw refused(`The agent of ${name} does not run`);
  const before = await readCluster(fleet, name);
  const connectedAt = before.agents[0]?.connectedAt?.seconds ?? 0n;
  const connectedNanos = before.agents[0]?.connectedAt?.nanos ?? 0;
  process.kill(pid, "SIGKILL");
  const startedAt = performance.now();
  await untilIn(fleet, `the agent of ${name} to come back`, refuseMs, async () => {
    const now = await readCluster(fleet, name);
    const again = now.agents[0]?.connectedAt;
    const isNew =
      again !== undefined &&
      (again.seconds > connectedAt || (again.seconds === connectedAt && again.nanos > connectedNanos));
    if (!isNew) return { seen: "the old connection" };
    const same = provedDigest(now, BundleKind.RULES) === provedDigest(before, BundleKind.RULES);
    return same ? { done: true } : { seen: `it proves ${short(provedDigest(now, BundleKind.RULES))}` };
  });
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  return `${name} killed (process ${pid}), back after ${seconds} s as process ${agent.pid()} with the same rules`;
}

/** Flips the lowest bit of one byte in the middle of a bundle's content; done twice, it is as before. */
async function flipByte(fleet: Fleet, digest: string): Promise<void> {
  const database = new Client({ connectionString: part(fleet, "postgres").url });
  await database.connect();
  try {
    const { rowCount } = await database.query(
      `update bundles set content = set_byte(content, octet_length(content) / 2, get_byte(content, octet_length(content) / 2) # 1)
       where digest = $1`,
      [digest],
    );
    if (rowCount !== 1) throw refused(`The database holds no bundle ${digest}`);
  } finally {
    await database.end();
  }
}
