import { createSecureContext, type SecureContext } from "node:tls";
import { gunzipSync } from "node:zlib";

import { create, fromBinary, toBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import {
  FetchBlobRequestSchema,
  FetchBlobResponseSchema,
  SyncRequestSchema,
  SyncResponseSchema,
  type SyncRequest,
  type SyncResponse,
} from "#proto/agent/v1/agent";

import { windowBytes } from "#wire";

import type { SimAddress } from "../../support/sim-link.ts";
import type { CallEvents } from "./lean-flow.ts";
import { openLeanConnection, type LeanConnection } from "./lean-http2.ts";

/** A call that the server refused or broke off, with what it said. */
export class CallError extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}

/** The protocol over HTTP/2 with as little around it as possible, so that thousands of agents fit beside the server. */
export interface LeanLink {
  tell(request: SyncRequest): void;
  fetch(digest: string, offset?: bigint): Promise<Uint8Array>;
  /** Leaves the server no room to send anything in, as a host that hangs; and goes on. */
  stall(): void;
  goOn(): void;
  close(): void;
}

export interface LeanEvents {
  readonly onMessage: (response: SyncResponse) => void;
  /** Once, whatever ended it. */
  readonly onEnd: (error: Error) => void;
}

/** `localAddress` gives each agent an address of its own, as agents have. */
export function openLeanLink(
  address: SimAddress & { readonly localAddress: string },
  { onMessage, onEnd }: LeanEvents,
): LeanLink {
  const { baseUrl, localAddress } = address;
  const secureContext = contextOf(address);
  const connection = openLeanConnection({ baseUrl, secureContext, localAddress }, (error) => end(error));
  let isOver = false;
  const end = (error: Error) => {
    if (isOver) return;
    isOver = true;
    connection.destroy();
    onEnd("code" in error ? error : new CallError("closed", error.message));
  };
  let say: ((bytes: Uint8Array) => void) | undefined;
  return {
    tell: (request) => {
      if (isOver) return;
      const bytes = envelope(toBinary(SyncRequestSchema, request));
      if (say === undefined) {
        const done = (error?: Error) => end(error ?? new CallError("ended", "the stream ended"));
        say = connection.call(path("Connect"), bytes, false, messages(SyncResponseSchema, onMessage, done));
      } else say(bytes);
    },
    fetch: (digest, offset) => fetchWhole(connection, digest, offset),
    stall: () => connection.leaveRoom(0),
    goOn: () => connection.leaveRoom(windowBytes),
    close: () => {
      isOver = true;
      connection.destroy();
    },
  };
}

const path = (method: string) => `/agent.v1.AgentService/${method}`;

const contexts = new WeakMap<SimAddress, SecureContext>();

/** Its keys and certificates, read once: a real agent does so on a machine of its own. Handshakes are whole ones each time. */
function contextOf(address: SimAddress): SecureContext {
  const { ca, cert, key } = address;
  const known = contexts.get(address) ?? createSecureContext({ ca, cert, key });
  contexts.set(address, known);
  return known;
}

function fetchWhole(connection: LeanConnection, digest: string, offset = 0n): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const chunks: Uint8Array[] = [];
  const request = toBinary(FetchBlobRequestSchema, create(FetchBlobRequestSchema, { digest, offset }));
  const take = ({ chunk }: { readonly chunk: Uint8Array }) => void chunks.push(chunk);
  const done = (error?: Error) => {
    const [only] = chunks;
    if (error !== undefined) reject(error);
    else resolve(chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks));
  };
  connection.call(path("FetchBlob"), envelope(request), true, messages(FetchBlobResponseSchema, take, done));
  return promise;
}

function envelope(message: Uint8Array): Buffer {
  const framed = Buffer.alloc(5 + message.length);
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, 5);
  return framed;
}

/** Hands over every message. `done` is called once: with nothing when the call has ended well. */
function messages<S extends DescMessage>(
  schema: S,
  take: (message: MessageShape<S>) => void,
  done: (error?: Error) => void,
): CallEvents {
  let chunks: Buffer[] = [];
  let length = 0;
  let needed = headBytes;
  let isDone = false;
  const finish = (error?: Error) => {
    if (!isDone) done(error);
    isDone = true;
  };
  return {
    onData: (bytes) => {
      if (isDone) return;
      chunks.push(bytes);
      length += bytes.length;
      try {
        // Many small chunks are joined once, when a whole frame is there.
        while (length >= needed) {
          const joined = chunks.length === 1 ? (chunks[0] ?? bytes) : Buffer.concat(chunks, length);
          const end = headBytes + joined.readUInt32BE(1);
          const isWhole = length >= end;
          if (isWhole) takeFrame(joined.subarray(0, end), schema, take);
          const rest = isWhole ? joined.subarray(end) : joined;
          [chunks, length, needed] = [[rest], rest.length, isWhole ? headBytes : end];
        }
      } catch (error) {
        finish(error instanceof Error ? error : new Error(String(error)));
      }
    },
    onEnd: finish,
  };
}

const headBytes = 5;

function takeFrame<S extends DescMessage>(
  frame: Buffer,
  schema: S,
  take: (message: MessageShape<S>) => void,
): void {
  const body = frame.subarray(headBytes);
  if (frame[0] === 0) take(fromBinary(schema, body));
  // The flag of a message that is packed.
  else if (frame[0] === 1) take(fromBinary(schema, unpack(body)));
  else endOf(body.toString());
}

/** In one piece: gzip ends with the length of what was packed, and a byte more saves it a look for more room. */
function unpack(body: Buffer): Buffer {
  return gunzipSync(body, { chunkSize: Math.max(64, body.readUInt32LE(body.length - 4) + 1) });
}

/** The last frame says how the call ended. */
function endOf(text: string): void {
  const { error } = JSON.parse(text) as { error?: { code?: string; message?: string } };
  if (error !== undefined) throw new CallError(error.code ?? "unknown", error.message ?? "");
}
