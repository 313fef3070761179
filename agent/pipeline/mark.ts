import { createHash } from "node:crypto";
import * as fs from "node:fs";

/** How much of a file's beginning tells it from others. Audit lines carry a unique id well within it. */
export const headBytesMax = 1024;

/** Where an input goes on: all it feeds, or the one output that is behind the others. */
export type Mark = (FileMark | PathMark | SpoolMark) & {
  /** The alias of that output. */
  readonly behind?: string;
};

/** How far a file was read, and how to know it again under another name, or its successor under the same one. */
export interface FileMark {
  readonly kind: "file";
  /** Where it was seen last: a real path, without links. */
  readonly path: string;
  /** The path as the config names it; another one than `path` after a rotation, or where it is a link. */
  readonly base: string;
  readonly device: number;
  readonly inode: number;
  /** The inode under which its content was read first: it names records, also when they are read from a copy. */
  readonly identity: number;
  /** Everything before it is delivered or queued. */
  readonly offset: number;
  /** Ranges beyond the offset that are delivered or queued as well: see Progress. */
  readonly ahead: readonly (readonly [from: number, to: number])[];
  /** Over the first `length` bytes, of those that were read; length 0 says nothing. */
  readonly fingerprint: { readonly length: number; readonly sha256: string };
  /** Rotated away and read to its end. */
  readonly done: boolean;
}

/** A path of a config was looked for before: what appears under it later is new, and no history. */
export interface PathMark {
  readonly kind: "path";
  /** As the config has it, a glob perhaps. */
  readonly path: string;
}

/** How far the records that an input accepted were taken out of its spool. */
export interface SpoolMark {
  readonly kind: "spool";
  /** The folder of the spool. */
  readonly name: string;
  /** The spool's own id: another one, under the same name, has other records. */
  readonly id: string;
  readonly offset: number;
}

export function fingerprintOf(head: Uint8Array): FileMark["fingerprint"] {
  return { length: head.length, sha256: createHash("sha256").update(head).digest("hex") };
}

/** The first bytes of an open file, as many as there are up to `length`. */
export function readHead(fd: number, length: number): Buffer {
  const head = Buffer.alloc(Math.min(length, headBytesMax));
  const read = head.length === 0 ? 0 : fs.readSync(fd, head, 0, head.length, 0);
  return head.subarray(0, read);
}

/** Whether a content that begins so begins with what the mark remembers. */
export function beginsAs(head: Uint8Array, mark: FileMark): boolean {
  const { length, sha256 } = mark.fingerprint;
  return head.length >= length && fingerprintOf(head.subarray(0, length)).sha256 === sha256;
}

/** Whether a value from a checkpoint is a mark. */
export function isMark(value: unknown): value is Mark {
  if (typeof value !== "object" || value === null) return false;
  const mark = value as Readonly<Record<string, unknown>>;
  if (mark["behind"] !== undefined && typeof mark["behind"] !== "string") return false;
  if (mark["kind"] === "path") return typeof mark["path"] === "string";
  if (mark["kind"] === "spool") {
    return typeof mark["name"] === "string" && typeof mark["id"] === "string" && isCount(mark["offset"]);
  }
  const fingerprint = mark["fingerprint"] as Readonly<Record<string, unknown>> | undefined;
  return (
    mark["kind"] === "file" &&
    typeof mark["path"] === "string" &&
    typeof mark["base"] === "string" &&
    ["device", "inode", "identity", "offset"].every((key) => Number.isSafeInteger(mark[key])) &&
    Array.isArray(mark["ahead"]) &&
    mark["ahead"].every((range) => Array.isArray(range) && range.length === 2 && range.every(isCount)) &&
    isCount(fingerprint?.["length"]) &&
    typeof fingerprint["sha256"] === "string" &&
    typeof mark["done"] === "boolean"
  );
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
