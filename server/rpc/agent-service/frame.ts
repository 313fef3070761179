import { create, toBinary } from "@bufbuild/protobuf";
import { encodeEnvelope } from "@connectrpc/connect/protocol";

import { SyncResponseSchema, type EnclosedBundle, type SyncResponse } from "#proto/agent/v1/agent";

import type { Frame } from "../plain-call.ts";

/**
 * An answer as it goes over a stream. Bundles in it are the same for thousands of agents, so they are encoded once and sent as pieces of
 * their own: encoded messages that follow each other are read as one message with the fields of all
 * (https://protobuf.dev/programming-guides/encoding/#last-one-wins).
 */
export function frameOf(response: SyncResponse): Frame {
  const { bundles } = response;
  if (bundles.length === 0) return encodeEnvelope(0, toBinary(SyncResponseSchema, response));
  const own = toBinary(SyncResponseSchema, { ...response, bundles: [] });
  const parts = [own, ...bundles.map(encodedOnce)];
  const head = Buffer.alloc(5);
  head.writeUInt32BE(
    parts.reduce((sum, { length }) => sum + length, 0),
    1,
  );
  return [head, ...parts];
}

/** By the packed bytes, which are kept as long as the bundle is. */
const encoded = new WeakMap<Uint8Array, Uint8Array>();

function encodedOnce(bundle: EnclosedBundle): Uint8Array {
  const known = encoded.get(bundle.gzip);
  if (known !== undefined) return known;
  const part = toBinary(SyncResponseSchema, create(SyncResponseSchema, { bundles: [bundle] }));
  encoded.set(bundle.gzip, part);
  return part;
}
