import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { runFleetctl } from "../../cli/fleetctl.ts";
import { plain } from "../../cli/output/text.ts";
import type { Screen } from "../../cli/screen.ts";
import { programArgs } from "./built-programs.ts";

/** What a command line did. */
export interface CliResult {
  readonly code: number;
  readonly out: string;
  readonly talk: string;
}

export interface CliOptions {
  /** Standard input. */
  readonly input?: string;
  /** Pretend that standard output is a terminal. */
  readonly terminal?: boolean;
  /** Milliseconds since 1970 for ages; the real clock if not given. */
  readonly now?: number;
  /** Interrupts the command as Ctrl-C would. */
  readonly interrupt?: AbortSignal;
  /** Sees the standard output as it grows. */
  readonly onOut?: (all: string) => void;
  readonly secret?: string;
  /** Is given what presses a key. */
  readonly onKeys?: (press: (key: string) => void) => void;
  /** Sees what the command tells beside its answer, as it grows. */
  readonly onTalk?: (all: string) => void;
  /** Plays the browser. */
  readonly onBrowse?: (url: string) => void;
}

/** Runs `fleetctl` in this process, before a screen that remembers. `process.env` is the environment. */
export async function runCli(argv: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  let out = "";
  let talk = "";
  const screen: Screen = {
    out: (chunk) => {
      out += chunk;
      options.onOut?.(out);
    },
    talk: (chunk) => {
      talk += chunk;
      options.onTalk?.(talk);
    },
    readInput: async (bytesMax) => {
      const bytes = Buffer.from(options.input ?? "");
      return bytes.length > bytesMax ? undefined : bytes;
    },
    input: async function* () {
      yield Buffer.from(options.input ?? "");
    },
    drained: async () => {},
    inputIsTerminal: options.secret !== undefined,
    outIsTerminal: options.terminal ?? false,
    columns: 120,
    rows: 40,
    paint: plain,
    now: () => options.now ?? Date.now(),
    keys: (pressed) => {
      options.onKeys?.(pressed);
      return () => {};
    },
    askSecret: async () => options.secret ?? "",
    openBrowser: (url) => options.onBrowse?.(url),
    interruptible: (work) => work(options.interrupt ?? new AbortController().signal),
  };
  const code = await runFleetctl(argv, screen);
  return { code, out, talk };
}

/** Runs `fleetctl` as a process of its own, as a person does. */
export async function spawnCli(
  argv: readonly string[],
  options: { readonly env?: NodeJS.ProcessEnv; readonly input?: string } = {},
): Promise<CliResult> {
  const env = { ...process.env, ...options.env };
  const child = spawn(process.execPath, [...programArgs("fleetctl"), ...argv], { env, stdio: "pipe" });
  child.stdin.end(options.input ?? "");
  const [out, talk, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "exit"),
  ]);
  return { code: code as number, out, talk };
}

/** A directory that is gone when the test is. */
export async function temporaryDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "falconry-cli-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** Points `FLEETCTL_CONFIG` at a contexts file with one context, for this process, until the test ends. */
export async function useContext(
  t: TestContext,
  context: { readonly server: string; readonly ca: string; readonly token: string },
): Promise<string> {
  const file = join(await temporaryDirectory(t), "contexts.json");
  await writeFile(file, JSON.stringify({ current: "test", contexts: { test: context } }), { mode: 0o600 });
  setEnv(t, "FLEETCTL_CONFIG", file);
  return file;
}

/** Which variables a test has changed. */
const changed = new WeakMap<TestContext, Set<string>>();

/** Sets an environment variable of this process until the test ends. */
export function setEnv(t: TestContext, name: string, value: string): void {
  const before = process.env[name];
  process.env[name] = value;
  const names = changed.get(t) ?? new Set();
  changed.set(t, names);
  // What was there first comes back, however often the test sets it: hooks run in the order of their registration.
  if (names.has(name)) return;
  names.add(name);
  t.after(() => {
    if (before === undefined) delete process.env[name];
    else process.env[name] = before;
  });
}
