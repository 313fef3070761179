import { setTimeout as delay } from "node:timers/promises";

import { rounded } from "../figures.ts";
import { type Bench, written } from "./bench.ts";
import { cpuMs, familyCpuMs, machineLoad, residentKiB } from "./processes.ts";

/** Agents that only beat: what each of them costs in memory, and all of them in writes and CPU. */
export async function measureHold(at: Bench, seconds: number, emptyKiB: number): Promise<object> {
  const { server, db, crowd } = at;
  const before = { at: performance.now(), ...(await written(db)), cpu: cpuMs(server.pid) };
  const postgres = familyCpuMs(at.postgresPid);
  await delay(seconds * 1000);
  const cpu = cpuMs(server.pid) - before.cpu;
  const after = await written(db);
  const passed = (performance.now() - before.at) / 1000;
  return {
    load: machineLoad(),
    seconds,
    stillConnected: (await crowd.look()).connected,
    serverKiBEach: Math.round((residentKiB(server.pid) - emptyKiB) / crowd.size),
    serverMiB: Math.round(residentKiB(server.pid) / 1024),
    databaseWritesPerSecond: rounded((after.transactions - before.transactions) / passed, 1),
    rowsWrittenPerSecond: rounded((after.rows - before.rows) / passed, 1),
    walKiBPerSecond: rounded((after.walBytes - before.walBytes) / 1024 / passed, 1),
    serverCpuPercent: rounded(cpu / passed / 10, 1),
    postgresCpuPercent: rounded((familyCpuMs(at.postgresPid) - postgres) / passed / 10, 1),
  };
}
