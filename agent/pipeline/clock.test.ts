import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { Runner } from "./runner.ts";
import { facts, tailOnly, writeBundle } from "./testing/bundles.ts";
import { startFaultServer } from "./testing/fault-server.ts";
import { until } from "./testing/until.ts";
import { numbered, world, write } from "./testing/world.ts";

/** Moves the time of day, and nothing else: what steady clocks say stays. */
function movableClock(t: TestContext): (byMs: number) => void {
  const real = Date.now;
  let offset = 0;
  t.after(() => (Date.now = real));
  Date.now = () => real() + offset;
  return (byMs) => (offset += byMs);
}

const day = 86_400_000;

test("a clock that is set back a day, or forward, holds up neither reading, rotation, retries nor checkpoints", async (t) => {
  const move = movableClock(t);
  const end: (() => Promise<void>)[] = [];
  // Before the folder goes.
  t.after(() => Promise.all(end.map((one) => one())));
  const w = world(t);
  fs.mkdirSync(join(w.dir, "log"));
  const got: string[] = [];
  let isUp = true;
  const server = await startFaultServer(t, ({ body }) => {
    if (!isUp) return { status: 503, body: "" };
    const lines = body.toString().trim().split("\n");
    got.push(...lines.map((line) => (JSON.parse(line) as { auditID: string }).auditID));
    return { status: 200, body: "" };
  });
  const output = `[OUTPUT]\n Name http\n Alias web\n Match audit\n Host 127.0.0.1\n Port ${server.port}\n Format json_lines\n`;
  const service = "[SERVICE]\n Flush 0.05\n Scheduler.Base 0.05\n Scheduler.Cap 0.2\n";
  const allowList = {
    destinations: [{ host: "127.0.0.1", port: server.port, tls: "optional" as const }],
    fileDirectories: [],
    tailDirectories: [join(w.dir, "log")],
  };
  const runner = new Runner(
    { stateDir: join(w.dir, "state"), allowList },
    { onProblem: () => {}, deliverAlerts: () => Promise.resolve(), onLost: () => {} },
  );
  const running = runner.run();
  end.push(async () => {
    await runner.stop();
    await running;
  });
  const shipper = writeBundle(w.dir, "shipper", service + tailOnly(w.log) + output);
  const result = await runner.apply({ shipper }, facts);
  assert.ok(result.ok, JSON.stringify(result));
  const checkpoint = () => fs.readFileSync(join(w.dir, "state", "checkpoint.json"), "utf8");
  const wanted: string[] = [];
  const inode = () => fs.statSync(w.log).ino;
  for (const [name, byMs] of Object.entries({ start: 0, back: -day, forward: 3 * day, "back again": -day })) {
    isUp = byMs === 0;
    move(byMs);
    const ids = numbered(name, 50);
    write(w.log, ...ids);
    wanted.push(...ids);
    if (!isUp) await until("a retry", () => (runner.stats().outputs[0]?.queueRecords ?? 0) > 0);
    isUp = true;
    await until(`all records after ${name}`, () => got.length >= wanted.length);
    await until("a checkpoint", () => checkpoint().includes(`"inode":${inode()},`));
    fs.renameSync(w.log, `${w.log}.${wanted.length}`);
  }
  assert.deepEqual(got, wanted);
});
