import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { openState, type State } from "../../server/state.ts";
import { programArgs } from "../support/built-programs.ts";
import { bareEnv } from "../support/bare-env.ts";

/** The real server as a process of its own, so that what kills it kills a process and not a test. */
export interface ServerProcess {
  readonly pid: number;
  /** Its state directory. */
  readonly dir: string;
  readonly port: number;
  readonly baseUrl: string;
  readonly ca: string;
  readonly state: State;
  readonly databaseUrl: string;
  isAlive(): boolean;
  /** What the log and standard error hold, in bytes. */
  loggedBytes(): number;
  residentMiB(): number;
  /** All that was cut or refused, by reason. */
  refused(): Promise<Readonly<Record<string, number>>>;
  /** Ends it without a word, and leaves its state directory to a successor. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

export interface ServerOptions {
  /** The state directory of a server that was killed, to go on from. */
  readonly dir?: string;
  /** For node itself, for example a profiler. */
  readonly nodeArgs?: readonly string[];
}

export async function startServerProcess(
  databaseUrl: string,
  env: Readonly<Record<string, string>> = {},
  options: ServerOptions = {},
): Promise<ServerProcess> {
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), "falconry-floods-"));
  const child = spawn(process.execPath, [...(options.nodeArgs ?? []), ...programArgs("server")], {
    env: {
      ...bareEnv(),
      FALCONRY_LISTEN: "127.0.0.1:0",
      FALCONRY_STATE_DIR: dir,
      FALCONRY_DRAIN_TIMEOUT: "1s",
      DATABASE_URL: databaseUrl,
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let logged = 0;
  let errors = "";
  child.stderr.on("data", (chunk: Buffer) => {
    logged += chunk.length;
    errors = (errors + chunk.toString()).slice(0, 4_000);
  });
  const listening = Promise.withResolvers<number>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    logged += line.length + 1;
    const { msg, port } = JSON.parse(line) as { msg: string; port?: number };
    if (msg === "listening" && port !== undefined) listening.resolve(port);
  });
  child.once("exit", (code) => listening.reject(new Error(`The server ended with ${code}: ${errors}`)));
  listening.promise.catch(() => undefined);
  const port = await listening.promise;
  const ca = readFileSync(join(dir, "ca", "ca.crt"), "utf8");
  const isAlive = () => child.exitCode === null && child.signalCode === null;
  const end = async (signal: "SIGTERM" | "SIGKILL") => {
    const ended = isAlive() ? once(child, "exit") : Promise.resolve();
    child.kill(signal);
    await ended;
  };
  return {
    pid: child.pid ?? 0,
    dir,
    port,
    baseUrl: `https://localhost:${port}`,
    ca,
    databaseUrl,
    state: await openState(dir, "default", new Date()),
    isAlive,
    loggedBytes: () => logged,
    residentMiB: () => {
      const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
    },
    refused: async () => {
      const text = await fetchText(port, "/metrics", ca);
      const lines = text.matchAll(/^falconry_refused_total\{what="\w+",reason="([^"]+)"\} (\d+)/gm);
      return Object.fromEntries([...lines].map(([, reason = "", count]) => [reason, Number(count)]));
    },
    kill: () => end("SIGKILL"),
    stop: async () => {
      await end("SIGTERM");
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

export function fetchText(port: number, path: string, ca: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: "127.0.0.1", port, path, ca, servername: "localhost", agent: false }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () => resolve(text));
    }).on("error", reject);
  });
}
