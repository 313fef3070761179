import { loadEntry, measureEntry } from "./segment.ts";
import type { Slab } from "./slab.ts";

/** What a segment of an earlier process holds. */
export interface SegmentScan {
  /** Bytes of whole entries that follow each other. */
  readonly size: number;
  /** Bytes of those that were delivered. */
  readonly acknowledged: number;
  /** Those that were not. */
  readonly records: number;
  /** Whether behind an entry that is not whole there are others. */
  readonly isDamaged: boolean;
}

/** Reads through a segment; entries before `firstSequence` were delivered. */
export function scanSegment(fd: number, fileSize: number, firstSequence: number, slab: Slab): SegmentScan {
  let size = 0;
  let acknowledged = 0;
  let records = 0;
  let wanted: number | undefined;
  for (;;) {
    const found = measureEntry(fd, size, fileSize);
    if (found.kind !== "entry" || found.sequence !== (wanted ?? found.sequence)) break;
    if ("kind" in loadEntry(fd, found, slab.take(found.length), 0)) {
      // Behind a torn entry nothing goes on.
      const after = measureEntry(fd, found.next, fileSize);
      const isDamaged = after.kind === "entry" && after.sequence === found.sequence + 1;
      return { size, acknowledged, records, isDamaged };
    }
    size = found.next;
    wanted = found.sequence + 1;
    if (found.sequence < firstSequence) acknowledged = found.next;
    else records += found.count;
  }
  return { size, acknowledged, records, isDamaged: false };
}
