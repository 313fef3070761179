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
  fetch(digest: string): Promise<Uint8Array>;
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
    fetch: (digest) => fetchWhole(session, digest),
    stall: () => session.settings({ initialWindowSize: 0 }),
    goOn: () => session.settings({ initialWindowSize: 65_535 }),
    close: () => {
      isOver = true;
      session.destroy();
    },
  };
}

async function fetchWhole(session: ClientHttp2Session, digest: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const call = session.request({ ...head, ":path": "/agent.v1.AgentService/FetchBlob" });
  call.end(envelope(toBinary(FetchBlobRequestSchema, create(FetchBlobRequestSchema, { digest }))));
  await read(call, FetchBlobResponseSchema, ({ chunk }) => chunks.push(chunk));
  return Buffer.concat(chunks);
}

function envelope(message: Uint8Array): Buffer {
  const framed = Buffer.alloc(5 + message.length);
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, 5);
  return framed;
}

/** Hands over every message. Resolves when the call has ended well. */
async function read<S extends DescMessage>(
  call: ClientHttp2Stream,
  schema: S,
  take: (message: MessageShape<S>) => void,
): Promise<void> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const bytes of call as AsyncIterable<Buffer>) {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
      const length = rest.readUInt32BE(1);
      const body = rest.subarray(5, 5 + length);
      if (rest[0] === 0) take(fromBinary(schema, body));
      else endOf(body.toString());
      rest = rest.subarray(5 + length);
    }
  }
}

/** The last frame says how the call ended. */
function endOf(text: string): void {
  const { error } = JSON.parse(text) as { error?: { code?: string; message?: string } };
  if (error !== undefined) throw new CallError(error.code ?? "unknown", error.message ?? "");
}
