import type { StoredEntry } from "../segment.ts";

/** Entries as a queue gives them: in one buffer, with other bytes between. */
export function entriesOf(
  batches: readonly (readonly string[])[],
  oldestMs = 1_700_000_000_250,
): StoredEntry[] {
  const gap = "GAP";
  const bodies = batches.map((lines) => lines.map((line) => `${line}\n`).join(""));
  const slab = Buffer.alloc(Buffer.byteLength(bodies.join(gap)) + 10);
  let at = 5;
  return batches.map((lines, index) => {
    const length = slab.write(bodies[index] ?? "", at);
    const body = slab.subarray(at, at + length);
    at += length + slab.write(gap, at + length);
    return {
      tag: `t-${index}`,
      count: lines.length,
      oldestMs,
      body,
      positions: Buffer.alloc(0),
      segment: 1,
      sequence: index,
      end: 0,
    };
  });
}
