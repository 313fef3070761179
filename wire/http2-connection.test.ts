import assert from "node:assert/strict";
import { createServer } from "node:http2";
import type { ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
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
