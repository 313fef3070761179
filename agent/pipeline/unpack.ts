import * as fs from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import * as zlib from "node:zlib";
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
    const source = fs.createReadStream("", { fd, start: 0, autoClose: false });
    const unpacker = packing === "gz" ? zlib.createGunzip() : zlib.createZstdDecompress();
    await pipeline(source, unpacker, bounded, fs.createWriteStream("", { fd: out, autoClose: false }));
    return out;
  } catch (error) {
    fs.closeSync(out);
    throw error;
  }
}

async function* bounded(content: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let bytes = 0;
  for await (const chunk of content) {
    bytes += chunk.length;
    if (bytes > unpackedBytesMax) throw new Error(`it unpacks to more than ${unpackedBytesMax} bytes`);
    yield chunk;
  }
}
