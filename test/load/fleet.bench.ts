import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { startPostgres } from "#postgres";

import { openPool } from "../../server/store/pool.ts";
import { adminOf } from "../floods/good-agents.ts";
import { startServerProcess } from "../floods/server-process.ts";
import { measureBaseline } from "./fleet/baseline.ts";
import { type Bench, waitForAgents } from "./fleet/bench.ts";
import { startCrowd } from "./fleet/crowd.ts";
import { measureHold } from "./fleet/hold.ts";
import { measureInventory } from "./fleet/inventory.ts";
import { machineLoad, residentKiB } from "./fleet/processes.ts";
import { measurePushes, measureStall } from "./fleet/push.ts";
import { measureReconnect } from "./fleet/reconnect.ts";
import { releaseBundles, seedAgents } from "./fleet/seed.ts";

const allPhases = "baseline,push,hold,stall,reconnect,inventory";

/**
 * `fleet [--agents N] [--phases LIST] [--rounds N] [--hold SECONDS] [--clusters N] [--profile DIR]`: one server process with
 * N agents on a real Postgres with durable settings. With a profile the CPU profiles of the server and of the agents are left
 * in DIR; the figures of such a run are worth nothing.
 */
export async function run(args: readonly string[]): Promise<object> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      agents: { type: "string", default: "1000" },
      phases: { type: "string", default: allPhases },
      rounds: { type: "string", default: "3" },
      hold: { type: "string", default: "60" },
      clusters: { type: "string", default: "10000" },
      profile: { type: "string" },
    },
  });
  const dir = mkdtempSync(join(tmpdir(), "falconry-fleet-"));
  chmodSync(dir, 0o711); // As root, the database belongs to another account, which has to get there.
  const postgres = await startPostgres({ dir: join(dir, "postgres") });
  try {
    return await measure({
      dir,
      url: postgres.url,
      postgresPid: postgres.pid ?? 0,
      agents: Number(values.agents),
      phases: new Set(values.phases.split(",")),
      rounds: Number(values.rounds),
      holdSeconds: Number(values.hold),
      clusters: Number(values.clusters),
      nodeArgs: values.profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${values.profile}`],
    });
  } finally {
    await postgres.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

interface Input {
  readonly dir: string;
  readonly url: string;
  readonly postgresPid: number;
  readonly agents: number;
  readonly phases: ReadonlySet<string>;
  readonly rounds: number;
  readonly holdSeconds: number;
  readonly clusters: number;
  readonly nodeArgs: readonly string[];
}

async function measure(input: Input): Promise<object> {
  const { dir, url, agents, nodeArgs } = input;
  const first = await startServerProcess(url, {}, { nodeArgs });
  const db = openPool({ url, connectionsMax: 2, onIdleError: () => undefined });
  const admin = await adminOf(first);
  const { root, bundles } = await releaseBundles(admin);
  const identities = await seedAgents(db, first, root, agents);
  const baseline = input.phases.has("baseline") ? await measureBaseline(dir, first, identities) : undefined;
  const crowd = startCrowd(dir, identities, nodeArgs);
  const listen = { FALCONRY_LISTEN: `127.0.0.1:${first.port}` };
  const at: Bench = {
    server: first,
    admin,
    db,
    postgresPid: input.postgresPid,
    crowd,
    digests: bundles.map(({ digest }) => digest),
    pushes: 0,
    restart: () => startServerProcess(url, listen, { dir: first.dir, nodeArgs }),
  };
  try {
    const figures = await runPhases(at, input);
    const { faults, faultCount, fetchesRepeated } = await crowd.look();
    const { bytes } = bundles[0] ?? { bytes: new Uint8Array() };
    const shown = { agents, bundleBytes: bytes.length, loadAtTheEnd: machineLoad() };
    return {
      input: shown,
      baseline,
      ...figures,
      agentFaults: { count: faultCount, faults, fetchesRepeated },
    };
  } finally {
    await crowd.stop();
    await at.server.stop();
    await db.$client.end();
  }
}

/** Agents join at the pace at which a fleet comes back: 100 a second. */
const joinPerSecond = 100;

async function runPhases(at: Bench, input: Input): Promise<object> {
  const { phases, rounds } = input;
  const emptyKiB = residentKiB(at.server.pid);
  await at.crowd.ask({ what: "start", windowMs: (input.agents / joinPerSecond) * 1000 });
  await waitForAgents(at, 240_000);
  const figures: Record<string, object> = {};
  const phase = async (name: string, work: () => Promise<object>) => {
    if (!phases.has(name)) return;
    const said = await work();
    figures[name] = said;
    // A long run that is cut short has said what it knew.
    process.stderr.write(`${name} ${JSON.stringify(said)}\n`);
  };
  await phase("hold", () => measureHold(at, input.holdSeconds, emptyKiB));
  await phase("push", () => measurePushes(at, rounds));
  await phase("stall", () => measureStall(at, Math.max(1, rounds - 1)));
  await phase("reconnect", () => measureReconnect(at));
  await phase("inventory", () => measureInventory(at, input.clusters, 50));
  return figures;
}
