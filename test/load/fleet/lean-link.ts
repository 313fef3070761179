import { connect, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";

import { create, fromBinary, toBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import {
  FetchBlobRequestSchema,
  FetchBlobResponseSchema,
  SyncRequestSchema,
  SyncResponseSchema,
  type SyncRequest,
  type SyncResponse,
} from "#proto/agent/v1/agent";

import type { SimAddress } from "../../support/sim-link.ts";

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

const head = {
  ":method": "POST",
  "content-type": "application/connect+proto",
  "connect-protocol-version": "1",
};

/** `localAddress` gives each agent an address of its own, as agents have. */
export function openLeanLink(
  address: SimAddress & { readonly localAddress: string },
  { onMessage, onEnd }: LeanEvents,
): LeanLink {
  const { baseUrl, ...tls } = address;
  const session = connect(baseUrl, { ...tls, peerMaxConcurrentStreams: 8 });
  let isOver = false;
  const end = (error: Error) => {
    if (isOver) return;
    isOver = true;
    session.destroy();
    onEnd(error);
  };
  session.on("error", end);
  session.on("close", () => end(new CallError("closed", "the connection was closed")));
  const talk = session.request({ ...head, ":path": "/agent.v1.AgentService/Connect" });
  read(talk, SyncResponseSchema, onMessage).then(() => end(new CallError("ended", "the stream ended")), end);
  return {
    tell: (request) => {
      if (!isOver && !talk.destroyed) talk.write(envelope(toBinary(SyncRequestSchema, request)));
    },
    fetch: (digest, offset) => fetchWhole(session, digest, offset),
    stall: () => session.settings({ initialWindowSize: 0 }),
    goOn: () => session.settings({ initialWindowSize: 65_535 }),
    close: () => {
      isOver = true;
      session.destroy();
    },
  };
}

async function fetchWhole(session: ClientHttp2Session, digest: string, offset = 0n): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const call = session.request({ ...head, ":path": "/agent.v1.AgentService/FetchBlob" });
  call.end(envelope(toBinary(FetchBlobRequestSchema, create(FetchBlobRequestSchema, { digest, offset }))));
  await read(call, FetchBlobResponseSchema, ({ chunk }) => chunks.push(chunk));
  const [only] = chunks;
  return chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks);
}

function envelope(message: Uint8Array): Buffer {
  const framed = Buffer.alloc(5 + message.length);
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, 5);
  return framed;
}

/** Hands over every message. Resolves when the call has ended well. */
function read<S extends DescMessage>(
  call: ClientHttp2Stream,
  schema: S,
  take: (message: MessageShape<S>) => void,
): Promise<void> {
  const done = Promise.withResolvers<void>();
  let chunks: Buffer[] = [];
  let length = 0;
  let needed = headBytes;
  call.on("data", (bytes: Buffer) => {
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
      done.reject(error instanceof Error ? error : new Error(String(error)));
      call.destroy();
    }
  });
  call.once("error", done.reject);
  call.once("close", () => done.resolve());
  return done.promise;
}

const headBytes = 5;

function takeFrame<S extends DescMessage>(
  frame: Buffer,
  schema: S,
  take: (message: MessageShape<S>) => void,
): void {
  const body = frame.subarray(headBytes);
  if (frame[0] === 0) take(fromBinary(schema, body));
  else endOf(body.toString());
}

/** The last frame says how the call ended. */
function endOf(text: string): void {
  const { error } = JSON.parse(text) as { error?: { code?: string; message?: string } };
  if (error !== undefined) throw new CallError(error.code ?? "unknown", error.message ?? "");
}
