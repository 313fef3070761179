import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { DiskQueue } from "./disk-queue.ts";
import { startPipeline } from "./pipeline.ts";
import { auditLine, execRule, facts, tailToFile, writeBundle } from "./testing/bundles.ts";
import { until } from "./testing/until.ts";
import { applied, numbered, world, write } from "./testing/world.ts";
import type { World } from "./testing/world.ts";

test("records reach the file with the cluster's facts, which a record cannot contradict", async (t) => {
  const w = world(t);
  const pipeline = w.start();
  fs.writeFileSync(w.log, `${auditLine("a", { x_cluster: "evil" })}\n${auditLine("b")}\n`);
  await applied(pipeline, w);
  await until("both records", () => w.records().length === 2);
  assert.deepEqual(
    w.records().map((r) => [r["auditID"], r["x_cluster"], r["x_region"]]),
    [
      ["a", "c-1", "eu"],
      ["b", "c-1", "eu"],
    ],
  );
});

test("half a line waits until it is whole", async (t) => {
  const w = world(t);
  const pipeline = w.start();
  const line = auditLine("a");
  fs.writeFileSync(w.log, line.slice(0, 50));
  await applied(pipeline, w);
  fs.appendFileSync(w.log, `${line.slice(50)}\n`);
  write(w.log, "b");
  await until("both records", () => w.records().length === 2);
  assert.equal((await pipeline.stats()).parked, 0);
});

test("lines that are no records are set aside with place and reason, and never stop the rest", async (t) => {
  const w = world(t);
  const pipeline = w.start();
  const huge = auditLine("huge", { requestObject: "x".repeat(5_000_000) });
  const lines = [auditLine("a"), "no json", '{"cut":', huge, "[1]", "", auditLine("b")];
  fs.writeFileSync(w.log, `${lines.join("\n")}\n`);
  await applied(pipeline, w);
  await until("both records", () => w.ids().join() === "a,b");
  await until("four lines set aside", async () => (await pipeline.stats()).parked === 4);
  await pipeline.stop();
  const parked = w.parked();
  assert.deepEqual(
    parked.map((p) => p["line"] ?? "file"),
    ["no json", '{"cut":', "file", "[1]"],
  );
  const long = parked.find((p) => p["file"] !== undefined);
  assert.match(String(long?.["reason"]), /longer than 4194304 bytes/);
  assert.equal(fs.readFileSync(join(w.dir, "state", "dead-letter", String(long?.["file"])), "utf8"), huge);
  const { offset } = parked.map((p) => p["source"] as { offset: number })[0]!;
  assert.equal(fs.readFileSync(w.log, "utf8").slice(offset, offset + 7), "no json");
});

test("an alert goes to the control plane and to outputs that take its tag, with its rules' digest", async (t) => {
  const w = world(t);
  const pipeline = w.start();
  const exec = auditLine("x", { objectRef: { resource: "pods", subresource: "exec" } });
  fs.writeFileSync(w.log, `${auditLine("a")}\n${exec}\n`);
  const outputs = `[OUTPUT]
  Name detect
  Match audit
[OUTPUT]
  Name fleet
  Match *
[OUTPUT]
  Name file
  Alias alerts
  Match alerts
  Path ${w.out}
  File alerts.jsonl
  Format plain
`;
  const rules = writeBundle(w.dir, "rules", execRule);
  const shipper = writeBundle(w.dir, "shipper", tailToFile(w.log, w.out, outputs));
  const result = await pipeline.apply({ rules, shipper }, facts);
  assert.deepEqual(result.ok && result.running, { rules: rules.digest, shipper: shipper.digest });
  await until("the alert", () => w.alerts.length === 1);
  const [alert] = w.alerts;
  assert.equal(alert?.rule, "Exec into a pod");
  assert.equal(alert?.rulesDigest, rules.digest);
  assert.match(alert?.id ?? "", /^[0-9a-f]{64}$/);
  assert.equal((JSON.parse(alert?.body ?? "{}") as Record<string, unknown>)["x_cluster"], "c-1");
  await until("the alert in its file", () =>
    fs.readFileSync(join(w.out, "alerts.jsonl"), "utf8").includes("Exec"),
  );
  assert.equal((await pipeline.stats()).alerts, 1);
});

test("rules see what a mask hides, and neither outputs nor alerts show it", async (t) => {
  const w = world(t);
  const pipeline = w.start();
  const more = { objectRef: { resource: "pods", subresource: "exec" }, user: { username: "hidden-name" } };
  fs.writeFileSync(w.log, `${auditLine("x", more)}\n${auditLine("y")}\n`);
  const rules = execRule.replace("condition:", "condition: jevt.value[/user/username] = hidden-name and");
  const mask = "[FILTER]\n Name mask\n Alias names\n Match audit\n field user.username\n";
  const outputs = "[OUTPUT]\n Name detect\n Match audit\n[OUTPUT]\n Name fleet\n Match alerts\n";
  await applied(pipeline, w, mask + outputs, rules);
  await until("the alert", () => w.alerts.length === 1);
  await until("both records", () => w.ids().join() === "x,y");
  assert.match(w.alerts[0]?.output ?? "", /Exec \(user=\*\*\*\)/);
  assert.doesNotMatch(JSON.stringify([w.alerts, w.records()]), /hidden-name/);
  const { filters } = await pipeline.stats();
  assert.deepEqual(
    filters.map(({ alias, records, changed, dropped }) => [alias, records, changed, dropped]),
    [
      ["modify.0", 3, 3, 0],
      ["names", 2, 2, 0],
    ],
  );
});

test("a config swap takes nothing back of what outputs have dropped, so that what the dead letter dropped is counted once", async (t) => {
  const w = world(t);
  const pipeline = w.start();
  const long = { requestObject: "x".repeat(500_000) };
  const away = "[OUTPUT]\n Name http\n Alias away\n Match audit\n Host 127.0.0.1\n Port 1\n Format json\n";
  await applied(pipeline, w, `${away} Storage.Total_Limit_Size 1M\n Storage.Overflow drop_oldest\n`);
  for (let count = 1; count <= 6; count += 1) {
    fs.appendFileSync(w.log, `${auditLine(`e-${count}`, long)}\n`);
    await until("the record", () => w.ids().length === count);
  }
  const { dropped } = await pipeline.stats();
  assert.ok(dropped > 0);
  await applied(pipeline, w);
  assert.equal((await pipeline.stats()).dropped, dropped);
});

test("what a filter drops reaches nobody, is counted with its reason, and holds nothing up", async (t) => {
  const w = world(t);
  const pipeline = w.start();
  fs.writeFileSync(w.log, `${["a", "b", "c"].map((id) => auditLine(id)).join("\n")}\n`);
  await applied(pipeline, w, "[FILTER]\n Name grep\n Alias some\n Match audit\n Exclude auditID ^b$\n");
  await until("the records", () => w.ids().join() === "a,c");
  const stats = await pipeline.stats();
  assert.deepEqual(stats.filters.find(({ alias }) => alias === "some")?.drops, [
    { reason: "exclude auditID ^b$", records: 1 },
  ]);
  assert.equal(stats.dropped, 0);
  await until("the end of the log", async () => (await pipeline.stats()).lagMs === 0);
});

test("alerts that are not acknowledged come again, with the same ids, also after a restart", async (t) => {
  const w = world(t);
  const exec = (id: string) => auditLine(id, { objectRef: { resource: "pods", subresource: "exec" } });
  const outputs = "[OUTPUT]\n Name detect\n Match audit\n[OUTPUT]\n Name fleet\n Match alerts\n";
  fs.mkdirSync(join(w.dir, "log"), { recursive: true });
  fs.writeFileSync(w.log, `${exec("x")}\n${exec("y")}\n`);
  const seen: string[] = [];
  const deaf = startPipeline({
    stateDir: join(w.dir, "state"),
    allowList: { destinations: [], fileDirectories: [w.out], tailDirectories: [join(w.dir, "log")] },
    onAlerts: (batch, ack) => {
      seen.push(...batch.map((alert) => alert.id));
      ack(new Error("the server is away"));
    },
    onProblem: () => {},
  });
  await applied(deaf, w, outputs, execRule);
  await until("two tries", () => seen.length >= 4);
  await deaf.stop();
  const pipeline = w.start();
  await applied(pipeline, w, outputs, execRule);
  await until("both alerts", () => w.alerts.length === 2);
  assert.deepEqual(
    w.alerts.map((alert) => alert.id),
    seen.slice(0, 2),
  );
});

test("a bundle whose bytes have another digest than the assignment says is refused, and what ran runs on", async (t) => {
  const w = world(t);
  const pipeline = w.start();
  fs.writeFileSync(w.log, "");
  await applied(pipeline, w);
  const before = (await pipeline.stats()).running;
  const bundle = writeBundle(w.dir, "shipper", tailToFile(w.log, w.out));
  fs.appendFileSync(bundle.path, " ");
  const result = await pipeline.apply({ shipper: bundle }, facts);
  assert.ok(!result.ok);
  assert.equal(result.reason, "bundle/digest-mismatch");
  write(w.log, "a");
  await until("the record", () => w.ids().join() === "a");
  assert.deepEqual((await pipeline.stats()).running, before);
});

const refusals: readonly (readonly [
  name: string,
  config: (w: World) => string,
  reason: string,
  said: RegExp,
])[] = [
  [
    "no config",
    () => "[OUTPUT]\n Name amqp\n",
    "shipper/invalid",
    /fluent-bit\.conf:2:2: Output plugin "amqp"/,
  ],
  [
    "one that reads elsewhere",
    (w) => tailToFile("/etc/shadow", w.out),
    "shipper/not-allowed",
    /may not read/,
  ],
  ["one that writes elsewhere", (w) => tailToFile(w.log, "/etc"), "shipper/not-allowed", /may not write/],
];
for (const [name, config, reason, said] of refusals) {
  test(`a shipper bundle that is ${name} is refused with place and reason`, async (t) => {
    const w = world(t);
    const pipeline = w.start();
    const result = await pipeline.apply({ shipper: writeBundle(w.dir, "shipper", config(w)) }, facts);
    assert.ok(!result.ok);
    assert.equal(result.reason, reason);
    assert.match(result.detail, said);
  });
}

test("rules with an error are refused with file and line, and the rules that ran run on", async (t) => {
  const w = world(t);
  const pipeline = w.start();
  const bad = await pipeline.apply(
    { rules: writeBundle(w.dir, "rules", execRule.replace("= exec", "=== 1")) },
    facts,
  );
  assert.ok(!bad.ok);
  assert.equal(`${bad.kind} ${bad.reason}`, "rules rules/invalid");
  assert.match(bad.detail, /rules\.yaml/);
});

test("rules are swapped while records flow, and none is lost or read twice", async (t) => {
  const w = world(t);
  const pipeline = w.start();
  fs.writeFileSync(w.log, "");
  await applied(pipeline, w, "[OUTPUT]\n Name detect\n Match audit\n", execRule);
  const wanted: string[] = [];
  for (let round = 0; round < 10; round++) {
    const ids = numbered(`r${round}`, 50);
    wanted.push(...ids);
    write(w.log, ...ids);
    const rules = writeBundle(w.dir, "rules", execRule.replace("WARNING", "ERROR"));
    assert.ok((await pipeline.apply({ rules }, facts)).ok);
  }
  await until("all records", () => w.records().length >= wanted.length);
  assert.deepEqual(w.ids(), wanted);
});

test("a link out of the allowed folder is not read", async (t) => {
  const w = world(t);
  const pipeline = w.start();
  fs.writeFileSync(join(w.dir, "secret"), `${auditLine("secret")}\n`);
  fs.symlinkSync(join(w.dir, "secret"), w.log);
  await applied(pipeline, w);
  await until("the problem", () => w.problems.some((problem) => problem.code === "tail/open"));
  assert.deepEqual(w.records(), []);
});

test("a worker that cannot run says why, and whoever waits for it is told instead of left waiting", async (t) => {
  const w = world(t);
  fs.writeFileSync(join(w.dir, "state"), "a file where the state folder should be");
  const pipeline = w.start();
  await assert.rejects(pipeline.stats(), /The pipeline's worker is gone: .*EEXIST/);
  assert.match((await pipeline.exited).error?.message ?? "", /EEXIST/);
});

test("an empty queue that kill -9 left behind is no reason to speak of records", async (t) => {
  const w = world(t);
  const folder = join(w.dir, "state", "queue", "http-sink");
  const options = { bytesMax: 1e6, segmentBytes: 1e6, onProblem: assert.fail };
  const left = new DiskQueue(folder, options);
  left.append({ tag: "audit", count: 1, oldestMs: 1, body: [Buffer.from("{}\n")] });
  left.ack(left.next(1e6, 1));
  // Not closed: what is on the disk now is what a killed process leaves.
  assert.ok(fs.readdirSync(folder).some((name) => name.endsWith(".seg")));
  const pipeline = w.start(1);
  write(w.log, "a");
  await applied(pipeline, w);
  await until("a record", () => w.records().length === 1);
  assert.deepEqual(
    w.problems.filter(({ code }) => code === "output/orphan-queue"),
    [],
  );
});

test("what filters counted is not forgotten when another config is applied", async (t) => {
  const w = world(t);
  const pipeline = w.start();
  const counts = async () => (await pipeline.stats()).filters.map(({ alias, records }) => [alias, records]);
  write(w.log, "a", "b");
  await applied(pipeline, w);
  await until("both records", () => w.records().length === 2);
  const before = await counts();
  assert.deepEqual(
    before.map(([, records]) => records),
    [2],
  );
  await applied(pipeline, w, "[FILTER]\n Name grep\n Match audit\n Exclude auditID ^c$\n");
  write(w.log, "c");
  await until("the third record", async () => (await counts())[0]?.[1] === 3);
  assert.deepEqual(await counts(), [
    [before[0]?.[0], 3],
    ["grep.1", 1],
  ]);
});

test("a config that drops an output keeps its undelivered records and says so", async (t) => {
  const w = world(t);
  const pipeline = w.start(1);
  write(w.log, "a");
  const http = "[OUTPUT]\n Name http\n Alias sink\n Match audit\n Host 127.0.0.1\n Port 1\n Format json\n";
  await applied(pipeline, w, http);
  await until("a queued record", async () =>
    (await pipeline.stats()).outputs.some((output) => output.queueRecords === 1),
  );
  await applied(pipeline, w);
  await until("the problem", () => w.problems.some((problem) => problem.code === "output/orphan-queue"));
  await applied(pipeline, w, http);
  assert.equal((await pipeline.stats()).outputs.find((output) => output.alias === "sink")?.queueRecords, 1);
  assert.deepEqual(w.ids(), ["a"]);
});
