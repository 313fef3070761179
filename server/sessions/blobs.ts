import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { gzip } from "node:zlib";

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { FetchBlobResponseSchema, type FetchBlobResponse } from "#proto/agent/v1/agent";

import type { Digest } from "../domain/ids.ts";
import { readBlob } from "../store/bundles.ts";
import type { Db } from "../store/pool.ts";

/** Bundles in memory together; the largest there can be are 16 MiB each. */
export const blobBytesMax: number = 64 * 1024 * 1024;

/** Bytes of a bundle in one message. */
export const chunkBytes: number = 256 * 1024;

/** A bundle as it is handed out. Nobody may write into it: all agents are sent the same bytes. */
export interface Blob {
  readonly length: number;
  /** In order, each of {@link chunkBytes} but the last. There is one even of nothing, so that the length is told. */
  readonly pieces: readonly Piece[];
  /** All of its bytes packed by gzip; absent of more than one piece, and of what is not kept. */
  readonly gzip?: Uint8Array<ArrayBuffer>;
}

/** One message of a bundle, and the same as it goes over the wire. */
export interface Piece {
  readonly message: FetchBlobResponse;
  /** The message in the envelope of a stream, not compressed. The message's chunk is a part of it. */
  readonly frame: Uint8Array;
  /** The same with the message packed by gzip; absent when that is hardly shorter. */
  readonly gzipFrame?: Uint8Array;
}

/**
 * The bundles by digest, as the agents fetch them. What a digest names never changes, so a copy in memory is as good
 * as the row, and a rollout to thousands of agents reads and encodes it once.
 */
export interface BlobBook {
  /**
   * Undefined when there is no such bundle. Bytes that are not those which the digest names are handed out as they are stored,
   * and never kept: the agent refuses them by itself and says so, here they are told to `onDamaged`.
   */
  get(digest: Digest): Promise<Blob | undefined>;
}

export interface BlobOptions {
  readonly db: Db;
  /** Called with the digest that is asked for and that of what is stored. */
  readonly onDamaged: (digest: Digest, found: string) => void;
  readonly bytesMax?: number;
}

export function createBlobBook({ db, onDamaged, bytesMax = blobBytesMax }: BlobOptions): BlobBook {
  /** Used last stands last. */
  const held = new Map<Digest, Blob>();
  const coming = new Map<Digest, Promise<Blob | undefined>>();
  let bytes = 0;

  function keep(digest: Digest, blob: Blob): void {
    held.set(digest, blob);
    bytes += bytesOf(blob);
    for (const [oldest, old] of held) {
      if (bytes <= bytesMax) return;
      held.delete(oldest);
      bytes -= bytesOf(old);
    }
  }
  async function load(digest: Digest): Promise<Blob | undefined> {
    const stored = await readBlob(db, digest);
    if (stored === undefined) return undefined;
    const found = `sha256:${createHash("sha256").update(stored).digest("hex")}`;
    const blob = toBlob(stored);
    if (found !== digest) {
      onDamaged(digest, found);
      return blob;
    }
    const packed = await packBlob(blob);
    keep(digest, packed);
    return packed;
  }
  return {
    get: (digest) => {
      const blob = held.get(digest);
      if (blob !== undefined) {
        held.delete(digest);
        held.set(digest, blob);
        return Promise.resolve(blob);
      }
      const under = coming.get(digest) ?? load(digest).finally(() => coming.delete(digest));
      coming.set(digest, under);
      return under;
    },
  };
}

export function toBlob(content: Uint8Array): Blob {
  const { length } = content;
  const pieces: Piece[] = [];
  for (let at = 0; at === 0 || at < length; at += chunkBytes) {
    pieces.push(pieceOf(content.subarray(at, at + chunkBytes), length));
  }
  return { length, pieces };
}

/** With each of its pieces packed too: once, for all that fetch it. */
export async function packBlob({ length, pieces }: Blob): Promise<Blob> {
  const [only] = pieces;
  const packed = await Promise.all(pieces.map(packPiece));
  if (only === undefined || pieces.length > 1) return { length, pieces: packed };
  return { length, pieces: packed, gzip: new Uint8Array(await compress(only.message.chunk)) };
}

/** What is left of a bundle from an offset that is not beyond its end, in at least one piece. */
export function piecesFrom({ length, pieces }: Blob, offset: number): readonly Piece[] {
  if (offset === length) return [pieceOf(new Uint8Array(), length)];
  const first = Math.floor(offset / chunkBytes);
  const before = pieces[first];
  const within = offset % chunkBytes;
  if (within === 0 || before === undefined) return pieces.slice(first);
  return [pieceOf(before.message.chunk.subarray(within), length), ...pieces.slice(first + 1)];
}

const envelopeHeadBytes = 5;
/** The flag of an envelope whose message is compressed, see the Connect protocol. */
const compressedFlag = 1;
const compress = promisify(gzip);

async function packPiece(piece: Piece): Promise<Piece> {
  const packed = await compress(piece.frame.subarray(envelopeHeadBytes));
  if (packed.length > piece.frame.length * 0.9) return piece;
  return { ...piece, gzipFrame: encodeEnvelope(compressedFlag, packed) };
}

/** What it takes in memory: its messages are parts of the frames. */
function bytesOf({ length, pieces, gzip: packed }: Blob): number {
  return (
    length + (packed?.length ?? 0) + pieces.reduce((sum, { gzipFrame }) => sum + (gzipFrame?.length ?? 0), 0)
  );
}

function pieceOf(chunk: Uint8Array, length: number): Piece {
  const message = create(FetchBlobResponseSchema, { chunk: Uint8Array.from(chunk), length: BigInt(length) });
  const frame = encodeEnvelope(0, toBinary(FetchBlobResponseSchema, message));
  // Read back, the chunk is a part of the frame, so that a bundle is in memory once.
  return { message: fromBinary(FetchBlobResponseSchema, frame.subarray(envelopeHeadBytes)), frame };
}
