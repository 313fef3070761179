import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";
import * as fc from "fast-check";
import { SyncRequestSchema } from "#proto/agent/v1/agent";

import { readEnvelopes } from "./read-envelopes.ts";

const bytesMax = 1_000;
const gone = new ConnectError("gone", Code.Canceled);

function envelope(message: Uint8Array, flags: number = 0): Buffer {
  const head = Buffer.from([flags, 0, 0, 0, 0]);
  head.writeUInt32BE(message.byteLength, 1);
  return Buffer.concat([head, message]);
}

function openBody() {
  const body = new PassThrough();
  body.on("error", () => undefined);
  const bounds = { schema: SyncRequestSchema, bytesMax, partsMax: 10, onRefused: () => undefined };
  const decode = (message: Uint8Array) => Buffer.from(message).toString("hex");
  return { body, messages: readEnvelopes(body, { bounds, decode, gone, isGone: () => body.destroyed }) };
}

/** All messages, and the code of what they end with. */
async function readAll(messages: AsyncIterable<string>): Promise<readonly [string[], Code | undefined]> {
  const all: string[] = [];
  try {
    for await (const message of messages) all.push(message);
    return [all, undefined];
  } catch (error) {
    return [all, ConnectError.from(error).code];
  }
}

/** Field 1 with text: one part, whatever its bytes are. */
function textField(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from([0x0a, bytes.length]), bytes]);
}

test("messages come whole and in order, however the network cuts and joins them", async () => {
  const texts = fc.array(fc.string({ maxLength: 30 }), { maxLength: 8 });
  const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(texts, cuts, fc.boolean(), async (said, lengths, isSlow) => {
      const { body, messages } = openBody();
      const fields = said.map(textField);
      const bytes = Buffer.concat(fields.map((field) => envelope(field)));
      const reading = readAll(messages);
      for (let at = 0, i = 0; at < bytes.length; i += 1) {
        const length = lengths[i % lengths.length] ?? 1;
        body.write(bytes.subarray(at, at + length));
        at += length;
        if (isSlow) await new Promise((resolve) => setImmediate(resolve));
      }
      body.end();
      assert.deepEqual(await reading, [fields.map((field) => field.toString("hex")), undefined]);
    }),
    { numRuns: 100 },
  );
});

test("what is too large, has too many parts, is compressed or is half a message is refused after what came before it", async () => {
  const good = textField("good");
  const cases = [
    [envelope(Buffer.alloc(bytesMax + 1)), Code.ResourceExhausted],
    [envelope(Buffer.concat(Array.from({ length: 11 }, () => textField("x")))), Code.ResourceExhausted],
    [envelope(good, 1), Code.InvalidArgument],
    [envelope(good, 2), Code.InvalidArgument],
    [envelope(good).subarray(0, 8), Code.InvalidArgument],
  ] as const;
  for (const [bad, code] of cases) {
    const { body, messages } = openBody();
    body.end(Buffer.concat([envelope(good), bad]));
    assert.deepEqual(await readAll(messages), [[good.toString("hex")], code]);
  }
});

test("a message announced as too large is refused before it has come", async () => {
  const { body, messages } = openBody();
  body.write(envelope(Buffer.alloc(bytesMax + 1)).subarray(0, 5));
  assert.deepEqual(await readAll(messages), [[], Code.ResourceExhausted]);
});

test("a body that breaks off ends what waits for its next message, and one that is gone already the first question", async () => {
  const { body, messages } = openBody();
  body.write(envelope(textField("good")));
  const reading = readAll(messages);
  setImmediate(() => body.destroy());
  assert.deepEqual((await reading)[1], Code.Canceled);
  const late = openBody();
  late.body.destroy();
  assert.deepEqual(await readAll(late.messages), [[], Code.Canceled]);
});

test("who is not asked for more messages cannot fill the memory with them", async () => {
  const { body, messages } = openBody();
  const one = envelope(textField("x".repeat(100)));
  const first = messages.next();
  let taken = 0;
  while (body.write(one) && taken < 10_000) {
    taken += 1;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal((await first).done, false);
  assert.ok(taken * one.length < 4 * body.writableHighWaterMark, `${taken} messages were taken`);
});
