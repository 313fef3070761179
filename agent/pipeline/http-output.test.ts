import assert from "node:assert/strict";
import * as fs from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { facts, tailOnly, writeBundle } from "./testing/bundles.ts";
import { until } from "./testing/until.ts";
import { applied, numbered, world, write } from "./testing/world.ts";

/** A server on loopback that answers what `answer` says, given the ids it was sent, and what it accepted. */
async function startSink(t: TestContext, answer: (ids: readonly string[]) => number) {
  const got: string[] = [];
  const sink = createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    request.on("end", () => {
      const whole = text.startsWith("[") ? text : `[${text.trim().replaceAll("\n", ",")}]`;
      const ids = (JSON.parse(whole) as { auditID: string }[]).map((record) => record.auditID);
      response.statusCode = answer(ids);
      if (response.statusCode === 200) got.push(...ids);
      response.end(response.statusCode === 400 ? "bad record" : "");
    });
  });
  await new Promise<void>((resolve) => sink.listen(0, "127.0.0.1", resolve));
  t.after(() => sink.close());
  return { got, port: (sink.address() as AddressInfo).port };
}

const service = "[SERVICE]\n Flush 0.1\n Scheduler.Base 0.05\n Scheduler.Cap 0.2\n";
const httpTo = (port: number, more: string) =>
  `${service}[OUTPUT]\n Name http\n Alias sink\n Match audit\n Host 127.0.0.1\n Port ${port}\n${more}\n`;

test("a destination that is away holds up nobody, and gets everything in order when it is back", async (t) => {
  const w = world(t);
  let isUp = false;
  const { got, port } = await startSink(t, (ids) => (!isUp ? 503 : ids.includes("poison") ? 400 : 200));
  const http = httpTo(port, " Format json");
  const wanted = [...numbered("a", 100), "poison", ...numbered("b", 100)];
  let pipeline = w.start(port);
  write(w.log, ...wanted);
  await applied(pipeline, w, http);
  await until("all records in the file", () => w.records().length === wanted.length);
  await until("a retry", async () => (await pipeline.stats()).outputs.some((o) => o.retries > 0));
  assert.deepEqual(got, []);
  const queued = (await pipeline.stats()).outputs.find((o) => o.alias === "sink");
  assert.equal(queued?.queueRecords, wanted.length);
  await pipeline.stop();
  pipeline = w.start(port);
  await applied(pipeline, w, http);
  isUp = true;
  await until("all but the refused record", () => got.length === wanted.length - 1);
  assert.deepEqual(
    got,
    wanted.filter((id) => id !== "poison"),
  );
  await until("the queue to be empty", async () => (await pipeline.stats()).lagMs === 0);
  const stats = (await pipeline.stats()).outputs.find((o) => o.alias === "sink");
  assert.deepEqual([stats?.parked, stats?.queueRecords], [1, 0]);
  await pipeline.stop();
  assert.match(String(w.parked()[0]?.["reason"]), /answered 400: bad record/);
});

test("a full queue makes the reader wait, and nothing is lost when there is room again", async (t) => {
  const w = world(t);
  let isUp = false;
  const { got, port } = await startSink(t, () => (isUp ? 200 : 500));
  const http = httpTo(port, " Format json_lines\n Storage.Total_Limit_Size 1M");
  const pipeline = w.start(port);
  const wanted = numbered("a", 10_000);
  write(w.log, ...wanted);
  // The only output: there is nobody who could go on.
  const shipper = writeBundle(w.dir, "shipper", `${tailOnly(w.log)}${http}`);
  const result = await pipeline.apply({ shipper }, facts);
  assert.ok(result.ok, JSON.stringify(result));
  await until("back-pressure", async () => {
    const { outputs, waitingFor } = await pipeline.stats();
    return waitingFor !== undefined && outputs.some((o) => o.full);
  });
  assert.ok((await pipeline.stats()).events < wanted.length);
  isUp = true;
  await until("all records", () => got.length >= wanted.length);
  assert.deepEqual(got, wanted);
});

test("a file that cannot be written costs nobody a record and gets them all when it can", async (t) => {
  const w = world(t);
  const pipeline = w.start();
  fs.mkdirSync(join(w.out, "audit.jsonl"), { recursive: true });
  write(w.log, "a", "b");
  await applied(pipeline, w, "[SERVICE]\n Scheduler.Cap 0.2\n Scheduler.Base 0.1\n");
  await until("a problem that names the file", () =>
    w.problems.some((p) => p.message.includes("audit.jsonl")),
  );
  fs.rmdirSync(join(w.out, "audit.jsonl"));
  write(w.log, "c");
  await until("all records", () => w.records().length >= 3);
  assert.deepEqual(w.ids(), ["a", "b", "c"]);
});
