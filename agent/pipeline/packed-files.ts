import * as fs from "node:fs";
import { codeOf, reasonOf } from "./files.ts";
import type { FileMark } from "./mark.ts";
import { packingOf } from "./rotated-names.ts";
import type { Found } from "./tail-files.ts";
import { peekPacked, unpack } from "./unpack.ts";

/** A compressed file whose content can be read now; `mark` tells how far it was read before it was compressed. */
export interface Unpacked {
  readonly fd: number;
  readonly file: Found;
  readonly mark: FileMark | undefined;
}

export interface PackedPorts {
  readonly onUnpacked: (unpacked: Unpacked) => void;
  /** The file is damaged and stays so. */
  readonly onFailed: (file: Found, mark: FileMark | undefined, why: string) => void;
  readonly onProblem: (code: string, message: string) => void;
}

/** A file that ends in the middle may still be written to; when nobody did so for this long it is damaged. */
const unfinishedMs = 60_000;

/** Compressed files that hold something unread, one after the other unpacked in the background. */
export class PackedFiles {
  readonly #folder: string;
  readonly #ports: PackedPorts;
  readonly #busy = new Map<string, Pick<Unpacked, "file" | "mark">>();
  #queue: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(folder: string, ports: PackedPorts) {
    this.#folder = folder;
    this.#ports = ports;
  }

  canUnpack(file: Found): boolean {
    return packingOf(file.path) !== undefined;
  }

  /** How the content begins; undefined while that cannot be told. */
  peek(fd: number, file: Found): Buffer | undefined {
    const packing = packingOf(file.path);
    return packing === undefined ? undefined : peekPacked(fd, packing);
  }

  /** What is under way with a file. */
  unpacking(file: Pick<Found, "device" | "inode">): Pick<Unpacked, "mark"> | undefined {
    return this.#busy.get(idOf(file));
  }

  get isBusy(): boolean {
    return this.#busy.size > 0;
  }

  isBusyWith(base: string): boolean {
    return this.#busy.size > 0 && [...this.#busy.values()].some(({ file }) => file.base === base);
  }

  /** Takes over the descriptor. */
  unpack(fd: number, file: Found, mark: FileMark | undefined): void {
    this.#busy.set(idOf(file), { file, mark });
    this.#queue = this.#queue.then(async () => {
      try {
        await this.#unpack(fd, file, mark);
      } finally {
        fs.closeSync(fd);
        this.#busy.delete(idOf(file));
      }
    });
  }

  close(): void {
    this.#isClosed = true;
  }

  async #unpack(fd: number, file: Found, mark: FileMark | undefined): Promise<void> {
    const packing = packingOf(file.path);
    if (this.#isClosed || packing === undefined) return;
    try {
      const out = await unpack(fd, packing, this.#folder);
      if (this.#isClosed) fs.closeSync(out);
      else this.#ports.onUnpacked({ fd: out, file, mark });
    } catch (error) {
      if (this.#isClosed) return;
      // An error of the disk passes; one in the file does not, unless it is not complete yet.
      const isOfDisk = /^E[A-Z]+$/.test(codeOf(error) ?? "");
      if (isOfDisk || Date.now() - file.mtimeMs < unfinishedMs) {
        const why = `cannot unpack ${file.path}, trying again: ${reasonOf(error)}`;
        this.#ports.onProblem("tail/unpack", why);
      } else this.#ports.onFailed(file, mark, reasonOf(error));
    }
  }
}

function idOf({ device, inode }: Pick<Found, "device" | "inode">): string {
  return `${device}:${inode}`;
}
