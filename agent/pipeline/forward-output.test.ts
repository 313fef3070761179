import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fakeTls } from "../../test/support/fake-tls.ts";
import { startForwardServer } from "./testing/forward-server.ts";
import type { ForwardServer } from "./testing/forward-server.ts";
import { facts, tailToFile, writeBundle } from "./testing/bundles.ts";
import { openBench } from "./testing/outputs.ts";
import { testProgram } from "./testing/test-program.ts";
import { until } from "./testing/until.ts";
import { world, write } from "./testing/world.ts";

const section = (port: number, more = "") =>
  `[OUTPUT]\n Name forward\n Alias up\n Match *\n Host 127.0.0.1\n Port ${port}\n${more}`;
const record = (n: number, more = "") => `{"n":${n}${more}}`;
const numbers = (server: ForwardServer) => server.events.map((event) => (event.record as { n: number }).n);
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);

test("records arrive in order with tag and their own time to the nanosecond, and are acknowledged", async (t) => {
  const server = await startForwardServer(t);
  const bench = await openBench(t, section(server.port));
  const event = '{"n":0,"stageTimestamp":"2026-11-23T09:41:20.026123Z"}';
  bench.take([event, record(1)], "kube.audit");
  await bench.drained();
  assert.deepEqual(server.events, [
    {
      tag: "kube.audit",
      seconds: 1_795_426_880,
      nanos: 26_123_000,
      record: { n: 0, stageTimestamp: "2026-11-23T09:41:20.026123Z" },
    },
    { tag: "kube.audit", seconds: 1_700_000_000, nanos: 0, record: { n: 1 } },
  ]);
  assert.equal(typeof server.messages[0]?.["chunk"], "string");
  assert.deepEqual(server.offences, []);
  assert.equal(bench.output.stats().delivered, 2);
});

test("values are what the JSON says: numbers of 64 bits, escapes, depths, and more keys than a small map holds", async (t) => {
  const server = await startForwardServer(t);
  const bench = await openBench(t, section(server.port));
  const wide = Object.fromEntries(upTo(70_000).map((n) => [`k${n}`, n]));
  const values = {
    empty: [{}, [], "", null, true, false],
    numbers: [0, 127, 128, 255, 256, 65_535, 65_536, 4_294_967_295, 4_294_967_296, -1, -32, -33, -128, -129],
    more: [-32_768, -32_769, -2_147_483_648, -2_147_483_649, 9_007_199_254_740_991, 1.5, -0.25, 1e300],
    text: [
      "ü€😀",
      'a"b\\c\nd\u0000',
      "x".repeat(31),
      "x".repeat(32),
      "x".repeat(255),
      "x".repeat(256),
      "x".repeat(65_536),
    ],
    many: upTo(16),
    wide,
  };
  const text = `{ "big" : [18446744073709551615, -9223372036854775808, 18446744073709551616] , "rest":${JSON.stringify(values)}}`;
  bench.take([text]);
  await bench.drained();
  const got = server.events[0]?.record as { big: unknown[]; rest: unknown };
  assert.deepEqual(got.big, [18_446_744_073_709_551_615n, -9_223_372_036_854_775_808n, 2 ** 64]);
  const plain = JSON.parse(
    JSON.stringify(got.rest, (_, v: unknown) => (typeof v === "bigint" ? Number(v) : v)),
  ) as unknown;
  assert.deepEqual(plain, values);
  assert.deepEqual(server.offences, []);
});

test("what is not acknowledged comes again, what was acknowledged does not", async (t) => {
  const server = await startForwardServer(t);
  const bench = await openBench(t, section(server.port, " Net.Io_Timeout 0.3\n"));
  const seen: string[] = [];
  server.react = ([first]) => {
    seen.push(first?.tag ?? "");
    return seen.length === 2 ? "ignore" : "ack";
  };
  bench.take([record(0)], "a");
  bench.take([record(1)], "b");
  bench.take([record(2)], "a");
  await bench.drained();
  assert.deepEqual(seen.slice(0, 3), ["a", "b", "a"]);
  assert.deepEqual(
    numbers(server).toSorted((a, b) => a - b),
    [0, 1, 2],
  );
  assert.equal(seen.filter((tag) => tag === "b").length, 2);
  assert.match(
    bench.problems.join("\n"),
    /output\/retry .*127\.0\.0\.1:\d+: no acknowledgement within 300 ms/,
  );
});

for (const [what, reaction, why] of [
  ["closes the connection", "close", /closed/],
  ["acknowledges something else", "wrong-ack", /acknowledged something that was not sent/],
  ["answers no MessagePack", "rubbish", /byte/i],
] as const) {
  test(`a server that ${what} gets everything again when it behaves`, async (t) => {
    const server = await startForwardServer(t);
    let failures = 2;
    server.react = () => (failures-- > 0 ? reaction : "ack");
    const bench = await openBench(t, section(server.port));
    bench.take(upTo(50).map((n) => record(n)));
    await bench.drained();
    assert.deepEqual([...new Set(numbers(server))], upTo(50));
    assert.match(bench.problems.join("\n"), why);
    assert.deepEqual(server.offences, []);
    assert.equal(bench.parked().length, 0);
  });
}

test("a server that closes an idle connection costs no retry", async (t) => {
  const server = await startForwardServer(t);
  const bench = await openBench(t, section(server.port));
  bench.take([record(0)]);
  await bench.drained();
  server.closeConnections();
  bench.take([record(1)]);
  await bench.drained();
  assert.deepEqual(numbers(server), [0, 1]);
  assert.equal(bench.output.stats().retries, 0);
});

test("a server that takes only small messages gets small ones", async (t) => {
  const server = await startForwardServer(t, { messageBytesMax: 40_000 });
  const bench = await openBench(t, section(server.port));
  bench.take(upTo(200).map((n) => record(n, `,"pad":"${"x".repeat(1000)}"`)));
  await bench.drained();
  assert.deepEqual(
    [...new Set(numbers(server))].sort((a, b) => a - b),
    upTo(200),
  );
  assert.equal(bench.parked().length, 0);
});

for (const [what, before, after] of [
  ["among others", 40, 40],
  ["alone, until others come", 0, 0],
] as const) {
  test(`a record that a server refuses by closing the connection is set aside, ${what}, and all others arrive`, async (t) => {
    const server = await startForwardServer(t);
    server.react = (events) =>
      events.some(({ record }) => (record as { n: unknown }).n === "poison") ? "close" : "ack";
    const bench = await openBench(t, section(server.port));
    const poison = '{"n":"poison"}';
    bench.take([...upTo(before).map((n) => record(n)), poison, ...upTo(after).map((n) => record(100 + n))]);
    if (before === 0) {
      await until("some tries", () => bench.output.stats().retries > 6);
      assert.equal(bench.output.stats().parked, 0, "alone it says nothing about the server");
      bench.take([record(7)]);
    }
    await bench.drained();
    const wanted = before === 0 ? [7] : [...upTo(before), ...upTo(after).map((n) => 100 + n)];
    const got = new Set(server.events.map((event) => (event.record as { n: number }).n));
    assert.deepEqual(
      [...got].toSorted((a, b) => a - b),
      wanted,
    );
    assert.deepEqual(
      bench
        .parked()
        .map(({ line, reason }) => [line, /broke off at this one \d+ times/.test(String(reason))]),
      [[poison, true]],
    );
    assert.deepEqual(server.offences, []);
  });
}

test("a server that closes every connection costs no record, however often", async (t) => {
  const server = await startForwardServer(t);
  server.react = () => "close";
  const bench = await openBench(t, section(server.port));
  bench.take(upTo(5).map((n) => record(n)));
  await until("many tries", () => bench.output.stats().retries > 25);
  assert.equal(bench.output.stats().parked, 0);
  server.react = () => "ack";
  await bench.drained();
  assert.deepEqual(
    server.events.map((event) => (event.record as { n: number }).n).toSorted((a, b) => a - b),
    upTo(5),
  );
});

test("after kill -9 what was not acknowledged is sent by the next process", async (t) => {
  const server = await startForwardServer(t);
  server.react = () => "ignore";
  let bench = await openBench(t, section(server.port));
  bench.take(upTo(20).map((n) => record(n)));
  await until("the message to arrive", () => server.messages.length > 0);
  server.react = () => "ack";
  bench = await bench.reopen();
  await bench.drained();
  assert.deepEqual(numbers(server), upTo(20));
});

test("kill -9 of the agent while records are on their way loses none of them", async (t) => {
  const w = world(t);
  const server = await startForwardServer(t);
  // Every second message is lost after it arrived, as when the other side dies before it answers.
  server.react = () => (server.messages.length % 2 === 0 ? "ack" : "ignore");
  const more = `[SERVICE]\n Flush 0.05\n Scheduler.Base 0.02\n${section(server.port, " Net.Io_Timeout 0.5\n")}`;
  const shipper = writeBundle(w.dir, "shipper", tailToFile(w.log, w.out, more));
  fs.mkdirSync(join(w.dir, "log"), { recursive: true });
  const got = () => new Set(server.events.map(({ record: event }) => (event as { auditID: string }).auditID));
  let wanted = 0;
  for (let round = 0; round < 4; round++) {
    write(w.log, ...Array.from({ length: 300 }, (_, n) => `id-${wanted + n}`));
    wanted += 300;
    const before = got().size;
    const child = spawn(
      process.execPath,
      [...testProgram("driver"), join(w.dir, "state"), w.dir, JSON.stringify({ shipper })],
      {
        env: { ...process.env, SINK_PORT: String(server.port) },
        stdio: "ignore",
      },
    );
    await until("something to arrive", () => got().size > before);
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  server.react = () => "ack";
  const last = w.start(server.port);
  const result = await last.apply({ shipper }, facts);
  assert.ok(result.ok, JSON.stringify(result));
  await until("all to arrive", () => got().size === wanted);
  assert.deepEqual(server.offences, []);
});

test("compress gzip sends CompressedPackedForward, tag replaces the tag, time_as_integer sends seconds", async (t) => {
  const server = await startForwardServer(t);
  const bench = await openBench(
    t,
    section(server.port, " Compress gzip\n Tag edge.audit\n Time_As_Integer on\n"),
  );
  bench.take(
    upTo(100).map((n) => record(n)),
    "kube",
  );
  await bench.drained();
  assert.equal(server.messages[0]?.["compressed"], "gzip");
  assert.deepEqual(server.events[5], {
    tag: "edge.audit",
    seconds: 1_700_000_000,
    nanos: -1,
    record: { n: 5 },
  });
  assert.deepEqual(server.offences, []);
});

test("a server that never says HELO does not hold up a stop", async (t) => {
  const server = await startForwardServer(t);
  const bench = await openBench(t, section(server.port, " Shared_Key ${TEAM}\n"));
  bench.take([record(0)]);
  await until("the connection", () => server.connections > 0);
  let isClosed = false;
  const closing = bench.output.close(Date.now()).then(() => (isClosed = true));
  // Sooner than the minute that a step of the handshake may take.
  await until("the output to be closed", () => isClosed);
  await closing;
  assert.equal(bench.output.stats().queueRecords, 1);
});

test("without require_ack_response no chunk is asked for, and what was sent counts", async (t) => {
  const server = await startForwardServer(t);
  const bench = await openBench(t, section(server.port, " Require_Ack_Response off\n"));
  bench.take([record(0)]);
  await bench.drained();
  await until("it to arrive", () => server.events.length === 1);
  assert.equal(server.messages[0]?.["chunk"], undefined);
});

const key = "s3cr3t";

test("shared key and user are proved to the server, on each connection", async (t) => {
  const server = await startForwardServer(t, { sharedKey: key, users: { agent: "pa:ss" }, keepalive: false });
  const bench = await openBench(
    t,
    section(
      server.port,
      ` Shared_Key \${KEY}\n Username agent\n Password \${PASSWORD}\n Self_Hostname agent.test\n`,
    ),
    `[SERVICE]\n Flush 0.02\n Scheduler.Base 0.02\n Scheduler.Cap 0.1\n@SET KEY=${key}\n@SET PASSWORD=pa:ss\n`,
  );
  bench.take([record(0)]);
  await bench.drained();
  bench.take([record(1)]);
  await bench.drained();
  assert.deepEqual(numbers(server), [0, 1]);
  assert.equal(server.connections, 2, "a server that wants connections for once gets new ones");
  assert.deepEqual(server.offences, []);
});

test("a server that calls itself localhost, as Fluent Bit's does by itself, is welcome", async (t) => {
  const server = await startForwardServer(t, { sharedKey: key, hostname: "localhost" });
  const bench = await openBench(t, section(server.port, ` Shared_Key ${key}\n`));
  bench.take([record(0)]);
  await bench.drained();
  assert.deepEqual(numbers(server), [0]);
});

for (const [what, serverOptions, more, why] of [
  ["another key", { sharedKey: "other" }, ` Shared_Key ${key}\n`, /it refuses us: shared_key mismatch/],
  [
    "another password",
    { sharedKey: key, users: { a: "b" } },
    ` Shared_Key ${key}\n Username a\n Password c\n`,
    /username\/password mismatch/,
  ],
  [
    "a server that does not know the key",
    { sharedKey: key, lies: "nope" },
    ` Shared_Key ${key}\n`,
    /does not know our shared_key/,
  ],
  [
    "a server that sends our own proof back",
    { sharedKey: key, reflects: true },
    ` Shared_Key ${key}\n`,
    /calls itself ".+", as we do/,
  ],
  [
    "a server that wants a key, and we have none",
    { sharedKey: key },
    "",
    /asks for a handshake: give both sides/,
  ],
] as const) {
  test(`nothing is taken for delivered, and nothing set aside, with ${what}`, async (t) => {
    const server = await startForwardServer(t, serverOptions);
    const bench = await openBench(t, section(server.port, more));
    bench.take([record(0)]);
    await until("a retry", () => bench.output.stats().retries > 1);
    assert.match(bench.problems.join("\n"), why);
    assert.deepEqual(server.events, []);
    assert.deepEqual([bench.output.stats().queueRecords, bench.output.stats().parked], [1, 0]);
  });
}

test("over TLS the server is verified before anything is sent", async (t) => {
  const { ca, chain, key: privateKey } = await fakeTls();
  const server = await startForwardServer(t, { sharedKey: key, tls: { key: privateKey, cert: chain } });
  const more = ` Shared_Key ${key}\n Tls on\n`;
  const untrusting = await openBench(t, section(server.port, more));
  untrusting.take([record(0)]);
  await until("a retry", () => untrusting.output.stats().retries > 0);
  assert.deepEqual(server.events, []);
  const caFile = join(untrusting.dir, "ca.pem");
  fs.writeFileSync(caFile, ca);
  const bench = await openBench(t, section(server.port, `${more} Tls.Ca_File ${caFile}\n`));
  bench.take([record(1)]);
  await bench.drained();
  assert.deepEqual(numbers(server), [1]);
});
