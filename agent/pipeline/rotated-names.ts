import { extname } from "node:path";

/** Compressions that can be read on. */
export type Packing = "gz" | "zst";

const packed = /\.(?:gz|bz2|xz|zst|lz4|zip|Z)$/;
/** What rotation puts behind a name, or before its extension: `.1`, `-20261122`, `-2026-11-22T10-00-00.000`. */
const numbered = /^[.-][0-9][0-9TZ:._-]*$/;
const nameLengthMax = 255;

export function isPacked(name: string): boolean {
  return packed.test(name);
}

/** How a file is packed when it can be unpacked here; undefined also for those that cannot. */
export function packingOf(name: string): Packing | undefined {
  return name.endsWith(".gz") ? "gz" : name.endsWith(".zst") ? "zst" : undefined;
}

/** The names that a file may have had before rotation gave it this one; none for a name that no rotation gives. */
export function namesBeforeRotation(rotated: string): readonly string[] {
  if (rotated.length > nameLengthMax) return [];
  const name = rotated.replace(packed, "");
  const found = new Set<string>();
  // `audit.log.gz` is `audit.log`, compressed where it stood.
  if (name !== rotated) found.add(name);
  for (const at of suffixStarts(name)) found.add(name.slice(0, at));
  const extension = extname(name);
  const stem = name.slice(0, name.length - extension.length);
  if (extension !== "") for (const at of suffixStarts(stem)) found.add(stem.slice(0, at) + extension);
  return [...found].filter((before) => before !== "");
}

/** Where something begins that rotation may have put behind a name. */
function suffixStarts(name: string): readonly number[] {
  const starts: number[] = [];
  for (let at = name.length - 2; at > 0; at--) {
    const isStart = (name[at] === "." || name[at] === "-") && numbered.test(name.slice(at));
    if (isStart) starts.push(at);
    else if (!/[0-9TZ:._-]/.test(name.charAt(at))) break;
  }
  return starts;
}
