import { pipeline, Readable } from "node:stream";
import { promisify } from "node:util";
import { createGunzip, gunzip } from "node:zlib";
import { misused } from "../failure.ts";

/** Whether bytes begin as gzip does; no text of events does. */
export function isZipped(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** Unpacks bytes. Throws a failure that names them when they are damaged or larger than the bound. */
export async function unzipped(bytes: Uint8Array, bytesMax: number, name: string): Promise<Uint8Array> {
  try {
    return await promisify(gunzip)(bytes, { maxOutputLength: bytesMax });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === undefined) throw error;
    const why =
      code === "ERR_BUFFER_TOO_LARGE" ? `is larger than ${bytesMax} bytes` : `cannot be read (${code})`;
    throw misused(`${name} ${why} when it is unpacked`);
  }
}

/** The same bytes as they come, unpacked when they are packed. */
export async function* plainChunks(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const source = chunks[Symbol.asyncIterator]();
  let head: Uint8Array = new Uint8Array();
  let next = await source.next();
  while (next.done !== true && head.length < 2) {
    head = head.length === 0 ? next.value : Buffer.concat([head, next.value]);
    if (head.length < 2) next = await source.next();
  }
  async function* all(): AsyncGenerator<Uint8Array> {
    if (head.length > 0) yield head;
    yield* { [Symbol.asyncIterator]: () => source };
  }
  if (!isZipped(head)) return yield* all();
  // The pipeline hands every error on to the end that is read here, so there is nothing left for its callback.
  yield* pipeline(Readable.from(all()), createGunzip(), () => {});
}
