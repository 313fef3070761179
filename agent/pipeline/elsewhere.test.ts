import assert from "node:assert/strict";
import * as fs from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { alertsOnlyConfig } from "../drivers/keep-with-programs.ts";
import { rulesElsewhere } from "../drivers/falco/alerts-inputs.ts";
import { readFalcoSettings } from "../drivers/falco/settings.ts";
import { startPipeline } from "./pipeline.ts";
import type { PipelineAlert, PipelineProblem } from "./pipeline.ts";
import { auditLine, facts, tailOnly, writeBundle } from "./testing/bundles.ts";
import { freePort } from "../../test/support/free-ports.ts";
import { until } from "./testing/until.ts";

const alert = (rule: string, more: object = {}): string =>
  JSON.stringify({
    hostname: "node-1",
    output: `03:04:05.678901000: Warning ${rule}`,
    output_fields: { "evt.time": 1, "ka.auditid": "a-1", "proc.name": "sh" },
    priority: "Warning",
    rule,
    source: "syscall",
    tags: ["b", "a"],
    time: "2024-01-02T03:04:05.678901000Z",
    ...more,
  });

test("alerts of Falco take the way of alerts from both ways in, and records of detect go to Falco", async (t) => {
  const dir = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "falconry-elsewhere-")));
  const records: string[] = [];
  const audit = createServer((request, response) => {
    request.on("data", (chunk: Buffer) => records.push(chunk.toString()));
    request.on("end", () => response.end());
  });
  await new Promise<void>((resolve) => audit.listen(0, "127.0.0.1", resolve));
  const port = await freePort();
  const file = join(dir, "falco.json");
  fs.writeFileSync(file, `${alert("From the file")}\n`);
  const problems: string[] = [];
  const settings = readFalcoSettings(
    {
      FALCONRY_FALCO_RULES_DIR: dir,
      FALCONRY_FALCO_ALERTS_LISTEN: `127.0.0.1:${port}`,
      FALCONRY_FALCO_ALERTS_FILE: file,
      FALCONRY_FALCO_RECORDS_URL: `http://127.0.0.1:${(audit.address() as AddressInfo).port}/k8s-audit`,
    },
    problems,
  );
  assert.deepEqual(problems, []);
  const alerts: PipelineAlert[] = [];
  const said: PipelineProblem[] = [];
  const pipeline = startPipeline({
    stateDir: join(dir, "state"),
    allowList: { destinations: [], fileDirectories: [dir], tailDirectories: [dir] },
    rulesElsewhere: rulesElsewhere(settings),
    onAlerts: (batch, ack) => {
      alerts.push(...batch);
      ack();
    },
    onProblem: (problem) => said.push(problem),
  });
  t.after(async () => {
    await pipeline.stop();
    audit.close();
    audit.closeAllConnections();
    fs.rmSync(dir, { recursive: true, force: true });
  });
  const log = join(dir, "audit.log");
  fs.writeFileSync(log, `${auditLine("r-1")}\n`);
  const config = `${tailOnly(log)}[OUTPUT]
  Name detect
  Match *
  Alert_Tag found
[OUTPUT]
  Name fleet
  Match found
[OUTPUT]
  Name file
  Match found
  Path ${dir}
  File kept.jsonl
  Format plain
`;
  pipeline.runsElsewhere(`sha256:${"a".repeat(64)}`);
  const result = await pipeline.apply({ shipper: writeBundle(dir, "shipper", config) }, facts);
  assert.ok(result.ok, JSON.stringify(result));
  for (const line of [alert("Posted"), alert("Falco internal: metrics snapshot"), '{"no":"alert"}']) {
    const body = { method: "POST", headers: { "content-type": "application/json" }, body: line };
    assert.ok((await fetch(`http://127.0.0.1:${port}/`, body)).ok);
  }
  await until("both arrive", () => alerts.length >= 2);
  const [found] = alerts.filter(({ rule }) => rule === "Posted");
  assert.deepEqual(alerts.map(({ rule }) => rule).sort(), ["From the file", "Posted"]);
  assert.deepEqual(
    { ...found, id: found?.id.length, body: JSON.parse(found?.body ?? "") as unknown },
    {
      id: 64,
      rule: "Posted",
      priority: "Warning",
      source: "syscall",
      time: "2024-01-02T03:04:05.678901000Z",
      output: "03:04:05.678901000: Warning Posted",
      // Filters of the config apply to it as to any alert.
      body: { ...(JSON.parse(alert("Posted")) as object), x_region: "eu", x_cluster: "c-1" },
      auditId: "a-1",
      tags: ["b", "a"],
      rulesDigest: `sha256:${"a".repeat(64)}`,
    },
  );
  const kept = () => fs.readFileSync(join(dir, "kept.jsonl"), "utf8");
  await until("what is no alert goes where alerts go", () => kept().split("\n").length === 5);
  assert.match(kept(), /"no":"alert"/);
  await until("the record is with Falco", () => records.join("").includes("r-1"));
  assert.ok(!records.join("").includes("Posted"), "alerts are no records to it");
  assert.ok(Array.isArray(JSON.parse(records.join(""))));
});

test("alerts are read from the log of a container, in parts and over a rotation, and its other lines are nothing", async (t) => {
  const dir = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "falconry-container-log-")));
  const log = join(dir, "falco-x_falco_falco-1.log");
  const line = (text: string, part = "F") => `2026-11-29T10:00:00.123456789Z stdout ${part} ${text}\n`;
  const long = alert("Long", { output_fields: { "proc.cmdline": "x".repeat(300) } });
  fs.writeFileSync(log, line("Falco initialized with configuration file") + line(alert("Whole")));
  const problems: string[] = [];
  const settings = readFalcoSettings(
    { FALCONRY_FALCO_RULES_DIR: dir, FALCONRY_FALCO_ALERTS_LOG: join(dir, "falco-*_falco_falco-*.log") },
    problems,
  );
  assert.deepEqual(problems, []);
  const alerts: PipelineAlert[] = [];
  const pipeline = startPipeline({
    stateDir: join(dir, "state"),
    allowList: { destinations: [], fileDirectories: [dir], tailDirectories: [dir] },
    rulesElsewhere: rulesElsewhere(settings),
    onAlerts: (batch, ack) => {
      alerts.push(...batch);
      ack();
    },
    onProblem: () => {},
  });
  t.after(async () => {
    await pipeline.stop();
    fs.rmSync(dir, { recursive: true, force: true });
  });
  const kept = `[OUTPUT]\n  Name fleet\n  Match alerts\n[OUTPUT]\n  Name file\n  Match alerts\n  Path ${dir}\n  File kept.jsonl\n  Format plain\n`;
  assert.ok((await pipeline.apply({ shipper: writeBundle(dir, "shipper", kept) }, facts)).ok);
  await until("the first", () => alerts.length === 1);
  fs.appendFileSync(log, line(long.slice(0, 100), "P") + line(long.slice(100, 200), "P"));
  fs.renameSync(log, `${log}.20261129-100000`);
  fs.writeFileSync(log, line(long.slice(200)) + line('{"broken"') + line(alert("After")));
  await until("all of them", () => alerts.length === 3);
  assert.deepEqual(alerts.map(({ rule }) => rule).toSorted(), ["After", "Long", "Whole"]);
  assert.equal(alerts.find(({ rule }) => rule === "Long")?.body, long);
  const lines = fs.readFileSync(join(dir, "kept.jsonl"), "utf8").trim().split("\n");
  assert.equal(lines.length, 3, lines.join("\n"));
});

test("alerts that wait for the server under the agent's own config are delivered under the first signed one", async (t) => {
  const dir = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "falconry-first-config-")));
  const port = await freePort();
  const settings = readFalcoSettings(
    { FALCONRY_FALCO_RULES_DIR: dir, FALCONRY_FALCO_ALERTS_LISTEN: `127.0.0.1:${port}` },
    [],
  );
  const arrived: string[] = [];
  let isAway = true;
  const pipeline = startPipeline({
    stateDir: join(dir, "state"),
    allowList: { destinations: [], fileDirectories: [dir], tailDirectories: [dir] },
    rulesElsewhere: rulesElsewhere(settings),
    onAlerts: (batch, ack) => {
      if (isAway) return ack(new Error("The server is away"));
      arrived.push(...batch.map(({ rule }) => rule));
      ack();
    },
    onProblem: () => {},
  });
  t.after(async () => {
    await pipeline.stop();
    fs.rmSync(dir, { recursive: true, force: true });
  });
  const queued = async () =>
    (await pipeline.stats()).outputs.reduce((sum, { queueRecords }) => sum + queueRecords, 0);
  const post = async (rule: string) =>
    assert.ok((await fetch(`http://127.0.0.1:${port}/`, { method: "POST", body: alert(rule) })).ok);
  const apply = async (config: string) =>
    assert.ok((await pipeline.apply({ shipper: writeBundle(dir, "shipper", config) }, facts)).ok);

  await apply(alertsOnlyConfig);
  await post("Before");
  await until("it waits for the server", async () => (await queued()) === 1);
  await apply("[OUTPUT]\n  Name fleet\n  Alias to-server\n  Match alerts\n");
  await post("After");
  await until("both wait", async () => (await queued()) === 2);
  isAway = false;
  await until("both arrive", () => arrived.length === 2);
  assert.deepEqual(arrived.toSorted(), ["After", "Before"]);
});
