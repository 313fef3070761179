import * as fs from "node:fs";
import { join } from "node:path";
import { codeOf, replaceFile } from "./files.ts";
import type { ParkedRef } from "./parked.ts";

/** An entry of the dead letters that is to be sent again, with the text that replaces it if it was edited. */
export interface ReplayEntry extends ParkedRef {
  readonly line?: string;
}

/** What became of a request. */
export interface ReplayResult {
  readonly request: string;
  readonly finishedAt: string;
  /** Entries that are on an output's queue, or delivered. */
  readonly queued: number;
  /** Entries that an earlier request sent. */
  readonly already: number;
  /** Entries that stay where they are. */
  readonly skipped: number;
  /** Some of those, with the reason. */
  readonly examples: readonly { readonly id: string; readonly why: string }[];
}

/** Bounds of one request: whoever has more writes several. */
export const requestEntriesMax = 10_000;
export const requestBytesMax = 64 * 1024 * 1024;
const resultsMax = 20;

const requestName = /^\d{13}-\d{6}-\d+\.json$/;

export function replayFolder(pipelineDir: string): string {
  return join(pipelineDir, "replay");
}

/** What names an entry towards people. */
export function idOf({ file, offset, length }: ParkedRef): string {
  return `${file}:${offset}:${length}`;
}

export function parseId(id: string): ParkedRef | undefined {
  const [, file, offset, length] = /^(parked-\d{10,}\.jsonl):(\d{1,15}):(\d{1,9})$/.exec(id) ?? [];
  if (file === undefined) return undefined;
  return { file, offset: Number(offset), length: Number(length) };
}

/** Names of requests that wait, the oldest first. */
export function listRequests(dir: string): string[] {
  return namesIn(dir)
    .filter((name) => requestName.test(name))
    .sort();
}

/** Writes a request so that the agent finds it whole or not at all. */
export async function writeRequest(
  dir: string,
  entries: readonly ReplayEntry[],
  nowMs: number,
  nth: number,
): Promise<string> {
  const name = `${String(nowMs).padStart(13, "0")}-${String(nth).padStart(6, "0")}-${process.pid}.json`;
  await replaceFile(join(dir, name), `${JSON.stringify({ format: 1, entries })}\n`);
  return name;
}

/** The entries of a request, or why it cannot be used. */
export function readRequest(dir: string, name: string): readonly ReplayEntry[] | { readonly why: string } {
  const path = join(dir, name);
  let value: { format?: unknown; entries?: unknown } | null;
  try {
    if (fs.statSync(path).size > requestBytesMax) return { why: `it has more than ${requestBytesMax} bytes` };
    value = JSON.parse(fs.readFileSync(path, "utf8")) as typeof value;
  } catch (error) {
    if (error instanceof SyntaxError) return { why: `it is no JSON: ${error.message}` };
    // The agent finished it just now.
    if (codeOf(error) === "ENOENT") return { why: "it is not there any more" };
    throw error;
  }
  if (value?.format !== 1 || !Array.isArray(value.entries) || !value.entries.every(isReplayEntry)) {
    return { why: "it is no list of entries" };
  }
  if (value.entries.length > requestEntriesMax) {
    return { why: `it has more than ${requestEntriesMax} entries` };
  }
  return value.entries;
}

/** Notes what became of a request, takes it away, and forgets all but the last results. */
export async function finishRequest(dir: string, result: ReplayResult): Promise<void> {
  const results = resultNames(dir);
  for (const name of results.slice(0, Math.max(0, results.length + 1 - resultsMax))) {
    fs.rmSync(join(dir, name), { force: true });
  }
  const path = join(dir, result.request.replace(/\.json$/, ".result"));
  await replaceFile(path, `${JSON.stringify(result)}\n`);
  fs.rmSync(join(dir, result.request), { force: true });
}

export function readResults(dir: string): ReplayResult[] {
  return resultNames(dir).map((name) => JSON.parse(fs.readFileSync(join(dir, name), "utf8")) as ReplayResult);
}

function resultNames(dir: string): string[] {
  return namesIn(dir)
    .filter((name) => name.endsWith(".result"))
    .sort();
}

function namesIn(dir: string): string[] {
  try {
    return fs.readdirSync(dir);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return [];
    throw error;
  }
}

function isReplayEntry(value: unknown): value is ReplayEntry {
  if (typeof value !== "object" || value === null) return false;
  const { file, offset, length, line } = value as Partial<Record<keyof ReplayEntry, unknown>>;
  return (
    typeof file === "string" &&
    [offset, length].every((one) => Number.isSafeInteger(one) && (one as number) >= 0) &&
    (line === undefined || typeof line === "string")
  );
}
