import type { Arena } from "./arena.ts";
import type { RecordScanner } from "./scan.ts";

/** All filters that a tag passes, in the order of the config, ready to run. */
export interface FilterChain {
  /**
   * Appends the changed record and a newline to the arena. False when a filter dropped the record: then the arena is as
   * it was, and the filter has counted why. `shape` has to have scanned exactly these bytes.
   */
  apply(
    source: Buffer,
    start: number,
    end: number,
    shape: RecordScanner,
    arena: Arena,
    timeMs: number,
  ): boolean;
}
