import { createHash } from "node:crypto";
import * as fs from "node:fs";

/** How much of a file's beginning tells it from others. Audit lines carry a unique id well within it. */
export const headBytesMax = 1024;

/** How far a file was read, and how to know it again under another name, or its successor under the same one. */
export interface Mark {
  /** The name under which it was seen last. */
  readonly path: string;
  /** The configured path that it belongs to; another one than `path` after a rotation. */
  readonly base: string;
  readonly device: number;
  readonly inode: number;
  /** Everything before it is delivered or queued. */
  readonly offset: number;
  /** Over the first `length` bytes, of those that were read; length 0 says nothing. */
  readonly fingerprint: { readonly length: number; readonly sha256: string };
  /** Rotated away and read to its end. */
  readonly done: boolean;
}

export function fingerprintOf(head: Uint8Array): Mark["fingerprint"] {
  return { length: head.length, sha256: createHash("sha256").update(head).digest("hex") };
}

/** The first bytes of an open file, as many as there are up to `length`. */
export function readHead(fd: number, length: number): Buffer {
  const head = Buffer.alloc(Math.min(length, headBytesMax));
  const read = head.length === 0 ? 0 : fs.readSync(fd, head, 0, head.length, 0);
  return head.subarray(0, read);
}

/** Whether a file begins with what the mark remembers. */
export function beginsAs(fd: number, mark: Mark): boolean {
  const head = readHead(fd, mark.fingerprint.length);
  return head.length === mark.fingerprint.length && fingerprintOf(head).sha256 === mark.fingerprint.sha256;
}
