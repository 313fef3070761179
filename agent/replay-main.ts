import * as fs from "node:fs";
import { join } from "node:path";
import { AgentError, problemOf } from "./agent-error.ts";
import { pathsOf } from "./config.ts";
import { isLocked } from "./lock.ts";
import { readEdited } from "./replay-edited.ts";
import {
  idOf,
  listRequests,
  readRequest,
  readResults,
  replayFolder,
  requestEntriesMax,
  writeRequest,
} from "./pipeline/replay-request.ts";
import type { ReplayEntry, ReplayResult } from "./pipeline/replay-request.ts";
import { choose } from "./replay-choice.ts";
import type { ParkedSummary, ReplayChoice } from "./replay-choice.ts";

/** What whoever starts this process wants, as JSON in its first argument. */
export interface ReplayArguments extends ReplayChoice {
  readonly stateDir: string;
  /** `list` counts, `export` writes what is meant to a file, `replay` asks the agent to send it. */
  readonly act: "list" | "export" | "replay";
  /** Of `export`: the file, which must not be there yet. */
  readonly exportTo?: string;
  /** Of `replay`: a file with edited entries, which are meant and nothing else. */
  readonly edited?: string;
}

/** What it answers, as JSON on standard output. */
export interface ReplayAnswer extends ParkedSummary {
  readonly chosen: number;
  /** Whether an agent works in the state directory now. */
  readonly agent: "running" | "away";
  /** Entries of requests that the agent did not finish yet. */
  readonly waiting: number;
  readonly results: readonly ReplayResult[];
}

/** Bytes of edited lines in one request. */
const requestLineBytes = 16 * 1024 * 1024;

async function run(options: ReplayArguments): Promise<ReplayAnswer> {
  const { pipeline, lock } = pathsOf(options.stateDir);
  if (!fs.existsSync(join(pipeline, "dead-letter"))) {
    const next = "give the directory in which an agent works (its FALCONRY_STATE_DIR)";
    throw new AgentError("replay/no-state", `${options.stateDir} holds no dead letters: ${next}`);
  }
  const entries: ReplayEntry[] = options.edited === undefined ? [] : readEdited(options.edited);
  const lines: string[] = [];
  const summary = choose(join(pipeline, "dead-letter"), options, (ref, entry) => {
    if (options.act === "replay" && options.edited === undefined) entries.push(ref);
    if (options.act === "export") lines.push(JSON.stringify({ id: idOf(ref), ...entry }));
  });
  const folder = replayFolder(pipeline);
  if (options.act === "export") writeExport(options.exportTo ?? "", lines);
  if (options.act === "replay") await request(pipeline, folder, entries);
  const waiting = listRequests(folder).reduce((sum, name) => {
    const found = readRequest(folder, name);
    return sum + ("why" in found ? 0 : found.length);
  }, 0);
  return {
    ...summary,
    chosen:
      options.edited === undefined ? summary.groups.reduce((sum, g) => sum + g.count, 0) : entries.length,
    agent: isLocked(lock) ? "running" : "away",
    waiting,
    results: readResults(folder),
  };
}

function writeExport(path: string, lines: readonly string[]): void {
  try {
    fs.writeFileSync(path, lines.map((line) => `${line}\n`).join(""), { flag: "wx", mode: 0o600 });
  } catch (error) {
    throw new AgentError("replay/export", `Cannot write ${path}: ${(error as Error).message}`);
  }
}

/** Writes requests of bounded size, in the order of the entries. The agent has to be able to read them. */
async function request(pipeline: string, folder: string, entries: readonly ReplayEntry[]): Promise<void> {
  const { uid, gid } = fs.statSync(pipeline);
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  const give = (path: string) => {
    if (process.getuid?.() === 0) fs.chownSync(path, uid, gid);
  };
  give(folder);
  const nowMs = Date.now();
  let nth = 0;
  for (let from = 0; from < entries.length;) {
    let to = from;
    for (let bytes = 0; to < entries.length && to - from < requestEntriesMax; to++) {
      bytes += entries[to]?.line?.length ?? 0;
      if (bytes > requestLineBytes && to > from) break;
    }
    give(join(folder, await writeRequest(folder, entries.slice(from, to), nowMs, nth++)));
    from = to;
  }
}

run(JSON.parse(process.argv[2] ?? "{}") as ReplayArguments).then(
  (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`),
  (error: unknown) => {
    const { code, message } = problemOf(error, "replay/failed");
    process.stderr.write(`${code}: ${message}\n`);
    process.exitCode = error instanceof AgentError ? 2 : 1;
  },
);
