import { parentPort } from "node:worker_threads";
import { setTimeout as sleep } from "node:timers/promises";
import { startPipeline } from "../pipeline.ts";
import type { ApplyRequest } from "../pipeline.ts";
import { facts } from "./bundles.ts";

/** A process that runs a pipeline until it is killed, or ends: `driver.ts STATE_DIR ALLOWED_DIR APPLY_JSON [until-ended]`. */
const [stateDir = "", allowed = "", apply = "{}", until = ""] = process.argv.slice(2);
const ports = (process.env["SINK_PORT"] ?? "0").split(",").map(Number);
if (parentPort !== null) throw new Error("driver.ts is a process of its own");
const pipeline = startPipeline({
  stateDir,
  allowList: {
    destinations: ports.map((port) => ({ host: "127.0.0.1", port, tls: "optional" })),
    fileDirectories: [allowed],
    tailDirectories: [allowed],
    listen: [{ host: "127.0.0.1", port: Number(process.env["LISTEN_PORT"] ?? 0) }],
  },
  onAlerts: (batch, ack) => {
    for (const alert of batch) process.stdout.write(`alert ${alert.id}\n`);
    ack();
  },
  onProblem: (problem) => process.stdout.write(`problem ${problem.code} ${problem.message}\n`),
});

async function run(): Promise<void> {
  const applied = await pipeline.apply(JSON.parse(apply) as ApplyRequest, facts);
  process.stdout.write(`applied ${JSON.stringify(applied)}\n`);
  process.on("SIGTERM", () => void pipeline.stop());
  if (until !== "until-ended") return;
  while (!(await pipeline.stats()).ended) await sleep(20);
  await pipeline.stop();
}

void run();
