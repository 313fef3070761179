import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { facts, writeBundle } from "./testing/bundles.ts";
import { faultFolder, missing } from "./testing/faults.ts";
import { testProgram } from "./testing/test-program.ts";
import { until } from "./testing/until.ts";
import { world } from "./testing/world.ts";

const keep = (out: string) =>
  `[OUTPUT]\n Name file\n Match *\n Path ${out}\n File out.jsonl\n Format plain\n`;
const valuesIn = (dir: string): unknown[] => {
  const path = join(dir, "out.jsonl");
  const text = fs.existsSync(path) ? fs.readFileSync(path, "utf8") : "";
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as unknown);
};

test("dummy makes as many records as it is told, and then the run has ended", async (t) => {
  const w = world(t);
  const pipeline = w.start();
  const config = `[INPUT]\n Name dummy\n Dummy {"a": 1.50}\n Rate 1000\n Copies 2\n Samples 25\n${keep(w.out)}`;
  assert.ok((await pipeline.apply({ shipper: writeBundle(w.dir, "shipper", config) }, facts)).ok);
  await until("the end", async () => (await pipeline.stats()).ended);
  assert.deepEqual(
    valuesIn(w.out),
    Array.from({ length: 50 }, () => ({ a: 1.5 })),
  );
  assert.equal(fs.readFileSync(join(w.out, "out.jsonl"), "utf8").split("\n")[0], '{"a": 1.50}');
});

test("a run over files that ends with them says so only when everything is delivered", async (t) => {
  const w = world(t);
  const pipeline = w.start(1);
  fs.writeFileSync(w.log, '{"n":1}\n{"n":2}');
  const input = `[INPUT]\n Name tail\n Path ${w.log}\n Parser json\n Exit_On_Eof on\n`;
  const away = "[OUTPUT]\n Name http\n Alias sink\n Match *\n Host 127.0.0.1\n Port 1\n Format json\n";
  const apply = async (config: string) =>
    assert.ok((await pipeline.apply({ shipper: writeBundle(w.dir, "shipper", config) }, facts)).ok);
  await apply(input + keep(w.out) + away);
  await until("both records in the file", () => valuesIn(w.out).length === 2);
  await until("both records in the queue", async () => {
    const { outputs } = await pipeline.stats();
    return outputs.find(({ alias }) => alias === "sink")?.queueRecords === 2;
  });
  const waiting = await pipeline.stats();
  assert.deepEqual([waiting.atEnd, waiting.ended], [false, false]);
  await apply(input + keep(w.out));
  await until("the end", async () => (await pipeline.stats()).ended);
  assert.deepEqual(valuesIn(w.out), [{ n: 1 }, { n: 2 }]);
});

test("stdin is read to its end, whatever it is, and lines that are no records are set aside", async (t) => {
  const dir = faultFolder(t);
  const config = `[INPUT]\n Name stdin\n Buffer_Max_Size 100k\n${keep(join(dir, "out"))}`;
  const apply = JSON.stringify({ shipper: writeBundle(dir, "shipper", config) });
  const lines = Array.from({ length: 5000 }, (_, n) => JSON.stringify({ n, pad: "x".repeat(n % 300) }));
  const long = JSON.stringify({ pad: "y".repeat(300_000) });
  const text = [...lines.slice(0, 2000), "no record", long, ...lines.slice(2000)].join("\n");
  const file = join(dir, "input.jsonl");
  fs.writeFileSync(file, text);
  for (const kind of ["pipe", "file"] as const) {
    const out = join(dir, "out", "out.jsonl");
    fs.rmSync(out, { force: true });
    const state = join(dir, `state-${kind}`);
    const stdin = kind === "pipe" ? "pipe" : fs.openSync(file, "r");
    const child = spawn(process.execPath, [...testProgram("driver"), state, dir, apply, "until-ended"], {
      stdio: [stdin, "ignore", "inherit"],
    });
    t.after(() => child.kill("SIGKILL"));
    child.stdin?.end(text);
    const [code] = (await once(child, "exit")) as [number | null];
    assert.equal(code, 0);
    const got = valuesIn(join(dir, "out")).map((value) => JSON.stringify(value));
    assert.deepEqual([missing(lines, got), got.length], [[], lines.length]);
    const parked = join(state, "dead-letter");
    const about = fs.readdirSync(parked).filter((name) => name.endsWith(".jsonl"));
    const reasons = about.flatMap((name) => fs.readFileSync(join(parked, name), "utf8").trim().split("\n"));
    const why = new Set(reasons.map((line) => /not a record|longer than/.exec(line)?.[0]));
    assert.deepEqual([reasons.length, why], [2, new Set(["not a record", "longer than"])]);
    const whole = fs.readdirSync(parked).find((name) => name.endsWith(".line")) ?? "";
    assert.equal(fs.readFileSync(join(parked, whole), "utf8"), long);
  }
});

test("counts of an input go on over a change of the config, and say what was set aside and why", async (t) => {
  const w = world(t);
  const pipeline = w.start();
  fs.writeFileSync(w.log, '{"n":1}\nno json\n');
  const config = (more: string) =>
    `[INPUT]\n Name tail\n Alias mine\n Path ${w.log}\n Parser json\n${more}${keep(w.out)}`;
  for (const more of ["", " Refresh_Interval 1\n"]) {
    assert.ok((await pipeline.apply({ shipper: writeBundle(w.dir, "shipper", config(more)) }, facts)).ok);
    await until("the end", async () => (await pipeline.stats()).atEnd);
  }
  fs.appendFileSync(w.log, '{"n":2}\n');
  await until("the second record", async () => (await pipeline.stats()).events === 2);
  const { inputs, events, parked, bytes } = await pipeline.stats();
  const [mine] = inputs;
  assert.deepEqual([events, parked, bytes], [2, 1, 24]);
  assert.deepEqual(
    [mine?.alias, mine?.plugin, mine?.records, mine?.bytes, mine?.parked, mine?.filesOpen, mine?.paused],
    ["mine", "tail", 2, 24, { "not-json": 1 }, 1, false],
  );
});
