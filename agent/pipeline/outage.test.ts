import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { tailOnly, writeBundle } from "./testing/bundles.ts";
import { startEs } from "./testing/es-server.ts";
import { startFaultServer } from "./testing/fault-server.ts";
import { startLoki } from "./testing/loki-server.ts";
import { testProgram } from "./testing/test-program.ts";
import { until } from "./testing/until.ts";
import { numbered, write } from "./testing/world.ts";

/** Starts an agent's pipeline as a process, and says how many records it read and did not deliver. */
async function start(
  t: TestContext,
  dir: string,
  apply: string,
  ports: readonly number[],
): Promise<ChildProcess> {
  const child = spawn(process.execPath, [...testProgram("driver"), join(dir, "state"), dir, apply], {
    env: { ...process.env, SINK_PORT: ports.join(",") },
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  let applied: string | undefined;
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (line.startsWith("applied ")) applied = line;
  });
  await until("the config to run", () => applied !== undefined || child.exitCode !== null);
  assert.match(applied ?? "", /"ok":true/);
  return child;
}

/** Bytes of segments in the queue of an output: what a kill has to leave behind. */
function queued(dir: string, name: string): number {
  const folder = join(dir, "state", "queue", name);
  if (!fs.existsSync(folder)) return 0;
  const segments = fs.readdirSync(folder).filter((file) => file.endsWith(".seg"));
  return segments.reduce((sum, file) => sum + fs.statSync(join(folder, file)).size, 0);
}

test("kill -9 again and again while all destinations are away loses no record, and costs Elasticsearch and Loki no copy", async (t) => {
  const dir = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "falconry-outage-")));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  const log = join(dir, "audit.log");
  const es = await startEs(t);
  const loki = await startLoki(t);
  const web: string[] = [];
  const http = await startFaultServer(t, ({ body }) => {
    web.push(...(JSON.parse(body.toString()) as { auditID: string }[]).map(({ auditID }) => auditID));
    return { status: 200, body: "" };
  });
  const to = (name: string, port: number, more: string) =>
    `[OUTPUT]\n Name ${name}\n Alias a\n Match audit\n Host 127.0.0.1\n Port ${port}\n${more}`;
  const config = `[SERVICE]
  Flush 0.05
  Scheduler.Base 0.05
  Scheduler.Cap 0.2
${tailOnly(log)}${to("es", es.port, " Index vm\n")}${to("loki", loki.port, "").replace("Alias a", "Alias b")}${to("http", http.port, " Format json\n").replace("Alias a", "Alias c")}`;
  const apply = JSON.stringify({ shipper: writeBundle(dir, "shipper", config) });
  const ports = [es.port, loki.port, http.port];
  const wanted: string[] = [];
  const more = (count: number) => {
    const ids = numbered(`r${wanted.length}`, count);
    write(log, ...ids);
    wanted.push(...ids);
  };
  more(300);
  let child = await start(t, dir, apply, ports);
  await until("the first records", () => web.length >= 300);
  await Promise.all([es.stop(), loki.stop(), http.stop()]);
  for (let kill = 0; kill < 4; kill++) {
    const before = queued(dir, "es-a");
    more(300);
    await until("records on the queue", () => queued(dir, "es-a") > before);
    child.kill("SIGKILL");
    await once(child, "exit");
    child = await start(t, dir, apply, ports);
  }
  await Promise.all([es.start(), loki.start(), http.start()]);
  // One destination dies with half of it done.
  es.fault = ({ nth }) => (nth === 1 ? "reset-after" : undefined);
  const inEs = () => [...(es.indices.get("vm")?.values() ?? [])].map((source) => String(source["auditID"]));
  const inLoki = () =>
    [...loki.streams.values()].flat().map(({ line }) => (JSON.parse(line) as { auditID: string }).auditID);
  await until("all records everywhere", () => {
    return (
      inEs().length >= wanted.length && inLoki().length >= wanted.length && new Set(web).size >= wanted.length
    );
  });
  child.kill("SIGTERM");
  await once(child, "exit");
  t.diagnostic(
    `${wanted.length} records, 4 kills: ${web.length - wanted.length} came twice over http, ` +
      `${es.conflicts} to Elasticsearch and ${loki.duplicates} to Loki, which kept one of each`,
  );
  assert.deepEqual(inEs().toSorted(), wanted.toSorted());
  assert.deepEqual(inLoki().toSorted(), wanted.toSorted());
  assert.deepEqual([...new Set(web)].toSorted(), wanted.toSorted());
  assert.deepEqual([es.refusals, loki.malformed], [[], []]);
});
