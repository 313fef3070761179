import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startPipeline } from "../pipeline.ts";
import { auditLine, facts, writeBundle } from "./bundles.ts";
import { until } from "./until.ts";

/**
 * Events per second of one pipeline over a file that is there: `bench.ts COUNT RULES_FILE|none OUTPUT...`, outputs being
 * null, file, detect and fleet.
 */
const [count = "200000", rules = "none", ...outputs] = process.argv.slice(2);
const dir = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "falconry-bench-")));
const log = join(dir, "audit.log");
const pad = "x".repeat(600);
for (let at = 0; at < Number(count); at += 1000) {
  const more = { userAgent: pad, annotations: { "authorization.k8s.io/reason": pad } };
  fs.appendFileSync(
    log,
    Array.from({ length: 1000 }, (_, i) => `${auditLine(`id-${at + i}`, more)}\n`).join(""),
  );
}
const lines: Readonly<Record<string, string>> = {
  null: " Match audit",
  file: ` Match audit\n Path ${dir}/out\n File out.jsonl\n Format plain`,
  detect: " Match audit",
  fleet: " Match alerts",
};
const facts4 = ["REGION", "TEAM", "ENVIRONMENT", "CLUSTER"]
  .map((v) => ` Add x_${v.toLowerCase()} \${${v}}`)
  .join("\n");
const config = `[INPUT]\n Name tail\n Tag audit\n Path ${log}\n Parser json\n[FILTER]\n Name modify\n Match *\n${facts4}\n${outputs
  .map((name) => `[OUTPUT]\n Name ${name}\n${lines[name] ?? ""}`)
  .join("\n")}\n`;
const pipeline = startPipeline({
  stateDir: join(dir, "state"),
  allowList: { destinations: [], fileDirectories: [dir], tailDirectories: [dir] },
  onAlerts: (_batch, ack) => ack(),
  onProblem: (problem) => process.stderr.write(`${problem.message}\n`),
});
const ruleSource =
  rules === "none" ? {} : { rules: writeBundle(dir, "rules", fs.readFileSync(rules, "utf8")) };
const cpu = process.cpuUsage();
const begun = performance.now();
const result = await pipeline.apply({ ...ruleSource, shipper: writeBundle(dir, "shipper", config) }, facts);
if (!result.ok) throw new Error(result.detail);
await until("all events", async () => (await pipeline.stats()).events >= Number(count), 120_000);
const seconds = (performance.now() - begun) / 1000;
const used = process.cpuUsage(cpu);
const stats = await pipeline.stats();
const figures = {
  eventsPerSecond: Math.round(Number(count) / seconds),
  cpuSecondsPerMillion: Math.round((used.user + used.system) / Number(count)),
  meanBytes: Math.round(stats.bytes / stats.events),
  detectionUsPerEvent: stats.detectionUs / stats.events,
  alerts: stats.alerts,
  rssMb: Math.round(process.memoryUsage().rss / 1e6),
};
process.stdout.write(`${JSON.stringify(figures)}\n`);
await pipeline.stop();
fs.rmSync(dir, { recursive: true });
