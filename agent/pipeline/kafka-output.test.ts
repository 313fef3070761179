import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { crc32 } from "node:zlib";
import { fakeTls } from "../../test/support/fake-tls.ts";
import { startKafka } from "./testing/kafka-cluster.ts";
import type { KafkaCluster } from "./testing/kafka-cluster.ts";
import { openBench } from "./testing/outputs.ts";
import { until } from "./testing/until.ts";

const section = (port: number, more = "") =>
  `[OUTPUT]\n Name kafka\n Alias bus\n Match *\n Brokers 127.0.0.1:${port}\n Topics audit\n Timestamp_Key false\n${more}`;
const record = (n: number, more = "") => `{"n":${n}${more}}`;
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);
const numbers = (cluster: KafkaCluster) =>
  cluster.log.map(({ value }) => (JSON.parse(value) as { n: number }).n);

test("records without a key arrive in order in one partition, idempotent and acknowledged by all", async (t) => {
  const cluster = await startKafka(t);
  const bench = await openBench(t, section(cluster.port));
  bench.take(upTo(500).map((n) => record(n)));
  await bench.drained();
  assert.deepEqual(numbers(cluster), upTo(500));
  assert.equal(new Set(cluster.log.map(({ partition }) => partition)).size, 1);
  assert.ok(cluster.batches.every(({ acks, producerId }) => acks === -1 && producerId >= 0n));
  assert.deepEqual(cluster.offences, []);
  assert.equal(bench.output.stats().delivered, 500);
});

test("records carry their time, as Fluent Bit's timestamp key and as the message's own", async (t) => {
  const event = '{"n":0,"stageTimestamp":"2026-11-23T09:41:20.026123Z"}';
  for (const [format, expected] of [
    ["double", "1795426880.026123"],
    ["iso8601", '"2026-11-23T09:41:20Z"'],
    ["iso8601_ns", '"2026-11-23T09:41:20.026123000Z"'],
  ] as const) {
    const cluster = await startKafka(t);
    const more = ` Timestamp_Key @timestamp\n Timestamp_Format ${format}\n`;
    const bench = await openBench(t, section(cluster.port, more));
    bench.take([event, " { } "]);
    await bench.drained();
    assert.equal(cluster.log[0]?.value, `{"@timestamp":${expected},${event.slice(1)}`);
    assert.equal(cluster.log[0]?.timestampMs, 1_795_426_880_026);
    assert.equal(
      typeof (JSON.parse(cluster.log[1]?.value ?? "") as Record<string, unknown>)["@timestamp"],
      format === "double" ? "number" : "string",
    );
  }
});

test("keys come from the record or the config, keep their order, and lie where librdkafka puts them", async (t) => {
  const cluster = await startKafka(t, { topics: { audit: 4 } });
  const more = " Message_Key_Field $user['name']\n Message_Key nobody\n";
  const bench = await openBench(t, section(cluster.port, more));
  const keys = ["ann", "bob", "käthe", undefined];
  bench.take(
    upTo(200).map((n) => record(n, keys[n % 4] === undefined ? "" : `,"user":{"name":"${keys[n % 4]}"}`)),
  );
  await bench.drained();
  for (const [index, key = "nobody"] of keys.entries()) {
    const own = cluster.log.filter((message) => message.key === key);
    assert.deepEqual(
      own.map(({ value }) => (JSON.parse(value) as { n: number }).n),
      upTo(200).filter((n) => n % 4 === index),
    );
    assert.ok(own.every(({ partition }) => partition === crc32(key) % 4));
  }
});

test("a record chooses among the topics of the config and can name no other one", async (t) => {
  const cluster = await startKafka(t, { topics: { audit: 1, alerts: 1, secret: 1 } });
  const bench = await openBench(t, section(cluster.port, " Topics audit,alerts\n Topic_Key to\n"));
  bench.take([record(0), record(1, ',"to":"alerts"'), record(2, ',"to":"secret"'), record(3, ',"to":7')]);
  await bench.drained();
  assert.deepEqual(
    cluster.log
      .map(({ topic, value }) => [topic, (JSON.parse(value) as { n: number }).n])
      .toSorted((a, b) => Number(a[1]) - Number(b[1])),
    [
      ["audit", 0],
      ["alerts", 1],
      ["audit", 2],
      ["audit", 3],
    ],
  );
});

for (const [what, reaction] of [
  ["before it wrote", "drop-before"],
  ["after it wrote, without an answer", "drop-after"],
  ["it is not the leader any more", 6],
  ["replicas are missing", 19],
] as const) {
  test(`a cluster that fails for a moment gets every record once and in order: ${what}`, async (t) => {
    const cluster = await startKafka(t);
    let failures = 2;
    cluster.react = () => (failures-- > 0 ? reaction : "write");
    const bench = await openBench(t, section(cluster.port));
    bench.take(upTo(50).map((n) => record(n)));
    await bench.drained();
    assert.deepEqual(numbers(cluster), upTo(50));
    assert.deepEqual(cluster.offences, []);
  });

  test(`a cluster that fails for long loses nothing, keeps the order, and sets nothing aside: ${what}`, async (t) => {
    const cluster = await startKafka(t);
    let failures = 12;
    cluster.react = () => (failures-- > 0 ? reaction : "write");
    const bench = await openBench(t, section(cluster.port));
    bench.take(upTo(50).map((n) => record(n)));
    await bench.drained();
    const got = numbers(cluster);
    assert.deepEqual([...new Set(got)], upTo(50));
    assert.deepEqual(got.slice(-50), upTo(50));
    assert.equal(bench.output.stats().parked, 0);
    assert.deepEqual(cluster.offences, []);
  });
}

test("leaders that move are found, and order is kept", async (t) => {
  const cluster = await startKafka(t, { brokers: 2 });
  const bench = await openBench(t, section(cluster.port));
  bench.take([record(0)]);
  await bench.drained();
  cluster.moveLeaders();
  bench.take([record(1), record(2)]);
  await bench.drained();
  assert.deepEqual(numbers(cluster), [0, 1, 2]);
});

test("a record that is too large for the cluster is set aside with the answer, its neighbours arrive", async (t) => {
  const cluster = await startKafka(t, { batchBytesMax: 20_000 });
  const bench = await openBench(t, section(cluster.port));
  const lines = upTo(60).map((n) => record(n, `,"pad":"${"x".repeat(n === 30 ? 30_000 : 900)}"`));
  bench.take(lines);
  await bench.drained();
  assert.deepEqual(
    numbers(cluster),
    upTo(60).filter((n) => n !== 30),
  );
  const [parked, ...more] = bench.parked();
  assert.equal(more.length, 0);
  assert.equal(parked?.["line"], lines[30]);
  assert.match(String(parked?.["reason"]), /the cluster answered MESSAGE_TOO_LARGE/);
});

test("a record that the cluster calls invalid is found among its neighbours and set aside", async (t) => {
  const cluster = await startKafka(t);
  cluster.react = (_topic, _partition, { messages }) =>
    messages.some(({ value }) => value.includes("poison")) ? 87 : "write";
  const bench = await openBench(t, section(cluster.port));
  bench.take(upTo(40).map((n) => record(n, n === 7 || n === 21 ? ',"is":"poison"' : "")));
  await bench.drained();
  assert.deepEqual(
    numbers(cluster),
    upTo(40).filter((n) => n !== 7 && n !== 21),
  );
  assert.deepEqual(
    bench.parked().map(({ reason }) => reason),
    Array(2).fill("the cluster answered INVALID_RECORD"),
  );
});

test("after kill -9 what was not acknowledged is sent by the next process", async (t) => {
  const cluster = await startKafka(t);
  cluster.react = () => "drop-before";
  let bench = await openBench(t, section(cluster.port));
  bench.take(upTo(20).map((n) => record(n)));
  await until("a retry", () => bench.output.stats().retries > 0);
  cluster.react = () => "write";
  bench = await bench.reopen();
  await bench.drained();
  // What was on its way at the kill may have been written, too.
  assert.deepEqual([...new Set(numbers(cluster))], upTo(20));
});

test("compression and acks are those of the config", async (t) => {
  for (const [codec, expected] of [
    ["gzip", 1],
    ["zstd", 4],
  ] as const) {
    const cluster = await startKafka(t);
    const more = ` rdkafka.compression.codec ${codec}\n rdkafka.request.required.acks 1\n`;
    const bench = await openBench(t, section(cluster.port, more));
    bench.take(upTo(100).map((n) => record(n)));
    await bench.drained();
    assert.deepEqual(numbers(cluster), upTo(100));
    assert.ok(cluster.batches.every((batch) => batch.codec === expected && batch.acks === 1));
    assert.deepEqual(cluster.offences, []);
  }
});

test("SASL proves who we are, and a wrong password waits instead of losing anything", async (t) => {
  const cluster = await startKafka(t, { sasl: ["agent", "pass"] });
  const sasl = (password: string) =>
    section(
      cluster.port,
      ` rdkafka.security.protocol sasl_plaintext\n rdkafka.sasl.mechanisms PLAIN\n rdkafka.sasl.username agent\n rdkafka.sasl.password ${password}\n`,
    );
  const wrong = await openBench(t, sasl("word"));
  wrong.take([record(0)]);
  await until("a retry", () => wrong.output.stats().retries > 1);
  assert.deepEqual([wrong.output.stats().queueRecords, wrong.output.stats().parked], [1, 0]);
  assert.match(wrong.problems.join("\n"), /SASL|uthentication/);
  const right = await openBench(t, sasl("pass"));
  right.take([record(1)]);
  await right.drained();
  assert.deepEqual(numbers(cluster), [1]);
});

for (const scram of ["SCRAM-SHA-256", "SCRAM-SHA-512"] as const) {
  test(`${scram} proves who we are without showing the password, and a cluster that cannot prove itself gets nothing`, async (t) => {
    const options = (port: number, password: string) =>
      section(
        port,
        ` rdkafka.security.protocol sasl_plaintext\n rdkafka.sasl.mechanisms ${scram}\n rdkafka.sasl.username agent\n rdkafka.sasl.password ${password}\n`,
      );
    const cluster = await startKafka(t, { sasl: ["agent", "pass"], scram });
    const liar = await startKafka(t, { sasl: ["agent", "pass"], scram, lies: true });
    for (const [what, port, password] of [
      ["a wrong password", cluster.port, "word"],
      ["a server that lies", liar.port, "pass"],
    ] as const) {
      const bench = await openBench(t, options(port, password));
      bench.take([record(0)]);
      await until(`a retry with ${what}`, () => bench.output.stats().retries > 1);
      assert.deepEqual([bench.output.stats().queueRecords, bench.output.stats().parked], [1, 0]);
    }
    assert.deepEqual(liar.log, []);
    const right = await openBench(t, options(cluster.port, "pass"));
    right.take([record(1)]);
    await right.drained();
    assert.deepEqual(numbers(cluster), [1]);
  });
}

test("over TLS the cluster is verified before anything is sent", async (t) => {
  const { ca, chain, key } = await fakeTls();
  const cluster = await startKafka(t, { tls: { key, cert: chain } });
  const more = " rdkafka.security.protocol ssl\n";
  const untrusting = await openBench(t, section(cluster.port, more));
  untrusting.take([record(0)]);
  await until("a retry", () => untrusting.output.stats().retries > 0);
  assert.match(untrusting.problems.join("\n"), /certificate/);
  assert.deepEqual(cluster.log, []);
  const caFile = join(untrusting.dir, "ca.pem");
  writeFileSync(caFile, ca);
  const bench = await openBench(t, section(cluster.port, `${more} rdkafka.ssl.ca.location ${caFile}\n`));
  bench.take([record(1)]);
  await bench.drained();
  assert.deepEqual(numbers(cluster), [1]);
});

test("a broker that the cluster names and the allow-list does not is never sent anything", async (t) => {
  const cluster = await startKafka(t, { advertisedHost: "localhost" });
  const bench = await openBench(t, section(cluster.port));
  bench.take([record(0)]);
  await until("a retry", () => bench.output.stats().retries > 1);
  assert.match(bench.problems.join("\n"), /has a broker that is not allowed\. not to localhost:\d+/);
  assert.deepEqual(cluster.log, []);
});

test("a broker that the cluster names later, in the middle of a failure, is not sent anything either", async (t) => {
  const cluster = await startKafka(t, { brokers: 2 });
  const bench = await openBench(t, section(cluster.port));
  bench.take([record(0)]);
  await bench.drained();
  cluster.advertisedHost = "localhost";
  cluster.moveLeaders();
  bench.take([record(1)]);
  await until("a refusal", () => bench.problems.some((problem) => problem.includes("not to localhost")));
  assert.deepEqual(numbers(cluster), [0]);
  cluster.advertisedHost = "127.0.0.1";
  await bench.drained();
  assert.deepEqual(numbers(cluster), [0, 1]);
});

test("a topic that is not there is named, and its records wait for it", async (t) => {
  const cluster = await startKafka(t, { topics: {} });
  const bench = await openBench(t, section(cluster.port));
  bench.take([record(0)]);
  await until("a retry", () => bench.output.stats().retries > 1);
  assert.match(bench.problems.join("\n"), /topic.*audit/i);
  assert.equal(bench.output.stats().queueRecords, 1);
});

const withoutLibrary = `
import { registerHooks } from "node:module";
registerHooks({
  resolve(specifier, context, next) {
    if (specifier !== "@platformatic/kafka") return next(specifier, context);
    throw Object.assign(new Error("Cannot find package"), { code: "ERR_MODULE_NOT_FOUND" });
  },
});
const { loadKafka } = await import(process.argv[1]);
await loadKafka("bus").catch((error) => process.stdout.write(error.message));
`;

test("where the library is not installed a config with kafka is refused, and nothing else needs it", () => {
  const client = join(import.meta.dirname, "kafka-client.ts");
  const args = ["--input-type=module", "-e", withoutLibrary, client];
  const said = execFileSync(process.execPath, args, { encoding: "utf8" });
  assert.match(
    said,
    /^Output "bus" \(kafka\) needs the package @platformatic\/kafka, which is not installed: install it/,
  );
});
