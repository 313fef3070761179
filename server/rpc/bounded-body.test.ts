import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import * as fc from "fast-check";

import { DeliverAlertsRequestSchema, SyncRequestSchema } from "#proto/agent/v1/agent";

import { defaultLimits, messageBytesMax } from "../limits.ts";
import { bodyShape, boundedBody } from "./bounded-body.ts";

const partsMax = defaultLimits.call.partsMax;

async function through(
  body: Uint8Array,
  headers: Readonly<Record<string, string>>,
  { bytesMax = messageBytesMax.agent, chunkBytes = 16_384 } = {},
): Promise<Buffer> {
  const shape = bodyShape(new Headers(headers));
  assert.ok(shape !== undefined);
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < body.length; at += chunkBytes) yield body.subarray(at, at + chunkBytes);
  }
  const bounds = { schema: DeliverAlertsRequestSchema, bytesMax, partsMax, onRefused: () => undefined };
  const out: Uint8Array[] = [];
  for await (const chunk of boundedBody(chunks(), shape, bounds)) out.push(chunk);
  return Buffer.concat(out);
}

const proto = { "content-type": "application/proto" };
const json = { "content-type": "application/json" };
const gzip = { "content-encoding": "gzip" };
const grpc = { "content-type": "application/grpc+proto", "grpc-encoding": "gzip" };
const stream = { "content-type": "application/connect+proto" };

function envelope(message: Uint8Array, flags: number = 0): Buffer {
  const head = Buffer.from([flags, 0, 0, 0, 0]);
  head.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([head, message]);
}

/** What an agent sends at most: 500 alerts with tags, 640 KiB. */
const largest = create(DeliverAlertsRequestSchema, {
  alerts: Array.from({ length: 500 }, (_, i) => ({
    id: String(i).padStart(64, "0"),
    rule: "Exec into pod",
    priority: "Warning",
    body: "x".repeat(900),
    time: { seconds: 1_700_000_000n, nanos: 1 },
    rulesDigest: new Uint8Array(32),
    tags: Array.from({ length: 12 }, (__, tag) => `tag-${tag}`),
  })),
});
const empties = Buffer.alloc(1024 * 1024, Buffer.from([0x0a, 0x00]));
const isExhausted = (error: unknown) =>
  error instanceof ConnectError && error.code === Code.ResourceExhausted;

test("what an agent sends at most gets through unchanged, in every protocol, packed or not", async () => {
  const bytes = Buffer.from(toBinary(DeliverAlertsRequestSchema, largest));
  const text = Buffer.from(toJsonString(DeliverAlertsRequestSchema, largest));
  assert.ok((await through(bytes, proto)).equals(bytes));
  assert.ok((await through(text, json)).equals(text));
  assert.ok((await through(gzipSync(bytes), { ...proto, ...gzip })).equals(bytes));
  assert.ok((await through(envelope(bytes), stream)).equals(envelope(bytes)));
  assert.ok((await through(envelope(gzipSync(bytes), 1), grpc)).equals(envelope(bytes)));
});

for (const [name, body, headers] of [
  ["half a million empty alerts in a megabyte", empties, proto],
  ["the same over gRPC", envelope(empties), grpc],
  ["the same over gRPC, packed", envelope(gzipSync(empties), 1), grpc],
  [
    "the same in a stream, behind a small message",
    Buffer.concat([envelope(Buffer.alloc(0)), envelope(empties)]),
    stream,
  ],
  ["the same packed", gzipSync(empties), { ...proto, ...gzip }],
  ["the same in JSON", Buffer.from(`{"alerts":[${"{},".repeat(200_000)}{}]}`), json],
  ["lists in lists in JSON", Buffer.from("[".repeat(500_000)), json],
  ["unknown fields", Buffer.alloc(600_000, Buffer.from([0xfa, 0x07, 0x00])), proto],
  [
    "half a gigabyte in a gzip of half a megabyte",
    gzipSync(Buffer.alloc(512 * 1024 * 1024)),
    { ...proto, ...gzip },
  ],
  ["an envelope that says four gigabytes", Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1]), stream],
  ["more bytes than may be", Buffer.alloc(messageBytesMax.agent + 1), proto],
] as const) {
  test(`a message that would cost far more than it weighs is refused before it is decoded: ${name}`, async () => {
    const before = process.memoryUsage();
    await assert.rejects(through(body, headers), isExhausted);
    const after = process.memoryUsage();
    assert.ok(after.arrayBuffers - before.arrayBuffers < 16 * 1024 * 1024);
  });
}

test("envelopes cut at any byte come out as they went in, one at a time", async () => {
  const message = fc.uint8Array({ maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(message, { maxLength: 8 }),
      fc.integer({ min: 1, max: 30 }),
      async (all, chunkBytes) => {
        const body = Buffer.concat(all.map((each) => envelope(each)));
        assert.ok((await through(body, stream, { chunkBytes })).equals(body));
      },
    ),
    { numRuns: 50 },
  );
});

test("bytes that are no message are left to the decoder, and bytes that are no gzip are the caller's fault", async () => {
  const broken = toBinary(
    SyncRequestSchema,
    create(SyncRequestSchema, { sessionId: "x".repeat(50) }),
  ).subarray(0, 20);
  assert.equal((await through(broken, proto)).length, 20);
  await assert.rejects(
    through(Buffer.from("no gzip"), { ...proto, ...gzip }),
    (error) => error instanceof ConnectError && error.code === Code.InvalidArgument,
  );
});
