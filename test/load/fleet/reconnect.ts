import { setTimeout as delay } from "node:timers/promises";

import { Code, ConnectError } from "@connectrpc/connect";
import { ClusterService } from "#proto/fleet/v1/cluster";

import { fleetPace } from "../../../server/domain/fleet-pace.ts";
import { defaultTuning } from "../../../server/sessions/tuning.ts";
import { rounded } from "../figures.ts";
import { type Bench, describe, waitFor, waitForAgents } from "./bench.ts";
import { cpuMs, familyCpuMs, machineLoad, residentKiB } from "./processes.ts";

const awayMs = 10_000;
const everyMs = 200;

/** The server is killed and comes back after a while: how long until every agent speaks, and what people feel meanwhile. */
export async function measureReconnect(at: Bench): Promise<object> {
  // A fleet that has stood for a minute knows how long it may take to come back.
  const windowMs = fleetPace(at.crowd.size, defaultTuning).reconnectWindowMs;
  await waitFor("the agents to know their window", 180_000, async () => {
    const { leastWindowMs } = await at.crowd.look();
    return leastWindowMs === windowMs ? true : undefined;
  });
  const before = await at.crowd.look();
  await at.server.kill();
  await delay(awayMs);
  at.server = await at.restart();
  const emptyKiB = residentKiB(at.server.pid);
  const cpu = { postgres: familyCpuMs(at.postgresPid), agents: agentsCpuMs(at) };
  const startedAt = performance.now();
  const over = new AbortController();
  const people = watchAsPeople(at, over.signal);
  await waitForAgents(at, 240_000);
  const backMs = performance.now() - startedAt;
  over.abort();
  const { times, failures } = await people;
  const after = await at.crowd.look();
  const ends = Object.entries(after.ends).map(([why, count]) => [why, count - (before.ends[why] ?? 0)]);
  return {
    load: machineLoad(),
    awayMs,
    windowMs,
    allBackMs: Math.round(backMs),
    perSecond: Math.round((at.crowd.size / backMs) * 1000),
    attemptsEach: (after.sessions - before.sessions) / at.crowd.size,
    ends: Object.fromEntries(ends),
    refused: await at.server.refused(),
    operatorCallsMs: describe(times),
    operatorFailures: failures,
    serverCpuMsEach: rounded(cpuMs(at.server.pid) / at.crowd.size, 2),
    postgresCpuMsEach: rounded((familyCpuMs(at.postgresPid) - cpu.postgres) / at.crowd.size, 2),
    agentsCpuMsEach: rounded((agentsCpuMs(at) - cpu.agents) / at.crowd.size, 2),
    serverKiBEach: Math.round((residentKiB(at.server.pid) - emptyKiB) / at.crowd.size),
  };
}

function agentsCpuMs({ crowd }: Bench): number {
  return crowd.pids().reduce((sum, pid) => sum + cpuMs(pid), 0);
}

/** A page of the inventory five times a second. What fails is counted by its code. */
async function watchAsPeople(at: Bench, signal: AbortSignal) {
  const service = await at.admin.client(ClusterService);
  const times: number[] = [];
  const failures: Record<string, number> = {};
  while (!signal.aborted) {
    const startedAt = performance.now();
    await service.listClusters({ pageSize: 100 }).catch((error: unknown) => {
      const code = Code[ConnectError.from(error).code] ?? "unknown";
      failures[code] = (failures[code] ?? 0) + 1;
    });
    times.push(performance.now() - startedAt);
    await delay(everyMs);
  }
  return { times, failures };
}
