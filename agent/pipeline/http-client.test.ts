import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as http from "node:http";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { startFaultServer } from "./testing/fault-server.ts";
import { hello, okay, open, send } from "./testing/http-clients.ts";

function folder(t: TestContext): string {
  const dir = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "falconry-client-")));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
}

test("one connection serves request after request, and a body in pieces arrives whole", async (t) => {
  const server = await startFaultServer(t, okay);
  const client = open(t, server.port);
  for (let count = 0; count < 5; count++) {
    const reply = await send(client);
    assert.ok(reply.kind === "answer");
    assert.deepEqual([reply.status, reply.body.toString(), reply.isWhole], [200, "got 6", true]);
  }
  assert.equal(server.connections, 1);
  const [first] = server.requests;
  assert.deepEqual([first?.method, first?.url, first?.body.toString()], ["POST", "/in?x=1", "[1,2]\n"]);
  assert.equal(first?.headers["content-length"], "6");
});

for (const compress of ["gzip", "zstd"]) {
  test(`Compress ${compress} sends fewer bytes that say the same`, async (t) => {
    const server = await startFaultServer(t, okay);
    const body = [Buffer.from("a".repeat(10_000))];
    await send(open(t, server.port, ` Compress ${compress}\n`), { body });
    const [got] = server.requests;
    assert.deepEqual([got?.body, got?.headers["content-encoding"]], [body[0], compress]);
    assert.ok(Number(got?.headers["content-length"]) < 1000);
  });
}

test("headers of the config are sent as written, all of them, and a password is no part of the config", async (t) => {
  const dir = folder(t);
  const server = await startFaultServer(t, okay);
  const password = join(dir, "password");
  fs.writeFileSync(password, "first\n");
  const more = ` Header X-Scope one\n Header X-Scope two\n Header Content-Type text/plain\n http_User me\n http_Passwd_File ${password}\n`;
  const client = open(t, server.port, more, dir);
  await send(client);
  fs.writeFileSync(password, "second");
  await send(client);
  const [first, second] = server.requests.map(({ headers }) => headers);
  assert.deepEqual([first?.["x-scope"], first?.["content-type"]], ["one, two", "text/plain"]);
  const said = [first, second].map((headers) =>
    Buffer.from(headers?.authorization?.replace("Basic ", "") ?? "", "base64").toString(),
  );
  assert.deepEqual(said, ["me:first", "me:second"]);
});

test("a bearer token from a file is not sent when a link leads out of the allowed folder", async (t) => {
  const dir = folder(t);
  const server = await startFaultServer(t, okay);
  fs.mkdirSync(join(dir, "secrets"));
  fs.writeFileSync(join(dir, "shadow"), "root");
  fs.symlinkSync(join(dir, "shadow"), join(dir, "secrets", "token"));
  const more = ` bearer_token_file ${join(dir, "secrets", "token")}\n`;
  const reply = await send(open(t, server.port, more, join(dir, "secrets")));
  assert.ok(reply.kind === "none");
  assert.equal(reply.cause, "local");
  assert.match(reply.why, /leads to .*shadow, which is not below "secretDirectories"/);
  assert.deepEqual(server.requests, []);
});

const failures = [
  ["nobody listens", "unreachable", /ECONNREFUSED/],
  ["no answer comes", "late", /no answer within 200 ms/],
  ["the connection goes", "broken", /ECONNRESET|socket hang up/],
  ["the answer is cut off", "broken", /aborted|ECONNRESET/],
  ["the answer is no HTTP", "broken", /Parse Error/],
] as const;
for (const [what, cause, why] of failures) {
  test(`when ${what} the client says so`, async (t) => {
    const server = await startFaultServer(t, okay);
    let { port } = server;
    if (what === "nobody listens") await server.stop();
    if (what === "no answer comes") server.fault = () => "hang";
    if (what === "the connection goes") server.fault = () => "reset";
    if (what === "the answer is cut off") server.fault = () => "half";
    if (what === "the answer is no HTTP") {
      const raw = net.createServer((socket) => socket.end("SSH-2.0-OpenSSH\r\n"));
      await new Promise<void>((resolve) => raw.listen(0, "127.0.0.1", resolve));
      t.after(() => raw.close());
      port = (raw.address() as net.AddressInfo).port;
    }
    const reply = await send(open(t, port, " http.response_timeout 0.2\n"));
    assert.ok(reply.kind === "none", JSON.stringify(reply));
    assert.equal(reply.cause, cause);
    assert.match(reply.why, why);
  });
}

test("a connection that the server closed while it was idle costs a new one, and no failure", async (t) => {
  const server = await startFaultServer(t, okay);
  const client = open(t, server.port);
  await send(client);
  server.fault = ({ nth }) => (nth === 1 ? "reset" : undefined);
  const reply = await send(client);
  assert.equal(reply.kind, "answer");
  assert.equal(server.connections, 2);
});

test("an answer beyond the limit is cut, and the next request has its own", async (t) => {
  const server = await startFaultServer(t, () => ({ status: 200, body: "x".repeat(5_000_000) }));
  const client = open(t, server.port);
  for (let count = 0; count < 2; count++) {
    const reply = await send(client);
    assert.ok(reply.kind === "answer");
    assert.deepEqual([reply.status, reply.isWhole], [200, false]);
    assert.ok(reply.body.length <= 1000);
  }
});

test("an answer that comes before the body was sent ends the connection, so that the body is free", async (t) => {
  const early = http.createServer((_request, response) => response.writeHead(413).end("too large"));
  await new Promise<void>((resolve) => early.listen(0, "127.0.0.1", resolve));
  t.after(() => early.close());
  const client = open(t, (early.address() as net.AddressInfo).port);
  for (let count = 0; count < 3; count++) {
    const reply = await send(client, { body: [Buffer.alloc(30_000_000)] });
    // The server may also drop the connection before its answer is read; then it is repeated.
    if (reply.kind === "answer") assert.equal(reply.status, 413);
    else assert.equal(reply.cause, "broken");
  }
});

test("Retry-After is understood as seconds and as a date", async (t) => {
  const server = await startFaultServer(t, okay);
  const client = open(t, server.port);
  const inAMinute = new Date(Date.now() + 60_000).toUTCString();
  for (const [text, least, most] of [
    ["7", 7000, 7000],
    [inAMinute, 50_000, 61_000],
    ["soon", undefined, undefined],
  ] as const) {
    server.fault = () => ({ answer: { status: 429, body: "", headers: { "retry-after": text } } });
    const reply = await send(client);
    assert.ok(reply.kind === "answer");
    if (least === undefined) assert.equal(reply.afterMs, undefined);
    else assert.ok((reply.afterMs ?? 0) >= least && (reply.afterMs ?? 0) <= most, `${reply.afterMs}`);
  }
});

test("a request that is given up ends at once", async (t) => {
  const server = await startFaultServer(t, okay);
  server.fault = () => "hang";
  const client = open(t, server.port);
  const controller = new AbortController();
  const reply = client.send(hello, controller.signal);
  controller.abort();
  const { kind } = await reply;
  assert.equal(kind, "none");
});
