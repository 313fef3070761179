import * as fs from "node:fs";
import { segmentIds, segmentPath } from "./queue-files.ts";

/** Files kept to be written over again: that costs a third of writing a new one. */
const sparesMax = 2;

/** Segment files of a queue that hold nothing any more. */
export class QueueSpares {
  readonly #dir: string;
  readonly #ids: number[] = [];

  /** What an earlier process left is removed: it cannot be told from what would be written over it. */
  constructor(dir: string) {
    this.#dir = dir;
    for (const id of segmentIds(dir, "free")) fs.rmSync(segmentPath(dir, id, "free"));
  }

  get hasRoom(): boolean {
    return this.#ids.length < sparesMax;
  }

  keep(id: number): void {
    fs.renameSync(segmentPath(this.#dir, id), segmentPath(this.#dir, id, "free"));
    this.#ids.push(id);
  }

  /** Makes one of them, if there is any, the file of a new segment. */
  use(id: number): void {
    const spare = this.#ids.pop();
    if (spare !== undefined) fs.renameSync(segmentPath(this.#dir, spare, "free"), segmentPath(this.#dir, id));
  }

  /** Gives their room back to the disk. */
  drop(): void {
    for (const id of this.#ids.splice(0)) fs.rmSync(segmentPath(this.#dir, id, "free"), { force: true });
  }
}
