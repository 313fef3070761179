import assert from "node:assert/strict";
import { once } from "node:events";
import * as fs from "node:fs";
import * as http from "node:http";
import * as https from "node:https";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { parseShipperConfig } from "#shipper";
import type { HttpInputConfig, PipelineConfig } from "#shipper";
import {
  certificateToPem,
  createCa,
  createCsr,
  generatePrivateKey,
  issueAgentCertificate,
  issueServerCertificate,
} from "#trust";
import type { Batch } from "./batch.ts";
import { DeadLetter } from "./dead-letter.ts";
import { listenerLimits } from "./http-listener.ts";
import type { ListenerLimits } from "./http-listener.ts";
import { HttpInput } from "./http-input.ts";
import { newCounters } from "./input.ts";
import type { InputCounters } from "./input.ts";
import type { Mark } from "./mark.ts";
import type { Output } from "./output.ts";
import { newRouterCounters, Router } from "./router.ts";

interface Reply {
  readonly status: number;
  readonly text: string;
  readonly headers: http.IncomingHttpHeaders;
}

/** A real listener on loopback, turn by turn. */
class HttpWorld {
  readonly dir: string;
  readonly records: Record<string, unknown>[] = [];
  readonly counters: InputCounters = newCounters();
  readonly problems: string[] = [];
  marks: readonly Mark[] = [];
  limits: ListenerLimits = listenerLimits;
  readonly #config: HttpInputConfig;
  readonly #router: Router;
  readonly #deadLetter: DeadLetter;
  #input: HttpInput | undefined;

  constructor(t: TestContext, options: string) {
    this.dir = fs.mkdtempSync(join(tmpdir(), "falconry-http-"));
    const content = `[INPUT]\n Name http\n Tag audit\n${options}\n[OUTPUT]\n Name null\n Match audit\n`;
    const parsed = parseShipperConfig([{ name: "a.conf", content }], {});
    assert.ok(parsed.ok, JSON.stringify(parsed));
    const config: PipelineConfig = parsed.config;
    this.#config = { ...(config.inputs[0] as HttpInputConfig), port: 0 };
    this.#deadLetter = new DeadLetter(join(this.dir, "parked"), {
      bytesMax: 1e9,
      onProblem: assert.fail,
      onEvicted: () => assert.fail(),
    });
    const take = (batch: Batch) => {
      const lines = Buffer.concat(batch.buffers()).toString().split("\n").slice(0, -1);
      this.records.push(...lines.map((line) => JSON.parse(line) as Record<string, unknown>));
    };
    const output = { config: config.outputs[0], take } as unknown as Output;
    this.#router = new Router({
      config,
      outputs: [output],
      clusterId: "c",
      rules: { detection: undefined, shadow: undefined, ring: undefined },
      counters: newRouterCounters(),
      filters: [],
      onProblem: assert.fail,
      isSecond: false,
    });
    t.after(async () => {
      await this.#input?.close();
      fs.rmSync(this.dir, { recursive: true, force: true });
    });
  }

  get input(): HttpInput {
    assert.ok(this.#input !== undefined);
    return this.#input;
  }

  async open(): Promise<void> {
    const onProblem = (code: string, message: string) => this.problems.push(`${code} ${message}`);
    const context = { counters: this.counters, onProblem, mayUse: () => true, limits: this.limits };
    const folder = join(this.dir, "spool");
    this.#input = await HttpInput.open(this.#config, folder, this.marks, this.#deadLetter, context);
  }

  async close(): Promise<void> {
    await this.#input?.close();
    this.#input = undefined;
  }

  /** Reads what was accepted; `save` tells the input that its position is durable. */
  drain(save = true): void {
    while (this.input.turn(this.#router, 1000, 1000)) {
      this.#router.flush();
      this.input.commit();
    }
    this.marks = this.input.marks();
    if (save) this.input.saved(this.marks);
  }

  request(options: https.RequestOptions = {}): http.ClientRequest {
    const scheme = this.#config.tls === undefined ? http : https;
    return scheme.request({
      host: "127.0.0.1",
      port: this.input.port,
      method: "POST",
      path: "/",
      agent: false,
      ...options,
    });
  }

  async post(body: string | Buffer, options: https.RequestOptions = {}): Promise<Reply> {
    const request = this.request(options);
    request.end(body);
    return reply(request);
  }
}

async function reply(request: http.ClientRequest): Promise<Reply> {
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  const text = Buffer.concat(await response.toArray()).toString();
  return { status: response.statusCode ?? 0, text, headers: response.headers };
}

const event = (id: string): string => JSON.stringify({ kind: "Event", auditID: id });
const ids = (w: HttpWorld) => w.records.map((record) => record["auditID"]);

test("events that the API server's webhook posts are answered with success and become records", async (t) => {
  const w = new HttpWorld(t, " Uri /audit,/other");
  await w.open();
  const list =
    '{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{"auditID":"a"},{"auditID":"b"}]}';
  const answer = await w.post(list, { path: "/audit?timeout=30s" });
  assert.deepEqual([answer.status, answer.text], [201, ""]);
  assert.equal(
    (await w.post(gzipSync(event("c")), { path: "/other", headers: { "content-encoding": "gzip" } })).status,
    201,
  );
  w.drain();
  assert.deepEqual(w.records, [
    { kind: "Event", apiVersion: "audit.k8s.io/v1", auditID: "a" },
    { kind: "Event", apiVersion: "audit.k8s.io/v1", auditID: "b" },
    { kind: "Event", auditID: "c" },
  ]);
  assert.deepEqual([w.counters.records, w.counters.requests], [3, { 201: 2 }]);
});

test("what was accepted is read after a crash, what was committed is not read again, and places stay the same", async (t) => {
  const w = new HttpWorld(t, "");
  await w.open();
  for (const id of ["a", "b"]) await w.post(event(id));
  w.drain(false);
  await w.post(event("c"));
  const before = w.input.report();
  assert.deepEqual([before.atEnd, before.spoolBytes > 0], [false, true]);
  await w.close();
  await w.open();
  w.drain();
  assert.deepEqual(ids(w), ["a", "b", "c"]);
  // The checkpoint is lost: everything that is still there comes again.
  w.marks = [];
  await w.close();
  await w.open();
  w.drain();
  assert.deepEqual(ids(w), ["a", "b", "c", "a", "b", "c"]);
  assert.equal(w.input.report().spoolBytes, 0);
});

test("a request that cannot be taken gets the status that says why, and nothing of it is kept", async (t) => {
  const w = new HttpWorld(t, " Uri /audit\n Buffer_Max_Size 5k");
  await w.open();
  const path = "/audit";
  const large = event("x".repeat(6000));
  const cases: readonly (readonly [Promise<Reply>, number, RegExp])[] = [
    [w.post(event("a"), { path: "/" }), 404, /nothing is taken/],
    [w.post("", { path, method: "GET" }), 405, /only POST/],
    [w.post(`[${event("a")},{"b":}]`, { path }), 400, /nothing of it was: at byte \d+: a value is missing/],
    [w.post(large, { path, headers: { "content-length": large.length } }), 413, /larger than 5000 bytes/],
    [w.post(gzipSync(large), { path, headers: { "content-encoding": "gzip" } }), 413, /larger than 5000/],
    [w.post("no gzip", { path, headers: { "content-encoding": "gzip" } }), 400, /no gzip/],
    [w.post(event("a"), { path, headers: { "content-encoding": "br" } }), 415, /plain or gzip/],
  ];
  for (const [answering, status, text] of cases) {
    const answer = await answering;
    assert.equal(answer.status, status, answer.text);
    assert.match(answer.text, text);
  }
  assert.equal((await w.post("", { path, method: "GET" })).headers.allow, "POST");
  // A body whose length nobody told beforehand.
  const request = w.request({ path });
  request.on("error", () => {});
  for (let part = 0; part < 4; part++) request.write(large.slice(0, 2000));
  assert.equal((await reply(request)).status, 413);
  w.drain();
  assert.deepEqual(w.records, []);
  assert.equal(w.counters.requests[413], 3);
});

test("a full spool answers 429 with Retry-After, loses nothing, and takes requests again when there is room", async (t) => {
  const w = new HttpWorld(t, " storage.total_limit_size 1M");
  await w.open();
  const pad = "x".repeat(300_000);
  const accepted: string[] = [];
  let refused: Reply | undefined;
  for (let n = 0; n < 10 && refused === undefined; n++) {
    const answer = await w.post(JSON.stringify({ auditID: `${n}`, pad }));
    if (answer.status === 201) accepted.push(`${n}`);
    else refused = answer;
  }
  assert.deepEqual([refused?.status, refused?.headers["retry-after"]], [429, "10"]);
  assert.match(w.input.report().lastError ?? "", /spool holds \d+ bytes/);
  w.drain();
  assert.equal((await w.post(event("last"))).status, 201);
  w.drain();
  assert.deepEqual(ids(w), [...accepted, "last"]);
  assert.equal(w.input.report().lastError, undefined);
});

test("too many requests at once are told to come again; those that are under way are taken", async (t) => {
  const w = new HttpWorld(t, "");
  await w.open();
  const open = Array.from({ length: 128 }, () => w.request({ headers: { "content-length": 20 } }));
  const answers = open.map((request) => reply(request));
  await Promise.all(
    open.map(async (request) => {
      request.flushHeaders();
      await once(request, "socket");
    }),
  );
  let busy = await w.post(event("one too many"));
  for (let tries = 0; busy.status !== 429 && tries < 50; tries++) busy = await w.post(event("early"));
  assert.deepEqual([busy.status, busy.headers["retry-after"]], [429, "1"]);
  for (const [n, request] of open.entries()) request.end(JSON.stringify({ auditID: `n${n}` }).padEnd(20));
  for (const answer of await Promise.all(answers)) assert.equal(answer.status, 201);
  w.drain();
  assert.equal(new Set(ids(w).filter((id) => /^n\d/.test(String(id)))).size, 128);
});

test("a stop answers the request that is under way, takes no further ones, and keeps what was accepted", async (t) => {
  const w = new HttpWorld(t, "");
  await w.open();
  const body = event("late");
  const request = w.request({ headers: { "content-length": body.length, connection: "keep-alive" } });
  request.write(body.slice(0, 5));
  await once(request, "socket");
  await w.post(event("first"));
  const closing = w.close();
  const port = request.socket?.remotePort ?? 0;
  await assert.rejects(async () => {
    const late = http.request({ host: "127.0.0.1", port, method: "POST", agent: false });
    late.end(event("refused"));
    await reply(late);
  }, /ECONNREFUSED|ECONNRESET|socket hang up/);
  request.end(body.slice(5));
  const answer = await reply(request);
  assert.deepEqual([answer.status, answer.headers.connection], [201, "close"]);
  await closing;
  await w.open();
  w.drain();
  assert.deepEqual(ids(w), ["first", "late"]);
});

test("a client that hangs up in the middle of a body leaves nothing behind and is no problem of ours", async (t) => {
  const w = new HttpWorld(t, "");
  await w.open();
  const request = w.request({ headers: { "content-length": 1000 } });
  request.on("error", () => {});
  request.write('{"auditID":"half"');
  await once(request, "socket");
  await w.post(event("a"));
  request.destroy();
  while (w.counters.requests[400] !== 1) await new Promise((resolve) => setTimeout(resolve, 5));
  w.drain();
  assert.deepEqual(ids(w), ["a"]);
  assert.deepEqual(w.problems, []);
});

test("without the token nothing is taken, and a token that is renewed counts without a restart", async (t) => {
  const folder = fs.mkdtempSync(join(tmpdir(), "falconry-token-"));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const file = join(folder, "token");
  fs.writeFileSync(file, "old-token\n");
  const w = new HttpWorld(t, ` bearer_token_file ${file}`);
  await w.open();
  const as = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
  assert.equal((await w.post(event("a"))).status, 401);
  assert.equal((await w.post(event("a"), as("guess"))).status, 401);
  assert.equal((await w.post(event("a"), as("old-token"))).status, 201);
  fs.writeFileSync(file, "");
  w.input.poll(1_000_000);
  assert.match(w.problems.join(), /http\/files .*holds no token/);
  assert.equal((await w.post(event("b"), as("old-token"))).status, 201);
  fs.writeFileSync(file, "new-token");
  w.input.poll(2_000_000);
  assert.equal((await w.post(event("c"), as("old-token"))).status, 401);
  assert.equal((await w.post(event("c"), as("new-token"))).status, 201);
  w.drain();
  assert.deepEqual(ids(w), ["a", "b", "c"]);
});

test("with tls.verify_client_cert only clients with a certificate of the right CA are heard", async (t) => {
  const folder = fs.mkdtempSync(join(tmpdir(), "falconry-tls-"));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const now = new Date();
  const [ca, other] = await Promise.all([createCa({ now, org: "right" }), createCa({ now, org: "wrong" })]);
  const leaf = await issueServerCertificate({ ca, names: ["127.0.0.1"], now });
  const server = { cert: certificateToPem(leaf.certificate), key: leaf.privateKey };
  const clientOf = async (by: typeof ca) => {
    const key = generatePrivateKey();
    const identity = { org: "o", clusterId: "c", agentId: "a" };
    const issued = await issueAgentCertificate({ ca: by, csr: await createCsr(key), identity, now });
    assert.ok(issued.ok);
    return { cert: certificateToPem(issued.value), key };
  };
  const write = (name: string, text: string) => {
    fs.writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const caPem = certificateToPem(ca.certificate);
  const options = ` tls on\n tls.crt_file ${write("crt", server.cert)}\n tls.key_file ${write("key", server.key)}`;
  const w = new HttpWorld(t, `${options}\n tls.ca_file ${write("ca", caPem)}\n tls.verify_client_cert on`);
  await w.open();
  const trusting = { ca: caPem, servername: "" };
  await assert.rejects(w.post(event("nobody"), trusting));
  await assert.rejects(w.post(event("stranger"), { ...trusting, ...(await clientOf(other)) }));
  assert.equal((await w.post(event("a"), { ...trusting, ...(await clientOf(ca)) })).status, 201);
  w.drain();
  assert.deepEqual(ids(w), ["a"]);
});

test("an address that is taken is told, and leaves no listener and no open spool behind", async (t) => {
  const w = new HttpWorld(t, "");
  await w.open();
  const config = { ...w.input.config, port: w.input.port };
  const context = {
    counters: newCounters(),
    onProblem: assert.fail,
    mayUse: () => true,
    limits: listenerLimits,
  };
  await assert.rejects(
    HttpInput.open(config, join(w.dir, "second"), [], {} as DeadLetter, context),
    /Input "http\.0" \(http\): cannot listen on 127\.0\.0\.1:\d+: .*EADDRINUSE/,
  );
});

for (const [what, first, drip] of [
  ["headers", "POST / HTTP/1.1\r\nHost: a\r\n", "X-Slow: 1\r\n"],
  ["a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n{", " "],
] as const) {
  test(`a client that sends ${what} drop by drop is put out in time, and others are served meanwhile`, async (t) => {
    const w = new HttpWorld(t, "");
    w.limits = { headersMs: 200, requestMs: 400, checkMs: 50 };
    await w.open();
    const socket = net.connect(w.input.port, "127.0.0.1");
    let answered = "";
    socket.on("data", (data) => (answered += data.toString()));
    socket.on("error", () => {});
    const isClosed = new Promise((resolve) => socket.once("close", resolve));
    socket.write(first);
    const dripping = setInterval(() => socket.write(drip), 20);
    t.after(() => {
      clearInterval(dripping);
      socket.destroy();
    });
    assert.equal((await w.post('{"n":1}')).status, 201);
    await isClosed;
    assert.match(answered, /^HTTP\/1\.1 408 /);
    w.drain();
    assert.deepEqual(w.records, [{ n: 1 }]);
    assert.deepEqual(w.problems, []);
  });
}
