import assert from "node:assert/strict";
import { createSecureServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";

import { create, toBinary } from "@bufbuild/protobuf";
import { FetchBlobResponseSchema, SyncRequestSchema, SyncResponseSchema } from "#proto/agent/v1/agent";
import { certificateToPem, createCa, issueServerCertificate } from "#trust";

import { openLeanLink, type LeanEvents } from "./lean-link.ts";

/** A server of the platform's, which knows all of HTTP/2, and an agent that is connected to it. */
async function connected(
  t: TestContext,
  serve: (stream: ServerHttp2Stream, path: string) => void,
  events: Partial<LeanEvents> = {},
) {
  const ca = await createCa({ org: "default", now: new Date() });
  const leaf = await issueServerCertificate({ ca, names: ["127.0.0.1"], now: new Date() });
  const own = { cert: certificateToPem(leaf.certificate), key: leaf.privateKey };
  const server = createSecureServer(own);
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    stream.on("error", () => undefined);
    serve(stream, headers[":path"] ?? "");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const link = openLeanLink(
    {
      ...own,
      baseUrl: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
      ca: certificateToPem(ca.certificate),
      localAddress: "127.0.0.2",
    },
    { onMessage: () => undefined, onEnd: () => undefined, ...events },
  );
  t.after(() => {
    link.close();
    server.close();
  });
  return link;
}

function envelope(flags: number, message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flags;
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

test("a simulated agent fetches bundles larger than every window, one after another and at once, and gets each byte", async (t) => {
  const content = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31) % 251));
  const piece = toBinary(FetchBlobResponseSchema, create(FetchBlobResponseSchema, { chunk: content }));
  const link = await connected(t, (stream) => {
    stream.resume().once("end", () => {
      stream.respond({ ":status": 200 });
      stream.write(envelope(0, piece));
      stream.end(envelope(2, Buffer.from("{}")));
    });
  });
  for (let i = 0; i < 3; i += 1) {
    const fetched = await Promise.all(Array.from({ length: 4 }, () => link.fetch("sha256:0")));
    for (const bytes of fetched) assert.ok(content.equals(bytes));
  }
});

test("what a simulated agent says beyond the room that the server leaves waits, and arrives in order", async (t) => {
  const said = Array.from({ length: 300 }, (_, i) =>
    create(SyncRequestSchema, { sessionId: "s", sequence: BigInt(i + 1), report: new Uint8Array(1_000) }),
  );
  const whole = Buffer.concat(said.map((each) => envelope(0, toBinary(SyncRequestSchema, each))));
  const arrived = Promise.withResolvers<Buffer>();
  const link = await connected(t, (stream) => {
    stream.respond({ ":status": 200 });
    let bytes = Buffer.alloc(0);
    // The windows are full before anything is read: what was said is there before the answer to a ping.
    stream.session?.ping(() => {
      stream.on("data", (chunk: Buffer) => {
        bytes = Buffer.concat([bytes, chunk]);
        if (bytes.length >= whole.length) arrived.resolve(bytes);
      });
    });
  });
  for (const each of said) link.tell(each);
  assert.ok(whole.equals(await arrived.promise));
});

test("a simulated agent hears what the server says by itself, with why a call is refused, and once of its session's end", async (t) => {
  const heard: bigint[] = [];
  const ends: Error[] = [];
  const ended = Promise.withResolvers<void>();
  const talk = Promise.withResolvers<ServerHttp2Stream>();
  const events: LeanEvents = {
    onMessage: ({ ackSequence }) => heard.push(ackSequence),
    onEnd: (error) => {
      ends.push(error);
      ended.resolve();
    },
  };
  const refusal = JSON.stringify({ error: { code: "resource_exhausted", message: "later" } });
  const link = await connected(
    t,
    (stream, path) => {
      stream.respond({ ":status": 200 });
      if (path.endsWith("FetchBlob")) {
        stream.end(envelope(2, Buffer.from(refusal)));
        return;
      }
      const response = (sequence: bigint) =>
        envelope(0, toBinary(SyncResponseSchema, create(SyncResponseSchema, { ackSequence: sequence })));
      // Two messages in one piece, and one in pieces.
      stream.write(Buffer.concat([response(1n), response(2n), response(3n).subarray(0, 3)]));
      stream.write(response(3n).subarray(3));
      talk.resolve(stream);
    },
    events,
  );
  link.tell(create(SyncRequestSchema, { sessionId: "s", sequence: 1n }));
  await assert.rejects(link.fetch("sha256:0"), { code: "resource_exhausted" });
  (await talk.promise).end(envelope(2, Buffer.from("{}")));
  await ended.promise;
  assert.deepEqual(heard, [1n, 2n, 3n]);
  assert.deepEqual(
    ends.map(({ message }) => message),
    ["ended: the stream ended"],
  );
  await assert.rejects(link.fetch("sha256:0"), /no connection/);
});

test("a simulated agent that stalls leaves the server no room, and takes everything when it goes on", async (t) => {
  const taken: bigint[] = [];
  const all = Promise.withResolvers<void>();
  const response = (sequence: bigint) =>
    envelope(0, toBinary(SyncResponseSchema, create(SyncResponseSchema, { ackSequence: sequence })));
  const talk = Promise.withResolvers<ServerHttp2Stream>();
  const link = await connected(
    t,
    (stream) => {
      stream.respond({ ":status": 200 });
      talk.resolve(stream);
    },
    {
      onMessage: ({ ackSequence }) => {
        taken.push(ackSequence);
        if (ackSequence === 2n) all.resolve();
      },
    },
  );
  link.tell(create(SyncRequestSchema, { sessionId: "s", sequence: 1n }));
  const stream = await talk.promise;
  const changed = new Promise((resolve) => stream.session?.on("remoteSettings", resolve));
  link.stall();
  await changed;
  stream.write(response(1n));
  stream.write(response(2n));
  await new Promise((resolve) => stream.session?.ping(resolve));
  assert.deepEqual(taken, []);
  link.goOn();
  await all.promise;
  assert.deepEqual(taken, [1n, 2n]);
});
