import assert from "node:assert/strict";
import { test } from "node:test";
import { auditLine } from "./testing/bundles.ts";
import { startEs } from "./testing/es-server.ts";
import type { EsServer } from "./testing/es-server.ts";
import { openBench } from "./testing/outputs.ts";
import { until } from "./testing/until.ts";

const to = (es: EsServer, more = "") =>
  `[OUTPUT]\n Name es\n Alias search\n Match *\n Host 127.0.0.1\n Port ${es.port}\n Index vm\n${more}`;
const numbered = (count: number, from = 0) =>
  Array.from({ length: count }, (_, n) => auditLine(`a-${from + n}`));
const idsIn = (es: EsServer, index = "vm") =>
  [...(es.indices.get(index)?.values() ?? [])].map((source) => String(source["auditID"]));
const wanted = (count: number) => Array.from({ length: count }, (_, n) => `a-${n}`);
const tooLong = {
  status: 400,
  type: "document_parsing_exception",
  reason: "failed to parse field [n] of type [long]",
};
const busy = {
  status: 429,
  type: "es_rejected_execution_exception",
  reason: "rejected execution of coordinating operation",
};

test("records are stored once, in order, with their own time and an id that is the server's business to keep", async (t) => {
  const es = await startEs(t);
  const bench = await openBench(t, to(es));
  bench.take(numbered(1000));
  bench.take(numbered(1000, 1000));
  await bench.drained();
  assert.deepEqual(idsIn(es), wanted(2000));
  assert.deepEqual(es.refusals, []);
  const [source] = es.indices.get("vm")?.values() ?? [];
  assert.equal(source?.["@timestamp"], source?.["stageTimestamp"]);
  const { delivered, parked } = bench.output.stats();
  assert.deepEqual([delivered, parked], [2000, 0]);
});

test("one refused record of a bulk is set aside with the reason, and the others are stored", async (t) => {
  const es = await startEs(t);
  es.refuse = (source) => (source["auditID"] === "a-7" ? tooLong : undefined);
  const bench = await openBench(t, to(es));
  bench.take(numbered(20));
  await bench.drained();
  assert.deepEqual(
    idsIn(es),
    wanted(20).filter((id) => id !== "a-7"),
  );
  const [parked, ...more] = bench.parked();
  assert.deepEqual(more, []);
  assert.match(String(parked?.["line"]), /"auditID":"a-7"/);
  assert.match(
    String(parked?.["reason"]),
    /answered 400: document_parsing_exception: failed to parse field \[n\]/,
  );
  assert.equal(es.requests.length, 1);
});

test("a tenth of refused records costs one request", async (t) => {
  const es = await startEs(t);
  es.refuse = (source) => (String(source["auditID"]).endsWith("3") ? tooLong : undefined);
  const bench = await openBench(t, to(es));
  bench.take(numbered(500));
  await bench.drained();
  assert.equal(idsIn(es).length, 450);
  assert.equal(bench.parked().length, 50);
  assert.equal(es.requests.length, 1);
});

for (const error of [
  busy,
  { status: 503, type: "unavailable_shards_exception", reason: "primary shard is not active" },
]) {
  test(`records that get ${error.status} are sent again alone, until they are stored`, async (t) => {
    const es = await startEs(t);
    let isBusy = true;
    es.refuse = (source) => (isBusy && String(source["auditID"]).endsWith("5") ? error : undefined);
    const bench = await openBench(t, to(es));
    bench.take(numbered(100));
    await until("the second request", () => es.requests.length >= 2);
    assert.equal(idsIn(es).length, 90);
    const second = es.requests[1]?.body.toString() ?? "";
    assert.equal(second.match(/"auditID"/g)?.length, 10);
    isBusy = false;
    await bench.drained();
    assert.deepEqual(idsIn(es).toSorted(), wanted(100).toSorted());
    assert.deepEqual(bench.parked(), []);
    assert.equal(es.conflicts, 0);
  });
}

test("a cluster that blocks writes gets its records later: that is not the records' fault", async (t) => {
  const es = await startEs(t);
  let isBlocked = true;
  const reason = "index [vm] blocked by: [FORBIDDEN/12/index read-only / allow delete (api)]";
  es.refuse = () => (isBlocked ? { status: 403, type: "cluster_block_exception", reason } : undefined);
  const bench = await openBench(t, to(es));
  bench.take(numbered(10));
  await until("a retry", () => es.requests.length > 2);
  isBlocked = false;
  await bench.drained();
  assert.deepEqual(idsIn(es), wanted(10));
  assert.deepEqual(bench.parked(), []);
});

for (const [fault, isStored] of [
  ["hang", false],
  ["reset", false],
  ["reset-after", true],
  ["half", true],
] as const) {
  test(`a request that meets "${fault}" is repeated, and what was stored is not stored twice`, async (t) => {
    const es = await startEs(t);
    es.fault = ({ nth }) => (nth === 0 ? fault : undefined);
    const bench = await openBench(t, to(es, fault === "hang" ? " http.response_timeout 1\n" : ""));
    bench.take(numbered(300));
    await bench.drained();
    assert.deepEqual(idsIn(es), wanted(300));
    assert.equal(es.conflicts, isStored ? 300 : 0);
    assert.deepEqual(bench.parked(), []);
    assert.equal(bench.output.stats().delivered, 300);
  });
}

const brokenAnswers = [
  ["an answer that is no JSON", "<html>502</html>"],
  ["an answer without its end", '{"took":3,"errors":false,"items":[{"create":{"status":201'],
  [
    "an answer that ends early where an object ends",
    '{"took":3,"errors":false,"items":[{"create":{"status":201}}',
  ],
  ["an answer about fewer records", '{"took":3,"errors":true,"items":[{"create":{"status":201}}]}'],
  ["an answer whose results have no status", '{"took":3,"errors":true,"items":[{},{},{}]}'],
  ["an empty answer", ""],
] as const;
for (const [what, body] of brokenAnswers) {
  test(`${what} is no reason to believe that anything is stored`, async (t) => {
    const es = await startEs(t);
    es.fault = ({ nth }) => (nth === 0 ? { answer: { status: 200, body } } : undefined);
    const bench = await openBench(t, to(es));
    bench.take(numbered(3));
    await bench.drained();
    assert.deepEqual(idsIn(es), wanted(3));
    assert.deepEqual([es.requests.length, bench.parked().length], [2, 0]);
  });
}

test("a request that is too large for the destination is halved, and later ones are made smaller at once", async (t) => {
  const es = await startEs(t);
  es.bytesMax = 40_000;
  const bench = await openBench(t, to(es));
  bench.take(numbered(400));
  await bench.drained();
  const first = es.refusals.length;
  assert.ok(first > 0 && first < 8, `${first} refusals`);
  bench.take(numbered(400, 400));
  await bench.drained();
  assert.deepEqual(idsIn(es), wanted(800));
  assert.equal(es.refusals.length, first);
});

test("a whole request that is refused is halved until the record stands alone", async (t) => {
  const es = await startEs(t);
  const bench = await openBench(t, to(es));
  const body = '{"error":{"type":"illegal_argument_exception","reason":"no"},"status":400}';
  es.fault = () => undefined;
  const poison = auditLine("poison");
  es.fault = ({ nth }) => (nth < 5 ? { answer: { status: 400, body } } : undefined);
  bench.take([...numbered(7), poison]);
  await bench.drained();
  // 8, 4, 2 and two single ones are refused: the first two records are set aside, the others are stored.
  assert.deepEqual(
    bench.parked().map((one) => (JSON.parse(String(one["line"])) as { auditID: string }).auditID),
    ["a-0", "a-1"],
  );
  assert.deepEqual(idsIn(es), [...wanted(7).slice(2), "poison"]);
});

test("a type that Elasticsearch 8 does not know makes the output wait and say so, and loses no record", async (t) => {
  const es = await startEs(t);
  const bench = await openBench(t, to(es, " Suppress_Type_Name off\n"));
  bench.take(numbered(3));
  await until("the advice", () =>
    bench.problems.some((p) => p.includes('"suppress_type_name" has to be on')),
  );
  assert.deepEqual(bench.parked(), []);
  assert.equal(bench.output.stats().queueRecords, 3);
});

test("records have the same ids whoever sends them when, and two equal lines are two records", async (t) => {
  const es = await startEs(t);
  const first = await openBench(t, to(es));
  const line = auditLine("same");
  first.take([line, line, auditLine("other")]);
  await first.drained();
  const ids = [...(es.indices.get("vm")?.keys() ?? [])];
  assert.equal(ids.length, 3);
  // Another agent's state, the same file from its beginning, in other batches.
  const second = await openBench(t, to(es));
  second.take([line]);
  await second.drained();
  second.take([line, auditLine("same", { verb: "get" })]);
  await second.drained();
  assert.deepEqual([...(es.indices.get("vm")?.keys() ?? [])].slice(0, 3), ids);
  assert.equal(es.conflicts, 2);
  assert.equal(es.indices.get("vm")?.size, 4, "what says something else at the same place is another record");
});

test("with Generate_ID off the server makes ids, as in Fluent Bit", async (t) => {
  const es = await startEs(t);
  const bench = await openBench(t, to(es, " Generate_ID Off\n"));
  bench.take(numbered(2));
  await bench.drained();
  assert.ok(!es.requests[0]?.body.toString().includes('"_id"'));
  assert.deepEqual(idsIn(es), wanted(2));
});

test("a conflict over an id that the record itself has is set aside: it may be another record", async (t) => {
  const es = await startEs(t);
  const bench = await openBench(t, to(es, " Id_Key auditID\n"));
  bench.take([auditLine("a-0", { stage: "RequestReceived" }), auditLine("a-0"), auditLine("a-1")]);
  await bench.drained();
  assert.deepEqual([...(es.indices.get("vm")?.keys() ?? [])], ["a-0", "a-1"]);
  assert.match(String(bench.parked()[0]?.["reason"]), /answered 409: version_conflict_engine_exception/);
});

test("the talk's own section fills an index of Elasticsearch 8 as it stands", async (t) => {
  const es = await startEs(t);
  const section = `[OUTPUT]
Name          es
Alias         host_services_to_es
Match         host_services
Host          127.0.0.1
Port          ${es.port}
Index         vm
Generate_ID   Off
`;
  const bench = await openBench(t, section);
  bench.take(['{"log":"sshd: session opened"}'], "host_services");
  await bench.drained();
  const [source] = es.indices.get("vm")?.values() ?? [];
  assert.deepEqual(source, { "@timestamp": "2023-11-14T22:13:20.000Z", log: "sshd: session opened" });
  assert.deepEqual(es.refusals, []);
});

const dated = (more: string) => ` Logstash_Format On\n Logstash_Prefix kube\n${more}`;
const bodies = [
  ["an index a day, by the time of the event", dated(""), {}, "kube-2026.11.22", {}],
  [
    "a week, with a separator",
    dated(" Logstash_DateFormat %G.w%V\n Logstash_Prefix_Separator _\n"),
    {},
    "kube_2026.w47",
    {},
  ],
  [
    "an index by a field",
    dated(" Logstash_Prefix_Key $ns['name']\n"),
    { ns: { name: "Team A/b" } },
    "team_a_b-2026.11.22",
    {},
  ],
  [
    "the fallback where the field is none",
    dated(" Logstash_Prefix_Key $ns\n"),
    { ns: ["x"] },
    "kube-2026.11.22",
    {},
  ],
  [
    "the fallback where the field is no name",
    dated(" Logstash_Prefix_Key $ns\n"),
    { ns: "_x" },
    "kube-2026.11.22",
    {},
  ],
  ["the tag", " Include_Tag_Key On\n Tag_Key tag\n", {}, "vm", { tag: "audit" }],
  [
    "underscores for dots in keys",
    " Replace_Dots On\n",
    { "a.b": { "c.d": "e.f" } },
    "vm",
    { a_b: { c_d: "e.f" } },
  ],
  [
    "another time key and format",
    " Time_Key when\n Time_Key_Format %H:%M\n",
    {},
    "vm",
    { when: "10:31.123Z" },
  ],
  [
    "a record's own time key",
    "",
    { "@timestamp": "2026-01-01T00:00:00Z" },
    "vm",
    { "@timestamp": "2026-01-01T00:00:00Z" },
  ],
  [
    "a time key deeper in the record",
    "",
    { x: { "@timestamp": 1 } },
    "vm",
    { "@timestamp": "2026-11-22T10:31:21.123456Z" },
  ],
] as const;
for (const [what, options, more, index, wanted] of bodies) {
  test(`a document has ${what}`, async (t) => {
    const es = await startEs(t);
    const bench = await openBench(t, to(es, options));
    bench.take([auditLine("a", { ...more, stageTimestamp: "2026-11-22T10:31:21.123456Z" })]);
    await bench.drained();
    assert.deepEqual([...es.indices.keys()], [index]);
    const [source] = es.indices.get(index)?.values() ?? [];
    for (const [key, value] of Object.entries(wanted)) assert.deepEqual(source?.[key], value);
    assert.deepEqual([es.refusals, bench.parked()], [[], []]);
  });
}

test("an id that Elasticsearch would refuse for its length does not cost the record its place", async (t) => {
  const es = await startEs(t);
  const bench = await openBench(t, to(es, " Id_Key auditID\n"));
  bench.take([auditLine("x".repeat(600)), auditLine('"\u0007ü')]);
  await bench.drained();
  assert.deepEqual([...(es.indices.get("vm")?.keys() ?? [])], ["made-0", '"\u0007ü']);
});
