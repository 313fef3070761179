import { sql } from "../../../server/store/drizzle.ts";
import { BundleKind } from "#proto/fleet/v1/common";
import { RolloutService } from "#proto/fleet/v1/rollout";

import { median, percentile, rounded } from "../figures.ts";
import { type Bench, waitFor } from "./bench.ts";
import { cpuMs, familyCpuMs, machineLoad, verifyUs } from "./processes.ts";

interface Pushed {
  /** Before it, see {@link verifyUs}. */
  readonly verifyUs: number;
  /** Milliseconds from the call that starts the rollout until the proof of each agent is stored. */
  readonly times: readonly number[];
  readonly planMs: number;
  /** Of it, until the call that starts it has its answer. */
  readonly startMs: number;
  readonly succeededMs: number;
  readonly serverCpuMs: number;
  readonly postgresCpuMs: number;
  readonly agentsCpuMs: number;
}

const withinMs = 120_000;

/** Rolls the next version out to everybody in one wave, and waits for the proofs of so many. */
export async function pushTo(
  at: Bench,
  proofs: number,
  whenProved: () => Promise<void> = () => Promise.resolve(),
): Promise<Pushed> {
  const { db } = at;
  const digest = at.digests[at.pushes % at.digests.length] ?? "";
  at.pushes += 1;
  const service = await at.admin.client(RolloutService);
  const spec = { kind: BundleKind.RULES, bundle: digest, canary: 10_000 };
  // People see the plan before they start it, as fleetctl does: comparing the rules is done by then.
  const plannedAt = performance.now();
  const { plan } = await service.planRollout({ spec });
  const planMs = performance.now() - plannedAt;
  const speed = verifyUs();
  const before = cpuOf(at);
  const startedMs = Date.now();
  const { rollout } = await service.startRollout({ spec, planDigest: plan?.digest ?? "" });
  const startMs = Date.now() - startedMs;
  const since = sql`kind = 'rules' and running_digest = ${digest} and proved_at > ${new Date(startedMs).toISOString()}::timestamptz`;
  const proved = async () => {
    // To look shall cost the machine as little as can be.
    const counted = await db.execute<{ count: number }>(sql`
      select count(*)::int as count from agent_components where ${since}`);
    if ((counted.rows[0]?.count ?? 0) < proofs) return undefined;
    const { rows } = await db.execute<{ ms: number }>(sql`
      select (extract(epoch from proved_at) * 1000)::float8 as ms from agent_components where ${since}`);
    return rows.map(({ ms }) => ms - startedMs);
  };
  const times = await waitFor(`${proofs} proofs`, withinMs, proved).catch(async (error: unknown) => {
    throw new Error(`The agents stand so: ${JSON.stringify(await at.crowd.look())}`, { cause: error });
  });
  const after = cpuOf(at);
  await whenProved();
  const succeededMs = await waitFor("the rollout to succeed", withinMs, async () => {
    const { rows } = await db.execute<{ state: string; ms: number | null }>(sql`
      select state, (extract(epoch from finished_at) * 1000)::float8 as ms from rollouts where id = ${rollout?.id}`);
    const [row] = rows;
    if (row !== undefined && row.ms !== null && row.state !== "succeeded") throw new Error(`It ${row.state}`);
    return row?.ms ?? undefined;
  });
  return {
    verifyUs: speed,
    times,
    planMs,
    startMs,
    succeededMs: succeededMs - startedMs,
    serverCpuMs: after.server - before.server,
    postgresCpuMs: after.postgres - before.postgres,
    agentsCpuMs: after.agents - before.agents,
  };
}

/** CPU time so far, in milliseconds. */
function cpuOf({ server, postgresPid, crowd }: Bench) {
  return {
    server: cpuMs(server.pid),
    postgres: familyCpuMs(postgresPid),
    agents: crowd.pids().reduce((sum, pid) => sum + cpuMs(pid), 0),
  };
}

/** Rounds of a rollout to all agents; the first warms both sides up and is told apart. */
export async function measurePushes(at: Bench, rounds: number): Promise<object> {
  const all: Pushed[] = [];
  for (let round = 0; round <= rounds; round += 1) all.push(await pushTo(at, at.crowd.size));
  const [first, ...rest] = all;
  const times = rest.flatMap((each) => each.times);
  const of = (read: (pushed: Pushed) => number) => median(rest.map(read));
  const lastOf = ({ times: each }: Pushed) => Math.max(...each);
  return {
    load: machineLoad(),
    verifyUs: Math.round(of((pushed) => pushed.verifyUs)),
    provedMs: {
      p50: Math.round(median(times)),
      p99: Math.round(percentile(times, 0.99)),
      last: Math.round(of(lastOf)),
      first: first === undefined ? undefined : Math.round(lastOf(first)),
    },
    shareOfLastPercent: rounded(
      of((pushed) => 1 - percentile(pushed.times, 0.99) / lastOf(pushed)),
      3,
    ),
    planMs: Math.round(of((pushed) => pushed.planMs)),
    startMs: Math.round(of((pushed) => pushed.startMs)),
    succeededMs: Math.round(of((pushed) => pushed.succeededMs)),
    serverCpuMsEach: rounded(of((pushed) => pushed.serverCpuMs) / at.crowd.size, 2),
    postgresCpuMsEach: rounded(of((pushed) => pushed.postgresCpuMs) / at.crowd.size, 2),
    agentsCpuMsEach: rounded(of((pushed) => pushed.agentsCpuMs) / at.crowd.size, 2),
  };
}

/**
 * Rounds in which one agent has stopped reading, in turns with rounds in which none has. The p99 of all rounds is that of the slowest of
 * them, whatever made it slow; that of the medians says what a stalled stream does. Which comes first is drawn, because what the server
 * does in every second or third push, as collecting garbage, would else fall on the one or the other.
 */
export async function measureStall(at: Bench, rounds: number): Promise<object> {
  const [free, stalled]: [(readonly number[])[], (readonly number[])[]] = [[], []];
  const others = at.crowd.size - 1;
  const goOn = async () => void (await at.crowd.askFirst({ what: "goOn" }));
  const pushFree = async () => void free.push((await pushTo(at, at.crowd.size)).times);
  const pushStalled = async () => {
    await at.crowd.askFirst({ what: "stall" });
    stalled.push((await pushTo(at, others, goOn)).times.slice(0, others));
  };
  for (let round = 0; round < rounds; round += 1) {
    const both = Math.random() < 0.5 ? [pushFree, pushStalled] : [pushStalled, pushFree];
    for (const push of both) await push();
  }
  const ofAll = compared((times) => percentile(times.flat(), 0.99), free, stalled);
  const medians = compared((times) => median(times.map((each) => percentile(each, 0.99))), free, stalled);
  return { rounds, p99Ms: ofAll, medianP99Ms: medians };
}

function compared(
  of: (times: readonly (readonly number[])[]) => number,
  free: readonly (readonly number[])[],
  stalled: readonly (readonly number[])[],
) {
  const [before, after] = [of(free), of(stalled)];
  return { free: Math.round(before), stalled: Math.round(after), ratio: rounded(after / before, 2) };
}
