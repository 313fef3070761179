import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { auditIdOf } from "./log-files.ts";
import type { GeneratedLine } from "./stream.ts";

export interface ReplayOptions {
  readonly file: string;
  /** Start again at the end, for ever, with fresh auditIDs each time round. */
  readonly loop: boolean;
  /** Makes the fresh auditIDs of this run differ from those of another one. */
  readonly seed: string;
}

/**
 * The lines of a recorded audit log, in order. The first time round they are what was recorded, byte for byte, with
 * their old times and ids and with any line that is no JSON.
 */
export async function* replayLines(options: ReplayOptions): AsyncIterable<GeneratedLine> {
  for (let round = 0; round === 0 || options.loop; round += 1) {
    let seen = 0;
    const input = createReadStream(options.file);
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      if (line === "") continue;
      seen += 1;
      yield round === 0
        ? { auditId: auditIdOf(line) ?? "", line }
        : renamed(line, `${options.seed}/${round}`);
    }
    if (seen === 0) throw new Error(`Nothing to replay: ${options.file} has no lines`);
  }
}

/**
 * The same line under another auditID. Lines that share an id keep sharing one, as the stages of one request do. Ids
 * are replaced in the text, so that nothing else of the recorded line changes.
 */
export function renamed(line: string, salt: string): GeneratedLine {
  const auditId = auditIdOf(line);
  if (auditId === undefined) return { auditId: "", line };
  const digest = createHash("sha256").update(`${salt}/${auditId}`).digest("hex");
  const fresh = `${digest.slice(0, 8)}-${digest.slice(8, 12)}-4${digest.slice(13, 16)}-8${digest.slice(17, 20)}-${digest.slice(20, 32)}`;
  // After its key, because a client may choose an Audit-ID that also stands elsewhere in the line.
  const quoted = JSON.stringify(auditId);
  const at = line.indexOf(quoted, line.indexOf('"auditID"') + '"auditID"'.length);
  if (at < 0) return { auditId, line };
  return { auditId: fresh, line: `${line.slice(0, at)}"${fresh}"${line.slice(at + quoted.length)}` };
}
