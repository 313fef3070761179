import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";

const filesMax = 64;

/** Watches the log files that were read before a bundle came, whatever the bundle reads. */
export interface LogGrowth {
  /** Whether one of them has grown since the last `mark`. */
  hasGrown(): boolean;
  mark(): void;
}

/** Takes the files from the pipeline's checkpoint, as it is when the watch begins. */
export function watchLogs(pipelineDir: string): LogGrowth {
  const paths = pathsIn(join(pipelineDir, "checkpoint.json"));
  const sizes = new Map(paths.map((path) => [path, sizeOf(path)]));
  return {
    hasGrown: () => paths.some((path) => sizeOf(path) > (sizes.get(path) ?? 0)),
    mark() {
      for (const path of paths) sizes.set(path, sizeOf(path));
    },
  };
}

function pathsIn(checkpoint: string): readonly string[] {
  try {
    const { marks } = JSON.parse(readFileSync(checkpoint, "utf8")) as { marks?: readonly unknown[] };
    const paths = (marks ?? []).flatMap((mark) => {
      const { kind, path, done } = mark as { kind?: unknown; path?: unknown; done?: unknown };
      return kind === "file" && typeof path === "string" && done !== true ? [path] : [];
    });
    return [...new Set(paths)].slice(0, filesMax);
  } catch {
    // No checkpoint yet: nothing was read before, so nothing can be missed.
    return [];
  }
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    // Rotated away: it grows no more.
    return 0;
  }
}
