import assert from "node:assert/strict";
import { test } from "node:test";

import { create, fromBinary } from "@bufbuild/protobuf";
import { SyncResponseSchema } from "#proto/agent/v1/agent";

import { frameOf } from "./frame.ts";

const shared = new Uint8Array(20_000).fill(7);

/** What an agent reads of an answer, and the pieces that it was sent in. */
function sent(generation: number) {
  const response = create(SyncResponseSchema, {
    ackSequence: 3n,
    assignment: { payloadType: "test", payload: new Uint8Array(generation) },
    bundles: [
      { digest: "sha256:a", gzip: shared },
      { digest: "sha256:b", gzip: new Uint8Array(generation) },
    ],
    traceparent: "of it",
  });
  const frame = frameOf(response);
  assert.ok(Array.isArray(frame));
  const bytes = Buffer.concat(frame);
  assert.deepEqual([bytes[0], bytes.readUInt32BE(1)], [0, bytes.length - 5]);
  assert.deepEqual(fromBinary(SyncResponseSchema, new Uint8Array(bytes.subarray(5))), response);
  return frame as readonly Uint8Array[];
}

test("an agent reads an answer with bundles as it was meant, and all agents are sent the same bytes of a bundle", () => {
  const [first, second] = [sent(1_000), sent(2_000)];
  assert.equal(first[2], second[2], "it was encoded again");
  assert.ok((first[2]?.length ?? 0) > shared.length);
});

test("an answer without bundles goes in one piece", () => {
  const response = create(SyncResponseSchema, { ackSequence: 3n });
  const frame = frameOf(response);
  assert.ok(frame instanceof Uint8Array);
  assert.deepEqual(fromBinary(SyncResponseSchema, frame.subarray(5)), response);
});
