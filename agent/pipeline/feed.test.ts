import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { CheckpointFile } from "./checkpoint.ts";
import { auditLine, execRule, facts, writeBundle } from "./testing/bundles.ts";
import { breakSyncs } from "./testing/failing-sync.ts";
import { until } from "./testing/until.ts";
import { numbered, world, write } from "./testing/world.ts";
import type { ApplyRequest } from "./messages.ts";
import { Runner } from "./runner.ts";

const tail = (log: string, alias: string) =>
  `[INPUT]\n Name tail\n Alias ${alias}\n Tag ${alias}\n Path ${log}\n Parser json\n`;
const away = (match: string) =>
  `[OUTPUT]\n Name http\n Alias away\n Match ${match}\n Host 127.0.0.1\n Port 1\n Format json_lines\n Storage.Total_Limit_Size 1M\n`;
const kept = (out: string, match: string) =>
  `[OUTPUT]\n Name file\n Alias kept\n Match ${match}\n Path ${out}\n File ids.jsonl\n Format plain\n`;

async function applied(pipeline: Pick<Runner, "apply">, request: ApplyRequest): Promise<void> {
  const result = await pipeline.apply(request, facts);
  assert.ok(result.ok, JSON.stringify(result));
}

/** The ids in the file of the output `kept`. */
function idsOf(out: string): readonly string[] {
  const path = join(out, "ids.jsonl");
  const text = fs.existsSync(path) ? fs.readFileSync(path, "utf8") : "";
  const whole = text.slice(0, text.lastIndexOf("\n") + 1).split("\n");
  return whole.slice(0, -1).map((line) => (JSON.parse(line) as { auditID: string }).auditID);
}

test("a full queue pauses the input that feeds it and no other, which goes on, keeps its positions, and is told apart", async (t) => {
  const w = world(t);
  const logs = { a: join(w.dir, "log", "a.log"), b: join(w.dir, "log", "b.log") };
  const config = `[SERVICE]\n Flush 0.1\n${tail(logs.a, "a")}${tail(logs.b, "b")}${away("a")}${kept(w.out, "b")}`;
  const shipper = writeBundle(w.dir, "shipper", config);
  let pipeline = w.start();
  const waiting = async () => {
    const { inputs, waitingFor } = await pipeline.stats();
    return { waitingFor, inputs: inputs.map(({ alias, paused, waitingFor: why }) => [alias, paused, why]) };
  };
  write(logs.a, ...numbered("a", 10_000));
  write(logs.b, "b-0");
  await applied(pipeline, { shipper });
  const why = 'the queue of output "away" is full';
  await until("the input of the dead output to wait", async () => (await waiting()).waitingFor === why);
  const more = numbered("later", 2000);
  write(logs.b, ...more);
  await until("the other input to go on", () => idsOf(w.out).length === more.length + 1);
  assert.deepEqual((await waiting()).inputs, [
    ["a", true, why],
    ["b", false, undefined],
  ]);
  assert.ok(
    w.problems.some(({ code, message }) => code === "input/waiting" && message.includes('Input "a"')),
    "the log names the input",
  );
  await pipeline.stop();
  pipeline = w.start();
  await applied(pipeline, { shipper });
  write(logs.b, "end");
  await until("the end", () => idsOf(w.out).at(-1) === "end");
  // Read once: its positions moved while the other input waited.
  assert.deepEqual(idsOf(w.out), ["b-0", ...more, "end"]);
});

test("an input whose alerts have nowhere to go waits, as does one whose rules are missing", async (t) => {
  const w = world(t);
  const logs = { a: join(w.dir, "log", "a.log"), b: join(w.dir, "log", "b.log") };
  const detect = "[OUTPUT]\n Name detect\n Match a\n";
  const config = `[SERVICE]\n Flush 0.1\n${tail(logs.a, "a")}${tail(logs.b, "b")}${detect}${away("alerts")}${kept(w.out, "b")}`;
  const pipeline = w.start();
  const reasons = async () => (await pipeline.stats()).inputs.map((input) => input.waitingFor);
  const exec = { objectRef: { resource: "pods", subresource: "exec" } };
  const lines = numbered("a", 5000).map((id) => `${auditLine(id, exec)}\n`);
  fs.writeFileSync(logs.a, lines.join(""));
  write(logs.b, "b-0");
  await applied(pipeline, { shipper: writeBundle(w.dir, "shipper", config) });
  await until("the other input", () => idsOf(w.out).length === 1);
  assert.deepEqual(await reasons(), [
    "the shipper config has an output detect, and no rules are applied yet",
    undefined,
  ]);
  await applied(pipeline, { rules: writeBundle(w.dir, "rules", execRule) });
  await until(
    "its alerts to fill the queue",
    async () => (await reasons())[0] === 'the queue of output "away" is full',
  );
  write(logs.b, "b-1");
  await until("the other input", () => idsOf(w.out).length === 2);
});

test("after a sync of a queue that failed its records are read again, and positions stay until they are", async (t) => {
  const onEnd: (() => Promise<void>)[] = [];
  // Before the folder goes.
  t.after(() => Promise.all(onEnd.map((end) => end())));
  const w = world(t);
  fs.mkdirSync(join(w.dir, "log"));
  let isBroken = false;
  breakSyncs(t, () => isBroken);
  const problems: string[] = [];
  let lost = 0;
  const runner = new Runner(
    {
      stateDir: join(w.dir, "state"),
      allowList: {
        destinations: [{ host: "127.0.0.1", port: 1, tls: "optional" }],
        fileDirectories: [],
        tailDirectories: [join(w.dir, "log")],
      },
    },
    {
      onProblem: (code, message) => problems.push(`${code} ${message}`),
      deliverAlerts: () => Promise.reject(new Error("there are none")),
      onLost: () => lost++,
    },
  );
  const running = runner.run();
  onEnd.push(async () => {
    isBroken = false;
    await runner.stop();
    await running;
  });
  const queued = () => runner.stats().outputs[0]?.queueRecords ?? 0;
  const checkpoint = () => fs.readFileSync(join(w.dir, "state", "checkpoint.json"), "utf8");
  const saved = () => Number(/"offset":(\d+)/.exec(checkpoint())?.[1] ?? -1);
  write(w.log, "a");
  const config = `${tail(w.log, "audit")}${away("audit")}`;
  await applied(runner, { shipper: writeBundle(w.dir, "shipper", config) });
  const size = fs.statSync(w.log).size;
  await until("the first record to be safe", () => queued() === 1 && saved() === size);

  isBroken = true;
  write(w.log, "b");
  await until("the queue to be given up", () => lost === 1);
  isBroken = false;
  write(w.log, "c");
  await until("reading to go on", () => queued() === 3);
  assert.equal(saved(), size);
  const [noted] = new CheckpointFile(join(w.dir, "state", "checkpoint.json"), assert.fail)
    .load()
    .filter((mark) => mark.kind === "file");
  assert.equal(noted?.offset, size, "the quick note is not ahead either");
  assert.match(problems.join("\n"), /checkpoint\/failed Positions cannot be saved for output "away"/);

  await runner.reopen();
  await until("both to be safe", () => saved() === 3 * size);
  assert.equal(queued(), 5, "the two came again");
});
