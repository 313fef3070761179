/** Outputs that fall behind: the others go on, and everybody gets everything, whatever happens in between. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Pipeline } from "./pipeline.ts";
import { auditLine, execRule, facts, writeBundle } from "./testing/bundles.ts";
import { startFaultServer } from "./testing/fault-server.ts";
import type { FaultServer } from "./testing/fault-server.ts";
import { until } from "./testing/until.ts";
import { numbered, world, write } from "./testing/world.ts";
import type { World } from "./testing/world.ts";

const service =
  "[SERVICE]\n Flush 0.05\n Scheduler.Base 0.05\n Scheduler.Cap 0.2\n storage.sync normal\n Grace 1\n";

/** A log that a file and a web server get; the queue to the server is as small as may be. */
function configOf(w: World, port: number, more = ""): string {
  return `${service}[INPUT]
 Name tail
 Alias log
 Tag audit
 Path ${w.log}
 Parser json
 Refresh_Interval 1
 Rotate_Wait 1
[OUTPUT]
 Name file
 Alias kept
 Match audit
 Path ${w.out}
 File audit.jsonl
 Format plain
[OUTPUT]
 Name http
 Alias away
 Match *
 Host 127.0.0.1
 Port ${port}
 Format json_lines
 json_date_key false
 storage.total_limit_size 1M
${more}`;
}

interface Web extends FaultServer {
  readonly got: string[];
}

/** A web server that says what it got; each line by `auditID`, or by the rule of an alert. */
async function startWeb(t: TestContext): Promise<Web> {
  const got: string[] = [];
  const server = await startFaultServer(t, ({ body }) => {
    for (const line of body.toString().split("\n").slice(0, -1)) {
      const record = JSON.parse(line) as { auditID?: string; rule?: string };
      got.push(record.auditID ?? `alert ${record.rule}`);
    }
    return { status: 200, body: "" };
  });
  return Object.assign(server, { got });
}

async function apply(pipeline: Pipeline, w: World, config: string, rules?: string): Promise<void> {
  const request = {
    shipper: writeBundle(w.dir, "shipper", config),
    ...(rules === undefined ? {} : { rules: writeBundle(w.dir, "rules", rules) }),
  };
  const result = await pipeline.apply(request, facts);
  assert.ok(result.ok, JSON.stringify(result));
}

const behind = async (pipeline: Pipeline) =>
  (await pipeline.stats()).outputs.find(({ alias }) => alias === "away")?.isBehind === true;

test("an output with a full queue is let go: the others get on, it gets each record once when it is back, and then reads with them again", async (t) => {
  const w = world(t);
  const web = await startWeb(t);
  const { port } = web;
  const pipeline = w.start(port);
  await web.stop();
  const ids = numbered("early", 8000);
  write(w.log, ...ids);
  await apply(pipeline, w, configOf(w, port));
  await until("the file to have all", () => w.ids().length === ids.length);
  assert.ok(await behind(pipeline));
  const stats = await pipeline.stats();
  assert.deepEqual([stats.waitingFor, stats.inputs.map(({ paused }) => paused)], [undefined, [false]]);
  assert.equal(stats.events, ids.length, "the second reader does not count");
  assert.ok(!stats.atEnd && !stats.ended);
  assert.ok(w.problems.some(({ code, message }) => code === "output/behind" && message.includes('"away"')));
  await web.start();
  await until("the server to have all", () => web.got.length >= ids.length);
  await until("both to be together", async () => !(await behind(pipeline)));
  const late = numbered("late", 50);
  write(w.log, ...late);
  await until(
    "the end everywhere",
    () => web.got.length >= ids.length + 50 && w.ids().length >= ids.length + 50,
  );
  assert.deepEqual(web.got, [...ids, ...late]);
  assert.deepEqual(w.ids(), [...ids, ...late]);
  assert.ok(w.problems.some(({ code }) => code === "output/caught-up"));
});

test("an output that is behind catches up while somebody goes on writing fast", async (t) => {
  const w = world(t);
  const web = await startWeb(t);
  const { port } = web;
  const pipeline = w.start(port);
  await web.stop();
  const ids = numbered("early", 6000);
  write(w.log, ...ids);
  await apply(pipeline, w, configOf(w, port));
  await until("it to be behind", () => behind(pipeline));
  await web.start();
  const over = new AbortController();
  const writing = (async () => {
    for (let n = 0; !over.signal.aborted; n++) {
      const more = numbered(`on-${n}`, 20);
      write(w.log, ...more);
      ids.push(...more);
      await sleep(2);
    }
  })();
  await until("both to be together", async () => !(await behind(pipeline)));
  over.abort();
  await writing;
  await until("the end everywhere", () => web.got.length >= ids.length && w.ids().length >= ids.length);
  assert.deepEqual(web.got, ids);
  assert.deepEqual(w.ids(), ids);
});

test("an output that is behind stays so over a restart and another config, and loses nothing of files that rotate away meanwhile", async (t) => {
  const w = world(t);
  const web = await startWeb(t);
  const { port } = web;
  let pipeline = w.start(port);
  await web.stop();
  const ids: string[] = [];
  const more = (name: string) => {
    const some = numbered(name, 3000);
    write(w.log, ...some);
    ids.push(...some);
  };
  more("a");
  await apply(pipeline, w, configOf(w, port));
  await until("it to be behind", () => behind(pipeline));
  fs.renameSync(w.log, `${w.log}.1`);
  more("b");
  await until("the file to have both", () => w.ids().length === ids.length);
  await pipeline.stop();
  fs.renameSync(w.log, `${w.log}.2`);
  more("c");
  pipeline = w.start(port);
  await apply(pipeline, w, configOf(w, port));
  await until("the file to have all", () => w.ids().length === ids.length);
  assert.ok(await behind(pipeline));
  await apply(pipeline, w, configOf(w, port, "[OUTPUT]\n Name null\n Match audit\n"));
  assert.ok(await behind(pipeline));
  await web.start();
  await until("both to be together", async () => !(await behind(pipeline)), 60_000);
  await until("the server to have the last", () => web.got.at(-1) === ids.at(-1));
  assert.deepEqual([...new Set(web.got)], ids, "in order, and nothing is missing");
  assert.ok(web.got.length - ids.length <= 1500, `${web.got.length - ids.length} came twice`);
  assert.deepEqual(w.ids(), ids);
});

test("an output that is behind gets files that were rotated and removed before it came to them", async (t) => {
  const w = world(t);
  const web = await startWeb(t);
  const { port } = web;
  const pipeline = w.start(port);
  await web.stop();
  const ids: string[] = [];
  const more = async (name: string) => {
    const some = numbered(name, 3000);
    write(w.log, ...some);
    ids.push(...some);
    await until("the file to have it", () => w.ids().length === ids.length);
  };
  write(w.log, "first");
  ids.push("first");
  await apply(pipeline, w, configOf(w, port));
  for (const name of ["a", "b", "c"]) {
    await more(name);
    fs.renameSync(w.log, `${w.log}.${name}`);
  }
  await more("d");
  assert.ok(await behind(pipeline));
  const open = async () => (await pipeline.stats()).inputs[0]?.filesOpen;
  await until("the first reader to have done with what was rotated", async () => (await open()) === 1);
  for (const name of ["a", "b", "c"]) fs.rmSync(`${w.log}.${name}`);
  await more("e");
  await sleep(1500);
  await web.start();
  await until("both to be together", async () => !(await behind(pipeline)));
  await until("the server to have the last", () => web.got.at(-1) === ids.at(-1));
  assert.deepEqual(web.got, ids);
  assert.deepEqual(
    w.problems.filter(({ code }) => code === "tail/gone"),
    [],
  );
});

test("alerts come once, also to an output that is behind, and are counted once", async (t) => {
  const w = world(t);
  const web = await startWeb(t);
  const { port } = web;
  const pipeline = w.start(port);
  await web.stop();
  const exec = { objectRef: { resource: "pods", subresource: "exec" } };
  const lines = numbered("x", 1500).map((id) => `${auditLine(id, exec)}\n`);
  fs.mkdirSync(join(w.dir, "log"), { recursive: true });
  fs.writeFileSync(w.log, lines.join(""));
  const detect = "[OUTPUT]\n Name detect\n Match audit\n[OUTPUT]\n Name fleet\n Match *\n";
  await apply(pipeline, w, configOf(w, port, detect), execRule);
  await until("all alerts to be with the fleet", () => w.alerts.length === lines.length);
  assert.ok(await behind(pipeline));
  await web.start();
  await until("both to be together", async () => !(await behind(pipeline)));
  await until("the server to have all", () => web.got.length >= 2 * lines.length);
  assert.equal(web.got.filter((one) => one.startsWith("alert ")).length, lines.length);
  assert.equal(new Set(web.got.filter((one) => one.startsWith("x-"))).size, lines.length);
  assert.equal((await pipeline.stats()).alerts, lines.length);
  assert.equal(w.alerts.length, lines.length);
});

test("what is no record is set aside once, although two readers meet it", async (t) => {
  const w = world(t);
  const web = await startWeb(t);
  const { port } = web;
  const pipeline = w.start(port);
  await web.stop();
  write(w.log, ...numbered("a", 4000));
  fs.appendFileSync(w.log, `no json\n${"x".repeat(3_000_000)}\n`);
  write(w.log, "end");
  await apply(pipeline, w, configOf(w, port));
  await until("the file to have all", () => w.ids().at(-1) === "end");
  assert.ok(await behind(pipeline));
  await web.start();
  await until("both to be together", async () => !(await behind(pipeline)));
  await until("the server to have all", () => web.got.at(-1) === "end");
  assert.equal(w.parked().length, 2);
  assert.equal((await pipeline.stats()).parked, 2);
});

test("workers that die at any moment of falling behind and catching up cost no output a record", async (t) => {
  const w = world(t);
  const web = await startWeb(t);
  const { port } = web;
  const ids: string[] = [];
  let seed = 7_001;
  const dice = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  let isUp = true;
  let deaths = 0;
  for (let round = 0; round < 14; round++) {
    const pipeline = w.start(port);
    await apply(pipeline, w, configOf(w, port));
    for (let step = 0; step < 3; step++) {
      const more = numbered(`r${round}-${step}`, Math.floor(dice() * 2500));
      write(w.log, ...more);
      ids.push(...more);
      if (dice() < 0.5) {
        if (isUp) await web.stop();
        else await web.start();
        isUp = !isUp;
      }
      if (dice() < 0.2) fs.renameSync(w.log, `${w.log}.${round}-${step}`);
      await sleep(dice() * 120);
    }
    if (dice() < 0.7) {
      deaths += 1;
      pipeline.kill();
      await pipeline.exited;
    } else await pipeline.stop();
  }
  assert.ok(deaths > 5);
  if (!isUp) await web.start();
  write(w.log, "end");
  ids.push("end");
  const pipeline = w.start(port);
  await apply(pipeline, w, configOf(w, port));
  await until("all to be together", async () => (await pipeline.stats()).atEnd, 60_000);
  const missing = [new Set(web.got), new Set(w.ids())].map((got) => ids.filter((id) => !got.has(id)));
  assert.deepEqual(missing, [[], []]);
});
