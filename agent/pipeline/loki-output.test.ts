import assert from "node:assert/strict";
import { test } from "node:test";
import { startLoki } from "./testing/loki-server.ts";
import type { LokiServer } from "./testing/loki-server.ts";
import { openBench } from "./testing/outputs.ts";
import type { Bench } from "./testing/outputs.ts";
import { until } from "./testing/until.ts";

const to = (loki: LokiServer, more = "") =>
  `[OUTPUT]\n Name loki\n Alias store\n Match *\n Host 127.0.0.1\n Port ${loki.port}\n${more}`;

/** An event that happened so many seconds ago; `micros` are those of its time. */
function event(id: string, secondsAgo = 10, more: object = {}, micros = "123456"): string {
  const iso = new Date(Date.now() - secondsAgo * 1000).toISOString().slice(0, 19);
  return JSON.stringify({ auditID: id, ...more, stageTimestamp: `${iso}.${micros}Z` });
}
const idOf = (line: string) => (JSON.parse(line) as { auditID: string }).auditID;
const linesOf = (loki: LokiServer, stream: string) =>
  (loki.streams.get(stream) ?? []).map(({ line }) => line);
const parkedIds = (bench: Bench) => bench.parked().map((one) => idOf(String(one["line"])));
const defaultStream = '{job="fluent-bit"}';

test("records arrive as lines, in order, each with its own time to the last digit", async (t) => {
  const loki = await startLoki(t);
  const bench = await openBench(t, to(loki));
  const lines = ["a", "b", "c"].map((id) => event(id, 10, { text: 'a "quoted"\n\u0001 \\ ünïcode 🦅' }));
  bench.take(lines);
  bench.take([event("d")]);
  await bench.drained();
  assert.deepEqual(linesOf(loki, defaultStream).slice(0, 3), lines);
  assert.equal(loki.streams.get(defaultStream)?.length, 4);
  const [first] = loki.streams.get(defaultStream) ?? [];
  const { stageTimestamp } = JSON.parse(lines[0] ?? "") as { stageTimestamp: string };
  const wholeSeconds = BigInt(Date.parse(`${stageTimestamp.slice(0, 19)}Z`)) * 1_000_000n;
  assert.equal(first?.time, wholeSeconds + 123_456_000n);
  assert.deepEqual(loki.malformed, []);
});

test("labels come from the config and from records, group records into streams, and leave the line", async (t) => {
  const loki = await startLoki(t);
  const labels = ` Labels job=audit, cluster=\${CLUSTER}, team=$user['team'], $verb\n Label_Keys $objectRef['resource']\n`;
  const bench = await openBench(t, to(loki, labels));
  const more = (verb: string) => ({
    verb,
    user: { team: "a,b=c", name: "x" },
    objectRef: { resource: "pods" },
    n: 1.5e3,
  });
  bench.take([event("1", 10, more("get")), event("2", 10, more("list")), event("3", 10, more("get"))]);
  bench.take([event("4", 10, { verb: { not: "a label" } })]);
  await bench.drained();
  const stream = (verb: string) =>
    `{cluster="c-1", job="audit", objectRef_resource="pods", team="a,b=c", verb="${verb}"}`;
  assert.deepEqual([...loki.streams.keys()], [stream("get"), stream("list"), '{cluster="c-1", job="audit"}']);
  assert.deepEqual(linesOf(loki, stream("get")).map(idOf), ["1", "3"]);
  const line = JSON.parse(linesOf(loki, stream("get"))[0] ?? "") as Record<string, unknown>;
  assert.deepEqual(Object.keys(line), ["auditID", "user", "objectRef", "n", "stageTimestamp"]);
  assert.deepEqual([line["user"], line["objectRef"]], [{ name: "x" }, {}]);
  assert.deepEqual(loki.malformed, []);
});

test("a record without any of its labels gets the one that Fluent Bit gives it", async (t) => {
  const loki = await startLoki(t);
  const bench = await openBench(t, to(loki, " Labels $team\n"));
  bench.take([event("1", 10, { team: "" }), event("2", 10, { team: null }), event("3", 10, { team: "x" })]);
  await bench.drained();
  assert.deepEqual([...loki.streams.keys()], [defaultStream, '{team="x"}']);
});

test("label names are made valid, values are bounded, and neither can break out of its label", async (t) => {
  const loki = await startLoki(t);
  const bench = await openBench(t, to(loki, " Labels 0-job.x=a, $a['b/c']\n"));
  const long = `"}, evil="${"ä".repeat(3000)}`;
  bench.take([event("1", 10, { a: { "b/c": long } })]);
  await bench.drained();
  const [name = ""] = loki.streams.keys();
  assert.match(name, /^\{_0_job_x="a", a_b_c="\\"\}, evil=\\"ä+"\}$/);
  assert.ok(Buffer.byteLength(name) < 1100);
  assert.deepEqual(loki.malformed, []);
});

const shapes = [
  [
    " Remove_Keys a, $b['c']\n",
    { a: 1, b: { c: 2, d: 3 } },
    '{"auditID":"1","b":{"d":3},"stageTimestamp":"T"}',
  ],
  [
    " Line_Format key_value\n",
    { n: 1.0, t: 'x "y"', o: { p: [1] } },
    'auditID="1" n=1 t="x \\"y\\"" o="{\\"p\\":[1]}" stageTimestamp="T"',
  ],
  [
    " Remove_Keys auditID, stageTimestamp\n Drop_Single_Key on\n",
    { log: 'he said "hi"' },
    '"he said \\"hi\\""',
  ],
  [" Remove_Keys auditID, stageTimestamp\n Drop_Single_Key raw\n", { log: 'he said "hi"' }, 'he said "hi"'],
  [
    " Remove_Keys auditID, stageTimestamp\n Drop_Single_Key on\n Line_Format key_value\n",
    { log: "hi" },
    "hi",
  ],
  [" Remove_Keys auditID\n Drop_Single_Key on\n", { log: "hi" }, '{"log":"hi","stageTimestamp":"T"}'],
] as const;
for (const [options, more, wanted] of shapes) {
  test(`the line of ${JSON.stringify(more)} with ${options.trim().replaceAll(/\s+/g, " ")}`, async (t) => {
    const loki = await startLoki(t);
    const bench = await openBench(t, to(loki, options));
    bench.take([event("1", 10, more)]);
    await bench.drained();
    const [line = ""] = linesOf(loki, defaultStream);
    assert.equal(
      line
        .replace(/"stageTimestamp(":"|=")[^"]+"/, '"stageTimestamp$1T"')
        .replace(/stageTimestamp="[^"]+"/, 'stageTimestamp="T"'),
      wanted,
    );
  });
}

test("structured metadata is a map of texts beside the line", async (t) => {
  const loki = await startLoki(t);
  const bench = await openBench(
    t,
    to(loki, " Structured_Metadata id=$auditID, where=${REGION}, ref=$objectRef, $none\n"),
  );
  bench.take([event("1", 10, { objectRef: { name: "x" } })]);
  await bench.drained();
  const [entry] = loki.streams.get(defaultStream) ?? [];
  assert.deepEqual(entry?.metadata, { id: "1", where: "eu", ref: '{"name":"x"}' });
  assert.equal(idOf(entry?.line ?? ""), "1", "metadata does not leave the line");
});

test("a tenant is named in each request, and bodies may be compressed", async (t) => {
  const loki = await startLoki(t);
  loki.tenant = "team-a";
  const bench = await openBench(t, to(loki, " Tenant_ID team-a\n Compress gzip\n"));
  bench.take([event("1")]);
  await bench.drained();
  assert.equal(loki.streams.size, 1);
  assert.equal(loki.requests[0]?.headers["content-encoding"], "gzip");
});

test("entries that are too old or too far behind are set aside with Loki's reason, all others are kept", async (t) => {
  const loki = await startLoki(t);
  loki.oldSecondsMax = 86_400;
  const bench = await openBench(t, to(loki));
  const old = Array.from({ length: 30 }, (_, n) => event(`old-${n}`, 90_000 + n));
  const behind = Array.from({ length: 30 }, (_, n) => event(`behind-${n}`, 7200 + n));
  const fresh = Array.from({ length: 30 }, (_, n) => event(`fresh-${n}`, 10));
  // The newest first, so that what follows is behind it.
  bench.take([event("newest", 1)]);
  await bench.drained();
  bench.take(old.flatMap((line, n) => (n < 15 ? [line, fresh[n] ?? ""] : [line])));
  await bench.drained();
  bench.take(behind.flatMap((line, n) => (n >= 15 ? [line, fresh[n] ?? ""] : [line])));
  await bench.drained();
  const kept = linesOf(loki, defaultStream).map(idOf);
  assert.deepEqual(kept, ["newest", ...fresh.map(idOf)]);
  assert.deepEqual(parkedIds(bench).toSorted(), [...old, ...behind].map(idOf).toSorted());
  const reasons = new Set(
    bench.parked().map((one) =>
      String(one["reason"])
        .replace(/^.* 400: /, "")
        .replace(/,.*/, ""),
    ),
  );
  assert.deepEqual(reasons, new Set(["timestamp too old", "entry too far behind"]));
  // Not one request per record: what Loki says about the bound is enough.
  assert.ok(loki.requests.length <= 6, `${loki.requests.length} requests`);
});

test("a line that is too long for Loki is set aside alone, whatever else is in the batch", async (t) => {
  const loki = await startLoki(t);
  loki.lineBytesMax = 2000;
  const bench = await openBench(t, to(loki, " Labels $verb\n"));
  const verbs = ["get", "list", "watch"];
  const lines = verbs.flatMap((verb) => [event(`${verb}-1`, 10, { verb }), event(`${verb}-2`, 10, { verb })]);
  lines.splice(3, 0, event("long", 10, { verb: "get", pad: "x".repeat(3000) }));
  bench.take(lines);
  await bench.drained();
  assert.deepEqual(parkedIds(bench), ["long"]);
  assert.equal([...loki.streams.values()].flat().length, 6);
  assert.equal(loki.requests.length, 2);
});

test("a refusal that names nobody is halved until the refused record stands alone", async (t) => {
  const loki = await startLoki(t);
  const bench = await openBench(t, to(loki));
  const answer = { status: 400, body: "no\n" };
  loki.fault = ({ nth }) => (nth < 3 ? { answer } : undefined);
  bench.take(["1", "2", "3", "4"].map((id) => event(id)));
  await bench.drained();
  assert.deepEqual(parkedIds(bench), ["1"]);
  assert.deepEqual(linesOf(loki, defaultStream).map(idOf), ["2", "3", "4"]);
});

test("a batch beyond the burst that a tenant may send is made smaller instead of waiting for ever", async (t) => {
  const loki = await startLoki(t);
  loki.burstBytesMax = 30_000;
  const bench = await openBench(t, to(loki));
  const lines = Array.from({ length: 200 }, (_, n) => event(`${n}`, 10, { pad: "x".repeat(400) }));
  bench.take(lines);
  await bench.drained();
  assert.deepEqual(linesOf(loki, defaultStream), lines);
});

for (const fault of ["hang", "reset-after", "half"] as const) {
  test(`a push that meets "${fault}" comes again, and Loki keeps one`, async (t) => {
    const loki = await startLoki(t);
    loki.fault = ({ nth }) =>
      nth === 0 ? (fault === "half" ? { answer: { status: 500, body: "no" } } : fault) : undefined;
    const bench = await openBench(t, to(loki, fault === "hang" ? " http.response_timeout 1\n" : ""));
    const lines = Array.from({ length: 50 }, (_, n) => event(`${n}`));
    bench.take(lines);
    await bench.drained();
    assert.deepEqual(linesOf(loki, defaultStream), lines);
    assert.equal(loki.duplicates, fault === "reset-after" ? 50 : 0);
  });
}

test("a Loki that is away costs nothing but time", async (t) => {
  const loki = await startLoki(t);
  await loki.stop();
  const bench = await openBench(t, to(loki));
  bench.take([event("1")]);
  await until("a retry", () => bench.output.stats().retries > 0);
  await loki.start();
  await bench.drained();
  assert.deepEqual(linesOf(loki, defaultStream).map(idOf), ["1"]);
});
