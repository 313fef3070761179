import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http2";
import type { ServerHttp2Stream } from "node:http2";
import { connect, createServer as createRelay } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Http2Connection } from "./http2-connection.ts";

async function connectionTo(
  t: TestContext,
  answer: (stream: ServerHttp2Stream) => void,
): Promise<Http2Connection> {
  const server = createServer();
  server.on("stream", (stream: ServerHttp2Stream) => stream.resume().once("end", () => answer(stream)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const connection = new Http2Connection(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  t.after(() => {
    connection.abort();
    server.close();
  });
  return connection;
}

test("a response that is complete before anybody reads it is read to its end", async (t) => {
  const connection = await connectionTo(t, (stream) => {
    stream.respond({ ":status": 200 });
    stream.end("complete");
  });
  const stream = await connection.request("POST", "/", {}, {});
  stream.end();
  // Longer than the answer takes on any machine; that it has arrived is the case under test.
  await delay(200);
  assert.equal((await buffer(stream)).toString(), "complete");
});

test("a response larger than any buffer arrives whole", async (t) => {
  const large = Buffer.alloc(3_000_000, "x");
  const connection = await connectionTo(t, (stream) => {
    stream.respond({ ":status": 200 });
    stream.end(large);
  });
  const stream = await connection.request("POST", "/", {}, {});
  stream.end();
  assert.ok(large.equals(await buffer(stream)));
});

test(
  "a server sends a bundle whole before it hears that any of it has arrived, so that distance costs it once",
  { timeout: 10_000 },
  async (t) => {
    const sent = Promise.withResolvers<void>();
    const connection = await connectionTo(t, (stream) => {
      stream.respond({ ":status": 200 });
      stream.end(Buffer.alloc(200_000, "x"), () => sent.resolve());
    });
    const stream = await connection.request("POST", "/", {}, {});
    stream.end();
    // Nobody reads yet, so that nothing is given back.
    await sent.promise;
    assert.equal((await buffer(stream)).length, 200_000);
  },
);

test("a response whose connection breaks is an error, never a short answer", async (t) => {
  const connection = await connectionTo(t, (stream) => {
    stream.respond({ ":status": 200 });
    stream.write("half", () => stream.session?.socket.destroy());
  });
  const stream = await connection.request("POST", "/", {}, {});
  stream.on("error", () => undefined);
  stream.end();
  await assert.rejects(buffer(stream));
});

test(
  "a connection whose server stops answering ends its calls instead of waiting for ever",
  { timeout: 10_000 },
  async (t) => {
    const { connection, cutCable } = await behindRelay(t);
    const stream = await connection.request("POST", "/", {}, {});
    const failed = new Promise<Error>((resolve) => stream.once("error", resolve));
    stream.end();
    await once(stream, "response");
    cutCable();
    assert.match(String(await failed), /did not answer a ping|cancel/i);
  },
);

test("pings of a connection that was closed meanwhile do not end the process", async (t) => {
  const { connection } = await behindRelay(t);
  const stream = await connection.request("POST", "/", {}, {});
  stream.on("error", () => undefined);
  stream.end();
  stream.session?.destroy();
  // Several intervals: each would have thrown from its timer.
  await delay(200);
  assert.equal(stream.destroyed, true);
});

/** A server that answers headers and then nothing, behind a relay that can stop passing bytes on without closing. */
async function behindRelay(t: TestContext) {
  const server = createServer();
  server.on("stream", (stream: ServerHttp2Stream) => {
    stream.on("error", () => undefined);
    stream.respond({ ":status": 200 });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const sockets: Socket[] = [];
  const relay = createRelay((inner) => {
    const outer = connect(port, "127.0.0.1");
    sockets.push(inner, outer);
    for (const socket of [inner, outer]) socket.on("error", () => undefined);
    inner.pipe(outer);
    outer.pipe(inner);
  });
  await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(relay.address() as AddressInfo).port}`;
  const connection = new Http2Connection(url, { pingIntervalMs: 30, pingTimeoutMs: 100 });
  t.after(() => {
    connection.abort();
    for (const socket of sockets) socket.destroy();
    relay.close();
    server.close();
  });
  const cutCable = () => {
    for (const socket of sockets) socket.unpipe().pause();
  };
  return { connection, cutCable };
}
