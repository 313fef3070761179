import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Place } from "./place.ts";

/** The first process of a running cluster. */
export interface Postmaster {
  readonly pid: number;
  /** Resolves, and says how, once the process is gone. Never rejects. */
  readonly gone: Promise<string>;
}

/** The command line of a cluster. Two servers are the same if and only if these are equal. */
export function commandLine(
  program: string,
  place: Place,
  settings: Readonly<Record<string, string>>,
): string[] {
  const all = { ...settings, listen_addresses: "", unix_socket_directories: place.sockets };
  const options = Object.entries(all).flatMap(([key, value]) => ["-c", `${key}=${value}`]);
  return [program, "-D", place.data, ...options];
}

/** Starts a server in a session of its own: a Ctrl-C in the terminal is for us, and we stop it in order. */
export function spawnPostmaster(command: readonly string[], place: Place): Promise<Postmaster> {
  const [program = "", ...args] = command;
  const log = openSync(place.log, "a", 0o600);
  const child = spawn(program, args, {
    ...place.account.switchTo,
    cwd: "/",
    detached: true,
    stdio: ["ignore", log, log],
    env: { LC_ALL: "C", PATH: "/usr/bin:/bin" },
  });
  closeSync(log);
  child.unref();
  const gone = new Promise<string>((resolve) => {
    child.once("exit", (code, signal) => resolve(signal === null ? `exit code ${code}` : signal));
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("spawn", () => resolve({ pid: child.pid ?? 0, gone }));
  });
}

/** What `postmaster.pid` in the cluster points to. A pid alone proves nothing: numbers are used again. */
export type Found =
  | { readonly kind: "none" }
  | { readonly kind: "same"; readonly postmaster: Postmaster }
  | { readonly kind: "other"; readonly postmaster: Postmaster };

/** Looks for a server that still runs on this cluster, left by a supervisor that died. */
export function findPostmaster(command: readonly string[], place: Place): Found {
  const pid = readPid(join(place.data, "postmaster.pid"));
  const running = pid === undefined ? undefined : readCommandLine(pid);
  if (pid === undefined || running === undefined || !serves(running, place.data)) return { kind: "none" };
  const postmaster = { pid, gone: watch(pid, running) };
  const isSame = running.join("\0") === command.join("\0") && readExecutable(pid) === command[0];
  return { kind: isSame ? "same" : "other", postmaster };
}

/** Ends a server: in order, then at once (which costs a recovery at the next start, no data), then by force. */
export async function stopPostmaster(postmaster: Postmaster, deadlineMs: number): Promise<void> {
  const steps: readonly (readonly [NodeJS.Signals, number])[] = [
    ["SIGINT", deadlineMs],
    ["SIGQUIT", 5_000],
    ["SIGKILL", 5_000],
  ];
  for (const [signal, waitMs] of steps) {
    if (!send(postmaster.pid, signal)) return;
    if (await within(postmaster.gone, waitMs)) return;
  }
}

/** Whether `promise` settles in time. Leaves no timer behind. */
export async function within(promise: Promise<unknown>, waitMs: number): Promise<boolean> {
  const timer = new AbortController();
  const late = delay(waitMs, false, { signal: timer.signal }).catch(() => false);
  const inTime = await Promise.race([promise.then(() => true), late]);
  timer.abort();
  return inTime;
}

function send(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    throw error;
  }
}

function readPid(file: string): number | undefined {
  try {
    const pid = Number(readFileSync(file, "utf8").split("\n", 1)[0]);
    return Number.isInteger(pid) && pid > 1 ? pid : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** The arguments of a process; undefined when it is gone, or a zombie (which has none). */
function readCommandLine(pid: number): string[] | undefined {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
    return words.length === 0 ? undefined : words;
  } catch {
    return undefined; // Gone between two looks: the same as never there.
  }
}

function readExecutable(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/exe`); // Ends in " (deleted)" when the file was replaced.
  } catch {
    return undefined;
  }
}

function serves(words: readonly string[], data: string): boolean {
  return /(^|\/)postgres$/.test(words[0] ?? "") && words[1] === "-D" && words[2] === data;
}

async function watch(pid: number, words: readonly string[]): Promise<string> {
  const want = words.join("\0");
  while (readCommandLine(pid)?.join("\0") === want) await delay(250, undefined, { ref: false });
  return "it is gone";
}
