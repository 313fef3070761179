import * as fs from "node:fs";
import { AgentError } from "./agent-error.ts";
import { parseId } from "./pipeline/replay-request.ts";
import type { ReplayEntry } from "./pipeline/replay-request.ts";

const bytesMax = 256 * 1024 * 1024;
const lineBytesMax = 16 * 1024 * 1024;
const problemsMax = 10;

/** Entries as they were exported, with a `line` that somebody edited. All or nothing: what is wrong is said at once. */
export function readEdited(path: string): ReplayEntry[] {
  let text: string;
  try {
    if (fs.statSync(path).size > bytesMax) throw new Error(`it has more than ${bytesMax} bytes`);
    text = fs.readFileSync(path, "utf8");
  } catch (error) {
    throw new AgentError("replay/edited", `Cannot read ${path}: ${(error as Error).message}`);
  }
  const problems: string[] = [];
  const entries: ReplayEntry[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const entry = readEntry(line);
    if (typeof entry === "string") problems.push(`${path}:${index + 1}: ${entry}`);
    else entries.push(entry);
  }
  if (problems.length === 0) return entries;
  const more = problems.length > problemsMax ? `\nand ${problems.length - problemsMax} more` : "";
  const list = problems.slice(0, problemsMax).join("\n");
  throw new AgentError("replay/edited", `The edited entries cannot be used:\n${list}${more}`);
}

function readEntry(text: string): ReplayEntry | string {
  const entry: { id?: unknown; line?: unknown } | undefined = parse(text);
  if (entry === undefined) return "It is no JSON object";
  const ref = typeof entry.id === "string" ? parseId(entry.id) : undefined;
  if (ref === undefined) return '"id" is not one of an exported entry: leave it as it was';
  const { line } = entry;
  if (typeof line !== "string") return '"line" is missing: it has to hold the record as text';
  if (line.includes("\n") || parse(line) === undefined) {
    return '"line" holds no record: it has to be one JSON object on one line';
  }
  if (Buffer.byteLength(line) > lineBytesMax) return `"line" has more than ${lineBytesMax} bytes`;
  return { ...ref, line };
}

function parse(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
