import { connect as connectTls, type SecureContext } from "node:tls";

import { windowBytes } from "#wire";

import { createFlow, usualWindowBytes, type CallEvents, type Flow } from "./lean-flow.ts";
import {
  createFrameReader,
  flag,
  frame,
  frameType,
  headerBlock,
  opening,
  saysOk,
  streamWindow,
  windowIn,
} from "./lean-frames.ts";

/** A connection over which an agent calls the server: HTTP/2 over TLS, with as little around it as can be. */
export interface LeanConnection {
  /** Begins a call with the first bytes of its body; `isWhole` when these are all. What is given back sends more. */
  call(path: string, first: Uint8Array, isWhole: boolean, events: CallEvents): (bytes: Uint8Array) => void;
  /** Leaves the server so much room on each of its streams. */
  leaveRoom(bytes: number): void;
  destroy(): void;
}

export interface LeanAddress {
  readonly baseUrl: string;
  readonly secureContext: SecureContext;
  readonly localAddress: string;
}

const common = [
  ["content-type", "application/connect+proto"],
  ["connect-protocol-version", "1"],
  ["connect-accept-encoding", "gzip"],
] as const;

/** Blocks of headers by where they go to: the same for every call and every agent. */
const blocks = new Map<string, Buffer>();

function blockFor(authority: string, path: string): Buffer {
  const key = `${authority} ${path}`;
  const block = blocks.get(key) ?? headerBlock(authority, path, common);
  blocks.set(key, block);
  return block;
}

/** `onEnd` is called once when the connection is over, with what ended it; its calls hear of it before. */
export function openLeanConnection(address: LeanAddress, onEnd: (error: Error) => void): LeanConnection {
  const { host, hostname, port } = new URL(address.baseUrl);
  const { secureContext, localAddress } = address;
  // The types leave out that what is said of the socket below is passed on to it.
  const options = { host: hostname, port: Number(port), ALPNProtocols: ["h2"], secureContext, localAddress };
  const socket = connectTls(options);
  const write = (bytes: Buffer) => void socket.write(bytes);
  const flow = createFlow(write);
  let isOver = false;
  const over = (error: Error) => {
    if (isOver) return;
    isOver = true;
    socket.destroy();
    flow.finishAll(error);
    onEnd(error);
  };
  const read = createFrameReader({
    onData: (id, piece, isLast) => {
      flow.received(id, piece);
      if (isLast) flow.finish(id);
    },
    onFrame: (type, flags, id, payload) => takeFrame({ flow, write, over }, type, flags, id, payload),
  });
  socket.setNoDelay(true);
  socket.on("data", (chunk: Buffer) => {
    try {
      read(chunk);
    } catch (error) {
      over(error instanceof Error ? error : new Error(String(error)));
    }
  });
  socket.once("error", over);
  socket.once("close", () => over(new Error("The connection was closed")));
  socket.write(opening(windowBytes, usualWindowBytes));
  return {
    call: (path, first, isWhole, events) => {
      if (isOver) {
        events.onEnd(new Error("There is no connection"));
        return () => undefined;
      }
      const headers = (id: number) => frame(frameType.headers, flag.endHeaders, id, blockFor(host, path));
      const id = flow.open(headers, first, isWhole, events);
      return (bytes) => flow.send(id, bytes);
    },
    leaveRoom: (bytes) => write(streamWindow(bytes)),
    destroy: () => {
      isOver = true;
      socket.destroy();
      flow.finishAll(new Error("The connection was given up"));
    },
  };
}

interface Ends {
  readonly flow: Flow;
  readonly write: (bytes: Buffer) => void;
  readonly over: (error: Error) => void;
}

function takeFrame(
  { flow, write, over }: Ends,
  type: number,
  flags: number,
  id: number,
  payload: Buffer,
): void {
  switch (type) {
    case frameType.headers:
      if ((flags & flag.endHeaders) === 0 || !saysOk(payload)) {
        flow.finish(id, new Error("The server answered with another status than 200"));
      } else if ((flags & flag.endStream) !== 0) flow.finish(id);
      return;
    case frameType.reset: {
      const code = payload.readUInt32BE(0);
      flow.finish(id, code === 0 ? undefined : new Error(`The server reset the call: ${code}`));
      return;
    }
    case frameType.settings: {
      if ((flags & flag.ack) !== 0) return;
      const room = windowIn(payload);
      write(frame(frameType.settings, flag.ack, 0, new Uint8Array()));
      if (room !== undefined) flow.setRoom(room);
      return;
    }
    case frameType.ping:
      if ((flags & flag.ack) === 0) write(frame(frameType.ping, flag.ack, 0, payload));
      return;
    case frameType.goAway: {
      // Without a fault the server lets the calls end that go on, and closes then.
      const code = payload.readUInt32BE(4);
      if (code !== 0) over(new Error(`The server goes: ${code}`));
      return;
    }
    case frameType.windowUpdate:
      flow.giveRoom(id, payload.readUInt32BE(0));
      return;
    default:
  }
}
