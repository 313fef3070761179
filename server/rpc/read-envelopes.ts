import type { Readable } from "node:stream";

import { Code, ConnectError } from "@connectrpc/connect";

import { checkParts, envelopeHeadBytes, tooLarge, type BodyBounds } from "./bounded-body.ts";

export interface EnvelopeReader<T> {
  readonly bounds: BodyBounds;
  readonly decode: (message: Uint8Array) => T;
  /** What the messages end with when the body breaks off. */
  readonly gone: ConnectError;
  /** Whether it has broken off already: what was said of it before it is read is not said again. */
  readonly isGone: () => boolean;
}

/**
 * The messages of a body in envelopes, none of them compressed. Reads nothing until it is asked, and then one message at a
 * time: what its sender is ahead waits in the window of its connection. Each is bounded before it is decoded.
 */
export function readEnvelopes<T>(body: Readable, reader: EnvelopeReader<T>): AsyncIterableIterator<T> {
  const pieces = createPieces(reader.bounds);
  let isBegun = false;
  let over: "ended" | "gone" | undefined;
  let asked: PromiseWithResolvers<IteratorResult<T, undefined>> | undefined;

  function begin(): void {
    isBegun = true;
    if (reader.isGone()) over = "gone";
    else if (body.readableEnded) over = "ended";
    body.on("data", (chunk: Buffer) => {
      pieces.add(chunk);
      if (asked === undefined) body.pause();
      else settle();
    });
    body.once("end", () => finish("ended"));
    body.once("close", () => finish("gone"));
  }
  function finish(how: NonNullable<typeof over>): void {
    over ??= how;
    settle();
  }
  /** Gives who asked the next message, or the end when there is none any more. */
  function settle(): void {
    if (asked === undefined) return;
    const { resolve, reject } = asked;
    try {
      if (over === "gone") throw reader.gone;
      const message = pieces.take();
      if (message === undefined && over === undefined) return;
      asked = undefined;
      if (message !== undefined) resolve({ done: false, value: reader.decode(message) });
      else if (pieces.isEmpty) resolve({ done: true, value: undefined });
      else throw halfAMessage();
    } catch (error) {
      asked = undefined;
      reject(error);
    }
  }
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next: () => {
      asked = Promise.withResolvers<IteratorResult<T, undefined>>();
      const { promise } = asked;
      if (!isBegun) begin();
      settle();
      if (asked !== undefined && body.isPaused()) body.resume();
      return promise;
    },
  };
}

/** What has come of a body and was not taken yet. */
function createPieces(bounds: BodyBounds) {
  let chunks: Buffer[] = [];
  let length = 0;
  let needed = envelopeHeadBytes;
  return {
    get isEmpty() {
      return length === 0;
    },
    add: (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
    },
    /** The next message, when it is there whole. Many small chunks are joined once. */
    take: (): Uint8Array | undefined => {
      while (length >= needed) {
        const [first] = chunks;
        const joined = chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks, length);
        if (joined[0] !== 0) throw notPlain();
        const end = envelopeHeadBytes + joined.readUInt32BE(1);
        if (end - envelopeHeadBytes > bounds.bytesMax) throw tooLarge(bounds);
        if (length < end) {
          [chunks, needed] = [[joined], end];
          return undefined;
        }
        const rest = joined.subarray(end);
        // Not even an empty part of it is kept: the buffer of a chunk is far larger than most messages.
        [chunks, length, needed] = [rest.length === 0 ? [] : [rest], rest.length, envelopeHeadBytes];
        const message = joined.subarray(envelopeHeadBytes, end);
        checkParts(message, false, bounds);
        return message;
      }
      return undefined;
    },
  };
}

function notPlain(): ConnectError {
  const why = "The request is not one whole message after another, none of them compressed";
  return new ConnectError(why, Code.InvalidArgument);
}

function halfAMessage(): ConnectError {
  return new ConnectError("The request does not end with one whole message", Code.InvalidArgument);
}
