import * as fs from "node:fs";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { codeOf } from "./files.ts";
import { segmentIds, segmentPath } from "./queue-files.ts";
import { readEvents } from "./ring-block.ts";
import type { RingEvent } from "./ring-block.ts";
import { findBlocks, readPacked } from "./ring-files.ts";
import type { FoundBlock } from "./ring-files.ts";

/** From one moment to before another, in milliseconds since 1970. */
export interface Span {
  readonly sinceMs: number;
  readonly untilMs: number;
}

/** What there is to read of a span, as it was when somebody looked. */
export interface RingContents {
  /** Compressed bytes, to say how far a reader is. */
  readonly bytes: number;
  /** Of all events in the ring, also those outside the span; undefined when it is empty. */
  readonly oldestMs: number | undefined;
  /** Gives the events of the span, block after block, in the order in which each writer had them. */
  blocks(): Generator<RingPart>;
}

export interface RingPart {
  readonly bytes: number;
  readonly events: readonly RingEvent[];
  /** Events that could not be read: damaged, or evicted since somebody looked. */
  readonly missing: number;
}

interface Place {
  readonly path: string;
  readonly blocks: readonly FoundBlock[];
}

/** Looks at the rings of all writers in a folder; they may go on writing. A folder that is not there is an empty ring. */
export function openRing(folder: string, span: Span): RingContents {
  let oldestMs: number | undefined;
  const places = filesIn(folder).flatMap((path): Place[] => {
    const all = withFile(path, (fd) => findBlocks(fd, fs.fstatSync(fd).size, false)) ?? [];
    for (const block of all) oldestMs = Math.min(oldestMs ?? block.oldestMs, block.oldestMs);
    const blocks = all.filter((block) => block.newestMs >= span.sinceMs && block.oldestMs < span.untilMs);
    return blocks.length === 0 ? [] : [{ path, blocks }];
  });
  const bytes = places.flatMap(({ blocks }) => blocks).reduce((sum, { length }) => sum + length, 0);
  return {
    bytes,
    oldestMs,
    *blocks() {
      for (const { path, blocks } of places) {
        for (const block of blocks) yield readPart(path, block, span);
      }
    },
  };
}

function readPart(path: string, block: FoundBlock, { sinceMs, untilMs }: Span): RingPart {
  const { length: bytes, count } = block;
  const packed = withFile(path, (fd) => readPacked(fd, block));
  if (packed === undefined) return { bytes, events: [], missing: count };
  const content = zstdDecompressSync(packed, { maxOutputLength: block.rawLength });
  const events = [...readEvents(content)].filter(({ timeMs }) => timeMs >= sinceMs && timeMs < untilMs);
  return { bytes, events, missing: 0 };
}

function filesIn(folder: string): readonly string[] {
  const writers = fs.existsSync(folder) ? fs.readdirSync(folder).toSorted() : [];
  return writers.flatMap((writer) => {
    const dir = join(folder, writer);
    try {
      return segmentIds(dir, "seg").map((id) => segmentPath(dir, id));
    } catch (error) {
      if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return [];
      throw error;
    }
  });
}

/** Undefined when the file is gone. */
function withFile<T>(path: string, read: (fd: number) => T): T | undefined {
  let fd: number;
  try {
    fd = fs.openSync(path, "r");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
  try {
    return read(fd);
  } finally {
    fs.closeSync(fd);
  }
}
