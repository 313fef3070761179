import * as fs from "node:fs";

/** What backlogs leave of a disk: enough for positions, for what is set aside, and for a bundle that replaces another. */
const keptBytesMax = 16 * 1024 * 1024;
/** Of a small disk. */
const keptShare = 1 / 16;
/** So much may be written before the disk is looked at again. */
const grantBytesMax = 1024 * 1024;

/**
 * Room for what may wait in files without end. Without a rest that backlogs leave alone they could not be worked off: to
 * take something out of them, its position has to be written, or what a destination refused.
 */
export class DiskRoom {
  readonly #dir: string;
  #granted = 0;

  /** Of the disk on which a folder is. */
  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Claims bytes that make files longer. Throws, with the figures, when they would have to be of the rest. */
  take(bytes: number): void {
    if (bytes > this.#granted) this.#look(bytes);
    this.#granted -= bytes;
  }

  #look(bytes: number): void {
    const { bavail, blocks, bsize } = fs.statfsSync(this.#dir);
    const kept = Math.min(keptBytesMax, blocks * bsize * keptShare);
    const free = bavail * bsize - kept;
    if (bytes > free) {
      throw new Error(
        `the disk of ${this.#dir} has ${bavail * bsize} bytes left, of which ${Math.ceil(kept)} are kept for positions ` +
          `and for what is set aside, and ${bytes} are needed`,
      );
    }
    // Others write to the same disk.
    this.#granted = Math.max(bytes, Math.min(grantBytesMax, free / 8));
  }
}
