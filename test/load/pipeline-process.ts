import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { buildBundle } from "#trust";
import type { BundleKind } from "#trust";
import { startPipeline } from "../../agent/pipeline/pipeline.ts";
import type { BundleSource } from "../../agent/pipeline/pipeline.ts";

/** Runs one agent's pipeline over a whole file and prints what it took: `pipeline-process.ts LOG DIR EVENTS`. */
const [log = "", dir = "", events = "0"] = process.argv.slice(2);
const root = join(import.meta.dirname, "..", "..");
mkdirSync(join(dir, "out"), { recursive: true });

const shipper = `
pipeline:
  inputs:
    - name: tail
      tag: audit
      path: \${AUDIT_LOG}
      parser: json
  filters:
    - name: modify
      match: audit
      add:
        - x_region \${REGION}
        - x_team \${TEAM}
        - x_environment \${ENVIRONMENT}
        - x_cluster \${CLUSTER}
  outputs:
    - name: detect
      match: audit
    - name: fleet
      match: alerts
    - name: file
      match: audit
      path: \${OUTPUT_DIR}
      file: events.jsonl
      format: plain
`;

let alerts = 0;
const pipeline = startPipeline({
  stateDir: join(dir, "state"),
  allowList: { destinations: [], fileDirectories: [join(dir, "out")], tailDirectories: [dirname(log)] },
  onAlerts: (batch, ack) => {
    alerts += batch.length;
    ack();
  },
  onProblem: ({ message }) => process.stderr.write(`${message}\n`),
});
const cpu = process.cpuUsage();
const startedAt = performance.now();
const applied = await pipeline.apply(
  {
    rules: bundle(
      "rules",
      "k8s-audit.yaml",
      readFileSync(join(root, "rules", "starter", "k8s-audit.yaml"), "utf8"),
    ),
    shipper: bundle("shipper", "shipper.yaml", shipper),
  },
  {
    clusterId: "cl_bench",
    agentId: "ag_bench",
    labels: { region: "eu" },
    variables: {
      AUDIT_LOG: log,
      OUTPUT_DIR: join(dir, "out"),
      REGION: "eu",
      TEAM: "payments",
      ENVIRONMENT: "production",
      CLUSTER: "bench",
    },
    hostname: "bench",
  },
);
if (!applied.ok) throw new Error(applied.detail);
let stats = await pipeline.stats();
while (stats.events < Number(events) || stats.lagMs > 0) {
  await delay(5);
  stats = await pipeline.stats();
}
const seconds = (performance.now() - startedAt) / 1000;
const used = process.cpuUsage(cpu);
const run = {
  seconds,
  cpuSeconds: (used.user + used.system) / 1e6,
  events: stats.events,
  bytes: stats.bytes,
  detectionUs: stats.detectionUs,
  rssMiB: process.memoryUsage().rss / 2 ** 20,
};
await pipeline.stop();
process.stdout.write(JSON.stringify({ ...run, alerts }));

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
  const file = join(dir, `${kind}.json`);
  writeFileSync(file, built.value.bytes);
  return { path: file, digest: built.value.digest };
}
