import * as fs from "node:fs";
import { blockHeadBytes, isWhole, readHead } from "./ring-block.ts";
import type { BlockHead } from "./ring-block.ts";

/** A block and where it lies in its file. */
export interface FoundBlock extends BlockHead {
  readonly offset: number;
}

/**
 * The blocks of a file up to its end, or up to where it is torn. `whole` reads each block through: without it only what stands
 * before the events is looked at, and they may be damaged.
 */
export function findBlocks(fd: number, size: number, whole: boolean): readonly FoundBlock[] {
  const found: FoundBlock[] = [];
  const bytes = Buffer.allocUnsafe(blockHeadBytes);
  for (let offset = 0; offset + blockHeadBytes <= size;) {
    if (fs.readSync(fd, bytes, 0, blockHeadBytes, offset) < blockHeadBytes) break;
    const head = readHead(bytes);
    if (head === undefined || offset + blockHeadBytes + head.length > size) break;
    if (whole && readPacked(fd, { ...head, offset }) === undefined) break;
    found.push({ ...head, offset });
    offset += blockHeadBytes + head.length;
  }
  return found;
}

/** The compressed events of a block; undefined when they are not what was written. */
export function readPacked(fd: number, { offset, length }: FoundBlock): Buffer | undefined {
  const bytes = Buffer.allocUnsafe(blockHeadBytes + length);
  if (fs.readSync(fd, bytes, 0, bytes.length, offset) < bytes.length) return undefined;
  const packed = bytes.subarray(blockHeadBytes);
  return isWhole(bytes.subarray(0, blockHeadBytes), packed) ? packed : undefined;
}
