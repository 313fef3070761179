import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { auditLine } from "./testing/bundles.ts";
import { startFaultServer } from "./testing/fault-server.ts";
import type { Answer, FaultServer } from "./testing/fault-server.ts";
import { openBench } from "./testing/outputs.ts";
import type { Bench } from "./testing/outputs.ts";
import { until } from "./testing/until.ts";

type Judge = (ids: readonly string[], body: Buffer) => Answer | undefined;

/** A destination that keeps the ids of the records that it accepted, in order: all that `judge` has no answer of its own for. */
async function startSink(
  t: TestContext,
  judge: Judge = () => undefined,
): Promise<FaultServer & { readonly got: string[] }> {
  const got: string[] = [];
  const server = await startFaultServer(t, ({ body }) => {
    const ids = idsIn(body);
    const refusal = judge(ids, body);
    if (refusal === undefined) got.push(...ids);
    return refusal ?? { status: 200, body: "thanks" };
  });
  return Object.assign(server, { got });
}

function idsIn(body: Buffer): string[] {
  const lines = body.toString().split("\n");
  assert.equal(lines.pop(), "", "the body ends in the middle of a line");
  return lines.map(idOf);
}

const idOf = (line: string) => (JSON.parse(line) as { auditID: string }).auditID;
const parkedIds = (bench: Bench) => bench.parked().map((one) => idOf(String(one["line"])));
const to = (port: number, more = "") =>
  `[OUTPUT]\n Name http\n Alias sink\n Match *\n Host 127.0.0.1\n Port ${port}\n Format json_lines\n Json_Date_Key false\n${more}`;
const records = (count: number, from = 0) =>
  Array.from({ length: count }, (_, n) => auditLine(`a-${from + n}`));
const wanted = (count: number, from = 0) => Array.from({ length: count }, (_, n) => `a-${from + n}`);

for (const [fault, isTaken] of [
  ["hang", false],
  ["reset", false],
  ["reset-after", true],
  ["half", true],
] as const) {
  test(`a request that meets "${fault}" is repeated: its batch may come twice, and nothing else`, async (t) => {
    const sink = await startSink(t);
    const bench = await openBench(t, to(sink.port, fault === "hang" ? " http.response_timeout 1\n" : ""));
    sink.fault = ({ nth }) => (nth === 1 ? fault : undefined);
    for (const from of [0, 50, 100]) {
      bench.take(records(50, from));
      await bench.drained();
    }
    const twice = isTaken ? wanted(50, 50) : [];
    assert.deepEqual(sink.got, [...wanted(100), ...twice, ...wanted(50, 100)]);
    assert.deepEqual(bench.parked(), []);
  });
}

test("the body of json_lines without a date is what lies in the queue, byte for byte", async (t) => {
  const sink = await startSink(t);
  const bench = await openBench(t, to(sink.port));
  const lines = ['{ "auditID" : "x", "n": 1.50, "u": "\\u0041" }', '{"auditID":"ä"}'];
  bench.take(lines);
  await bench.drained();
  assert.equal(sink.requests[0]?.body.toString(), `${lines.join("\n")}\n`);
});

test("refused records are found by halving, wherever they stand, and set aside with what was said", async (t) => {
  const bad = new Set(["a-0", "a-13", "a-14", "a-39"]);
  const sink = await startSink(t, (ids) =>
    ids.some((id) => bad.has(id)) ? { status: 422, body: "  no\n such  field " } : undefined,
  );
  const bench = await openBench(t, to(sink.port));
  bench.take(records(40));
  await bench.drained();
  assert.deepEqual(
    sink.got,
    wanted(40).filter((id) => !bad.has(id)),
  );
  assert.deepEqual(parkedIds(bench), [...bad]);
  assert.equal(bench.parked()[0]?.["reason"], `127.0.0.1:${sink.port} answered 422: no such field`);
  assert.equal(bench.output.stats().delivered, 36);
});

for (const status of [301, 401, 403, 404, 408, 429, 500, 503]) {
  test(`${status} says nothing about records: they wait until the destination takes them`, async (t) => {
    let isAway = true;
    const sink = await startSink(t, () => (isAway ? { status, body: "" } : undefined));
    const bench = await openBench(t, to(sink.port));
    bench.take(records(5));
    await until("two retries", () => bench.output.stats().retries >= 2);
    isAway = false;
    await bench.drained();
    assert.deepEqual([sink.got, bench.parked()], [wanted(5), []]);
  });
}

test("a limit of size is met once, and a record that is larger alone is set aside", async (t) => {
  const limit = 20_000;
  let refusals = 0;
  const sink = await startSink(t, (_, { length }) => {
    if (length <= limit) return undefined;
    refusals++;
    return { status: 413, body: "too large" };
  });
  const bench = await openBench(t, to(sink.port));
  const large = auditLine("large", { pad: "x".repeat(limit) });
  bench.take([...records(50), large, ...records(50, 50)]);
  await bench.drained();
  assert.deepEqual([sink.got, parkedIds(bench)], [wanted(100), ["large"]]);
  const before = refusals;
  bench.take(records(100, 100));
  await bench.drained();
  assert.deepEqual(sink.got, wanted(200));
  assert.equal(refusals, before);
});

test("over a line of 40 KB a second, where a whole batch never gets through in time, records arrive all the same", async (t) => {
  const sink = await startSink(t);
  sink.fault = () => ({ slow: 40_000 });
  const bench = await openBench(t, to(sink.port, " http.response_timeout 1\n"));
  bench.take(records(200));
  assert.ok(records(200).join("\n").length > 80_000);
  await bench.drained(60_000);
  // What came too late came all the same: duplicates are allowed, holes and disorder are not.
  const first = sink.got.filter((id, index) => sink.got.indexOf(id) === index);
  assert.deepEqual(first, wanted(200));
});

test("a destination that was not there is noticed when it comes back, however long the output would have waited", async (t) => {
  const sink = await startSink(t);
  const hours = "[SERVICE]\n Flush 0.02\n Scheduler.Base 3600\n Scheduler.Cap 3600\n";
  await sink.stop();
  const bench = await openBench(t, to(sink.port), hours);
  bench.take(records(3));
  await until("a retry", () => bench.output.stats().retries >= 1);
  await sink.start();
  await bench.drained();
  assert.deepEqual(sink.got, wanted(3));
});

test("an output waits as long as it is asked to, while another one that was only refused tries again and again", async (t) => {
  const headers = { "retry-after": "3600" };
  const busy = await startSink(t, () => ({ status: 429, body: "", headers }));
  const refusing = await startSink(t, () => ({ status: 429, body: "" }));
  const patient = await openBench(t, to(busy.port));
  const impatient = await openBench(t, to(refusing.port));
  patient.take(records(3));
  await until("a retry", () => patient.output.stats().retries >= 1);
  impatient.take(records(3));
  await until("ten retries", () => impatient.output.stats().retries >= 10);
  assert.equal(busy.requests.length, 1);
});

test("with retry_limit only what is not delivered is set aside", async (t) => {
  const sink = await startSink(t, (ids) => {
    if (ids.length > 1) return { status: 413, body: "" };
    return ids[0] === "a-2" ? { status: 500, body: "away" } : undefined;
  });
  const bench = await openBench(t, to(sink.port, " Retry_Limit 2\n"));
  bench.take(records(4));
  await bench.drained();
  assert.deepEqual(sink.got, wanted(2));
  assert.deepEqual(parkedIds(bench), ["a-2", "a-3"]);
  assert.match(String(bench.parked()[0]?.["reason"]), /not delivered after 2 retries: .* answered 500: away/);
});

test("a queue that may drop counts what it drops and says so, and never makes the reader wait", async (t) => {
  const sink = await startSink(t);
  await sink.stop();
  const limits = " Storage.Total_Limit_Size 1M\n Storage.Overflow drop_oldest\n";
  const bench = await openBench(t, to(sink.port, limits));
  for (let from = 0; from < 5000; from += 100) {
    assert.ok(!bench.output.isFull);
    bench.take(records(100, from));
  }
  const { dropped, queueRecords, queueBytes } = bench.output.stats();
  assert.ok(dropped > 0);
  assert.equal(dropped + queueRecords, 5000);
  assert.ok(queueBytes < 1_300_000);
  assert.ok(
    bench.problems.some((problem) => /^output\/dropped .* of its oldest records were dropped/.test(problem)),
  );
  await sink.start();
  await bench.drained();
  assert.deepEqual(sink.got.at(-1), "a-4999");
  const after = bench.output.stats().dropped;
  assert.equal(new Set(sink.got).size + after, 5000);
});

test("what was delivered before a kill does not come again, and what was not does", async (t) => {
  const sink = await startSink(t);
  const first = await openBench(t, to(sink.port));
  first.take(records(100));
  await first.drained();
  await sink.stop();
  first.take(records(100, 100));
  const second = await first.reopen();
  await sink.start();
  await second.drained();
  assert.deepEqual(sink.got, wanted(200));
});
