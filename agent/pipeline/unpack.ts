import * as fs from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import * as zlib from "node:zlib";
import { writeAllSync } from "./files.ts";
import { headBytesMax } from "./mark.ts";
import type { Packing } from "./rotated-names.ts";

/** Enough of a packed file to learn how its content begins. */
const peekBytes: Readonly<Record<Packing, number>> = { gz: 16_384, zst: 262_144 };
const unpackedBytesMax = 4 * 1024 * 1024 * 1024;

/** How the content of a packed file begins; undefined while that cannot be told, as when it is being written. */
export function peekPacked(fd: number, packing: Packing): Buffer | undefined {
  const buffer = Buffer.allocUnsafe(peekBytes[packing]);
  const packed = buffer.subarray(0, fs.readSync(fd, buffer, 0, buffer.length, 0));
  if (packed.length === 0) return undefined;
  try {
    const options = { maxOutputLength: 64 * 1024 * 1024 };
    const content =
      packing === "gz"
        ? zlib.gunzipSync(packed, { ...options, finishFlush: zlib.constants.Z_SYNC_FLUSH })
        : zlib.zstdDecompressSync(packed, { ...options, finishFlush: zlib.constants.ZSTD_e_flush });
    return content.length === 0 ? undefined : Buffer.from(content.subarray(0, headBytesMax));
  } catch {
    // Torn or something else under this name. Whoever asks for all of it hears why.
    return undefined;
  }
}

/**
 * Unpacks a file into one that has no name any more, so that a crash leaves nothing behind, and gives its descriptor.
 * Rejects when the packed file is damaged, when there is no room, and beyond 4 GiB.
 */
export async function unpack(fd: number, packing: Packing, folder: string): Promise<number> {
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, "unpacked.tmp");
  const out = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_TRUNC, 0o600);
  fs.unlinkSync(path);
  try {
    const unpacker = packing === "gz" ? zlib.createGunzip() : zlib.createZstdDecompress();
    await pipeline(chunksOf(fd), unpacker, (content: AsyncIterable<Buffer>) => writeBounded(content, out));
    return out;
  } catch (error) {
    fs.closeSync(out);
    throw error;
  }
}

// In small steps, none of which is under way when a descriptor is closed and its number given to another file.

function* chunksOf(fd: number): Generator<Buffer> {
  for (let at = 0; ;) {
    const chunk = Buffer.allocUnsafe(65_536);
    const read = fs.readSync(fd, chunk, 0, chunk.length, at);
    if (read === 0) return;
    at += read;
    yield chunk.subarray(0, read);
  }
}

async function writeBounded(content: AsyncIterable<Buffer>, out: number): Promise<void> {
  let bytes = 0;
  for await (const chunk of content) {
    bytes += chunk.length;
    if (bytes > unpackedBytesMax) throw new Error(`it unpacks to more than ${unpackedBytesMax} bytes`);
    writeAllSync(out, [chunk]);
  }
}
