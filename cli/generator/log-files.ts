import { createReadStream, readdirSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { createInterface } from "node:readline";

/** The name lumberjack, which rotates for the kube-apiserver, gives a full file: `audit-2026-11-23T08-48-11.123.log`. */
export function rotatedName(file: string, at: Date): string {
  const extension = extname(file);
  const stem = basename(file, extension);
  const stamp = at.toISOString().slice(0, -1).replaceAll(":", "-");
  return join(dirname(file), `${stem}-${stamp}${extension}`);
}

/** The rotated files beside `file`, oldest first. */
export function rotatedFiles(file: string): readonly string[] {
  const extension = extname(file);
  const stem = basename(file, extension);
  const pattern = /^-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}$/;
  return readdirSync(dirname(file))
    .filter((name) => name.startsWith(stem) && name.endsWith(extension))
    .filter((name) => pattern.test(name.slice(stem.length, name.length - extension.length)))
    .sort()
    .map((name) => join(dirname(file), name));
}

/**
 * Every auditID in a log and its rotated files, in order, once per line. Lines that are no JSON are skipped, as every
 * reader must: a kill may cut one.
 */
export async function* auditIdsIn(file: string): AsyncIterable<string> {
  for (const part of [...rotatedFiles(file), file]) {
    const lines = createInterface({ input: createReadStream(part), crlfDelay: Number.POSITIVE_INFINITY });
    for await (const line of lines) {
      const id = auditIdOf(line);
      if (id !== undefined) yield id;
    }
  }
}

/** All of `auditIdsIn` at once, for logs that fit into memory. */
export async function allAuditIdsIn(file: string): Promise<readonly string[]> {
  const ids: string[] = [];
  for await (const id of auditIdsIn(file)) ids.push(id);
  return ids;
}

/** The auditID of one line; undefined where the line is no event. */
export function auditIdOf(line: string): string | undefined {
  try {
    const event: unknown = JSON.parse(line);
    if (typeof event !== "object" || event === null || !("auditID" in event)) return undefined;
    return typeof event.auditID === "string" ? event.auditID : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
