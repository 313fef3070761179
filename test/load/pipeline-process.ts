import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { buildBundle } from "#trust";
import type { BundleKind } from "#trust";
import { startPipeline } from "../../agent/pipeline/pipeline.ts";
import type { BundleSource } from "../../agent/pipeline/pipeline.ts";

/** What the process is told, as JSON in its first argument. */
export interface PipelineTask {
  readonly log: string;
  readonly dir: string;
  readonly records: number;
  readonly shipper: string;
  /** A rules file, when the config has an output `detect`. */
  readonly rules?: string;
  readonly ports: readonly number[];
  /** How often a sample is printed, as a line of its own; never when absent. */
  readonly sampleMs?: number;
}

/** How the process is doing in the middle of its work. */
export interface PipelineSample {
  readonly records: number;
  readonly rssMiB: number;
  /** Records on the queues of all outputs. */
  readonly queued: number;
}

/** Runs one agent's pipeline over a whole file and prints what it took. */
const task = JSON.parse(process.argv[2] ?? "{}") as PipelineTask;
const out = join(task.dir, "out");
mkdirSync(out, { recursive: true });

let alerts = 0;
const pipeline = startPipeline({
  stateDir: join(task.dir, "state"),
  allowList: {
    destinations: task.ports.map((port) => ({ host: "127.0.0.1", port, tls: "optional" })),
    fileDirectories: [out],
    tailDirectories: [dirname(task.log)],
  },
  onAlerts: (batch, ack) => {
    alerts += batch.length;
    ack();
  },
  onProblem: ({ message }) => process.stderr.write(`${message}\n`),
});
const rules =
  task.rules === undefined ? {} : { rules: bundle("rules", "rules.yaml", readFileSync(task.rules, "utf8")) };
const shipper = bundle("shipper", "shipper.yaml", task.shipper);
const cpu = process.cpuUsage();
const startedAt = performance.now();
const applied = await pipeline.apply(
  { ...rules, shipper },
  {
    clusterId: "cl_bench",
    agentId: "ag_bench",
    labels: { region: "eu" },
    variables: { REGION: "eu", TEAM: "payments", ENVIRONMENT: "production", CLUSTER: "bench" },
    hostname: "bench",
  },
);
if (!applied.ok) throw new Error(applied.detail);
let stats = await pipeline.stats();
let sampledAt = performance.now();
while (stats.events < task.records || stats.outputs.some(({ queueRecords }) => queueRecords > 0)) {
  await delay(task.sampleMs === undefined ? 20 : 1000);
  stats = await pipeline.stats();
  if (performance.now() - sampledAt < (task.sampleMs ?? Number.POSITIVE_INFINITY)) continue;
  sampledAt = performance.now();
  const sample: PipelineSample = {
    records: stats.events,
    rssMiB: process.memoryUsage().rss / 2 ** 20,
    queued: stats.outputs.reduce((sum, { queueRecords }) => sum + queueRecords, 0),
  };
  process.stdout.write(`${JSON.stringify(sample)}\n`);
}
const seconds = (performance.now() - startedAt) / 1000;
const used = process.cpuUsage(cpu);
const run = {
  seconds,
  cpuSeconds: (used.user + used.system) / 1e6,
  records: stats.events,
  bytes: stats.bytes,
  detectionUs: stats.detectionUs,
  // What the system calls the peak of a process counts that of the process it was forked from, too.
  rssMiB: Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) / 1024,
  parked: stats.parked,
};
await pipeline.stop();
process.stdout.write(`${JSON.stringify({ ...run, alerts })}\n`);

function bundle(kind: BundleKind, path: string, content: string): BundleSource {
  const built = buildBundle({
    org: "default",
    kind,
    name: "bench",
    version: "1.0.0",
    files: [{ path, content }],
    layers: [],
  });
  if (!built.ok) throw new Error(built.refusal.message);
  const file = join(task.dir, `${kind}.json`);
  writeFileSync(file, built.value.bytes);
  return { path: file, digest: built.value.digest };
}
