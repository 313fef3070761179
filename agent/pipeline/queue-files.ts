import * as fs from "node:fs";
import { join } from "node:path";

/** `seg` holds entries; `free` is kept to be written over again. */
export type SegmentKind = "seg" | "free";

/** The numbers of a queue's files, the oldest first. */
export function segmentIds(dir: string, kind: SegmentKind): number[] {
  const ids = fs.readdirSync(dir).flatMap((name) => {
    const [, id, ending] = /^(\d{10})\.(seg|free)$/.exec(name) ?? [];
    return ending === kind ? [Number(id)] : [];
  });
  return ids.sort((a, b) => a - b);
}

export function segmentPath(dir: string, id: number, kind: SegmentKind = "seg"): string {
  return join(dir, `${String(id).padStart(10, "0")}.${kind}`);
}
