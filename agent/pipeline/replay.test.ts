import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { DeadLetter } from "./dead-letter.ts";
import { readMarks } from "./parked.ts";
import { listRequests } from "./replay-request.ts";
import { programArgs } from "../../test/support/built-programs.ts";
import type { ReplayAnswer, ReplayArguments } from "../replay-main.ts";
import { auditLine, tailToFile, writeBundle } from "./testing/bundles.ts";
import { testProgram } from "./testing/test-program.ts";
import { until } from "./testing/until.ts";
import { applied, numbered, world, write } from "./testing/world.ts";
import type { World } from "./testing/world.ts";

/** Runs the program that people run, on the state directory of the world's pipeline. */
function replay(dir: string, options: Omit<ReplayArguments, "stateDir">): ReplayAnswer {
  const args = [...programArgs("replay-main"), JSON.stringify({ stateDir: dir, ...options })];
  return JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" })) as ReplayAnswer;
}

/** An agent's state directory has its pipeline in a folder; the world has only that folder. */
function stateOf(w: World): string {
  const dir = join(w.dir, "agent");
  if (!fs.existsSync(dir)) {
    fs.mkdirSync(dir);
    fs.symlinkSync(join(w.dir, "state"), join(dir, "pipeline"));
  }
  return dir;
}

/** Accepts records whose ids `accepts` likes, and refuses the others for good. */
async function startSink(t: TestContext) {
  const sink = { got: [] as string[], accepts: (_id: string): boolean => true, port: 0 };
  const server = createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    request.on("end", () => {
      const ids = (JSON.parse(text) as { auditID: string }[]).map((record) => record.auditID);
      const isFine = ids.every((id) => sink.accepts(id));
      response.statusCode = isFine ? 200 : 400;
      if (isFine) sink.got.push(...ids);
      response.end(isFine ? "" : "bad record 17");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  sink.port = (server.address() as AddressInfo).port;
  return sink;
}

const toSink = (port: number) =>
  `[SERVICE]\n Flush 0.1\n Scheduler.Base 0.05\n Scheduler.Cap 0.2\n[OUTPUT]\n Name http\n Alias sink\n Match audit\n Host 127.0.0.1\n Port ${port}\n Format json\n`;

const parkedFiles = (dir: string) =>
  fs.readdirSync(join(dir, "dead-letter")).filter((name) => name.startsWith("parked-"));

test("what an output refused goes back to that output when it is asked for, once", async (t) => {
  const w = world(t);
  const sink = await startSink(t);
  sink.accepts = (id) => !id.startsWith("bad");
  let pipeline = w.start(sink.port);
  write(w.log, "good-1", "bad-1", "good-2", "bad-2");
  await applied(pipeline, w, toSink(sink.port));
  await until("both to be set aside", async () => (await pipeline.stats()).parked === 2);
  const listed = replay(stateOf(w), { act: "list" });
  assert.equal(listed.parked, 2);
  assert.equal(listed.groups.length, 1);
  assert.equal(listed.groups[0]?.output, "sink");
  assert.equal(listed.groups[0]?.count, 2);
  assert.match(listed.groups[0]?.reason ?? "", /answered N: bad record N/);

  sink.accepts = () => true;
  replay(stateOf(w), { act: "replay", alias: "sink" });
  await until("both in the sink", () => sink.got.length === 4);
  await until("the request to be done", () => replay(stateOf(w), { act: "list" }).results.length === 1);
  assert.deepEqual(sink.got.slice(2), ["bad-1", "bad-2"]);
  assert.deepEqual(w.ids(), ["good-1", "bad-1", "good-2", "bad-2"], "the file gets nothing twice");

  const after = replay(stateOf(w), { act: "replay", alias: "sink" });
  assert.deepEqual([after.parked, after.replayed, after.chosen], [0, 2, 0]);
  await pipeline.stop();
  pipeline = w.start(sink.port);
  await applied(pipeline, w, toSink(sink.port));
  assert.deepEqual(parkedFiles(join(w.dir, "state")), [], "what was sent again takes no room");
  assert.equal(sink.got.length, 4);
});

test("a request that is made while no agent works is taken up by the next one", async (t) => {
  const w = world(t);
  const sink = await startSink(t);
  sink.accepts = () => false;
  let pipeline = w.start(sink.port);
  const wanted = numbered("r", 300);
  write(w.log, ...wanted);
  await applied(pipeline, w, toSink(sink.port));
  await until("all to be set aside", async () => (await pipeline.stats()).parked === wanted.length);
  await pipeline.stop();
  const asked = replay(stateOf(w), { act: "replay", reason: "bad record" });
  assert.deepEqual([asked.chosen, asked.agent, asked.waiting], [300, "away", 300]);
  sink.accepts = () => true;
  pipeline = w.start(sink.port);
  await applied(pipeline, w, toSink(sink.port));
  await until("all in the sink", () => sink.got.length === wanted.length);
  assert.deepEqual(sink.got, wanted);
});

test("a line that was no record is sent through the whole pipeline after it was edited, and not before", async (t) => {
  const w = world(t);
  const pipeline = w.start();
  fs.mkdirSync(join(w.dir, "log"), { recursive: true });
  fs.writeFileSync(w.log, '{"auditID":"broken"\n');
  await applied(pipeline, w);
  await until("it to be set aside", async () => (await pipeline.stats()).parked === 1);
  replay(stateOf(w), { act: "replay" });
  const results = () => replay(stateOf(w), { act: "list" }).results;
  await until("the request to be done", () => results().length === 1);
  assert.deepEqual([results()[0]?.queued, results()[0]?.skipped], [0, 1]);
  assert.match(results()[0]?.examples[0]?.why ?? "", /no record.*--edited/);
  assert.deepEqual(w.records(), []);

  const file = join(w.dir, "lines.jsonl");
  replay(stateOf(w), { act: "export", exportTo: file });
  const exported = JSON.parse(fs.readFileSync(file, "utf8")) as { id: string; line: string };
  fs.writeFileSync(file, `${JSON.stringify({ ...exported, line: `${exported.line}}` })}\n`);
  replay(stateOf(w), { act: "replay", edited: file });
  await until("it in the file", () => w.records().length === 1);
  assert.deepEqual(w.records(), [{ auditID: "broken", x_region: "eu", x_cluster: "c-1" }]);
});

test("an edited line that is still no record is refused with its place before anything is asked for", (t) => {
  const w = world(t);
  fs.mkdirSync(join(w.dir, "state", "dead-letter"), { recursive: true });
  const file = join(w.dir, "lines.jsonl");
  const id = "parked-0000000001.jsonl:0:10";
  fs.writeFileSync(file, `${JSON.stringify({ id, line: "{}" })}\n${JSON.stringify({ id, line: "{" })}\n`);
  assert.throws(
    () => replay(stateOf(w), { act: "replay", edited: file }),
    /lines\.jsonl:2: "line" holds no record/,
  );
  assert.ok(!fs.existsSync(join(w.dir, "state", "replay")));
});

test("records of an output that the config no longer has stay set aside, and the result says so", async (t) => {
  const w = world(t);
  const sink = await startSink(t);
  sink.accepts = () => false;
  const pipeline = w.start(sink.port);
  write(w.log, "a");
  await applied(pipeline, w, toSink(sink.port));
  await until("it to be set aside", async () => (await pipeline.stats()).parked === 1);
  await applied(pipeline, w);
  replay(stateOf(w), { act: "replay" });
  await until("the request to be done", () => replay(stateOf(w), { act: "list" }).results.length === 1);
  const { parked, results } = replay(stateOf(w), { act: "list" });
  assert.equal(parked, 1);
  assert.match(results[0]?.examples[0]?.why ?? "", /no output "sink" any more/);
});

test("a request that is no request is put away with the reason and holds up no other", async (t) => {
  const w = world(t);
  const folder = join(w.dir, "state", "replay");
  const pipeline = w.start();
  await applied(pipeline, w);
  fs.writeFileSync(join(folder, "0000000000001-000000-1.json"), "{}");
  fs.writeFileSync(
    join(folder, "0000000000002-000000-1.json"),
    JSON.stringify({ format: 1, entries: [{ file: "../../../etc/passwd", offset: 0, length: 10 }] }),
  );
  await until("both to be done", () => replay(stateOf(w), { act: "list" }).results.length === 2);
  const { results } = replay(stateOf(w), { act: "list" });
  assert.match(results[0]?.examples[0]?.why ?? "", /no list of entries/);
  assert.match(results[1]?.examples[0]?.why ?? "", /not in the dead letter folder/);
});

test("kill -9 in the middle of a replay loses no record, and all of them arrive in the end", async (t) => {
  const w = world(t);
  const sink = await startSink(t);
  const wanted = numbered("k", 1600);
  const options = { bytesMax: 1e9, onProblem: assert.fail, onEvicted: () => {} };
  const deadLetter = new DeadLetter(join(w.dir, "state", "dead-letter"), options);
  for (const id of wanted) {
    deadLetter.park(Buffer.from(auditLine(id)), { reason: "refused", output: "sink", tag: "audit" });
  }
  deadLetter.close();
  replay(stateOf(w), { act: "replay" });
  const shipper = writeBundle(w.dir, "shipper", tailToFile(w.log, w.out, toSink(sink.port)));
  const folder = join(w.dir, "state", "replay");
  const isDone = () => listRequests(folder).length === 0;
  const marked = () =>
    fs
      .readdirSync(join(w.dir, "state", "dead-letter"))
      .reduce((sum, name) => sum + readMarks(join(w.dir, "state", "dead-letter"), name).size, 0);
  for (let round = 0; !isDone(); round++) {
    assert.ok(round < 50, "the replay never ends");
    const child = spawn(
      process.execPath,
      [...testProgram("driver"), join(w.dir, "state"), w.dir, JSON.stringify({ shipper })],
      {
        env: { ...process.env, SINK_PORT: String(sink.port) },
        stdio: ["ignore", "ignore", "inherit"],
      },
    );
    const before = marked();
    // As soon as anything moved, so that most of a request is still to come.
    while (marked() === before && !isDone()) await sleep(2);
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  const last = w.start(sink.port);
  await applied(last, w, toSink(sink.port));
  await until("all in the sink", () => new Set(sink.got).size === wanted.length);
  assert.equal(replay(stateOf(w), { act: "list" }).parked, 0);
});
