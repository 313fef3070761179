import { stopSignal, type StopSignal } from "./stop-signal.ts";
import { constants } from "node:os";
import type { Logger } from "pino";
import { PostgresError } from "#postgres";

import packageJson from "../package.json" with { type: "json" };
import { readConfig, variables } from "./config.ts";
import { Failure } from "./failure.ts";
import { keepHeapClose } from "./heap.ts";
import { createLog } from "./log.ts";

/** How people call it, as sources and as a bundle. */
const program = import.meta.filename.endsWith(".ts") ? "node server/main.ts" : "falconry-server";

/** What people see when they ask for help, on standard output. */
function usage(): string {
  const width = Math.max(...variables.map(([name]) => name.length));
  const lines = variables.map(
    ([name, fallback, meaning]) => `  ${name.padEnd(width)}  ${meaning} (default: ${fallback})`,
  );
  return [
    `Usage: ${program}                                       run the server until SIGTERM`,
    `       ${program} admin-token [--name NAME] [--ttl 24h] make an API token with role admin and print it`,
    `       ${program} migrate                               bring the schema up to date and end`,
    "",
    "Environment:",
    ...lines,
  ].join("\n");
}

/** How long a start that is told to end may take to undo what it began. The embedded database has 20 s to write everything down; compose and Kubernetes kill after 30. */
const undoMs = { external: 5_000, embedded: 25_000 };

/** Runs until a signal comes, drains, and lets the process end by itself. */
async function runServer(): Promise<void> {
  const config = readConfig(process.env);
  keepHeapClose();
  const log = createLog(config.logLevel, config.org);
  const { serve } = await import("./serve.ts");
  const lateMs = config.databaseUrl === undefined ? undoMs.embedded : undoMs.external;
  const server = await startOrEnd(log, serve(config, log, { signal: stopSignal }), lateMs);
  if (server === undefined) return;
  const { host, port } = server.publicAddress;
  log.info(
    { server: server.id, port: server.port, address: `${host}:${port}`, caPin: server.caPin },
    "listening",
  );
  const stop = () => {
    log.info({ signal: stopSignal.reason as string }, "draining");
    server.stop().then(
      () => log.info("stopped"),
      (error: unknown) => fail(error),
    );
  };
  if (stopSignal.aborted) stop();
  else stopSignal.addEventListener("abort", stop);
}

/**
 * What was started. Undefined when it was told to end meanwhile: then what it began is undone, and the process ends; also when the database hangs, which
 * lets go of what it did with its connection.
 */
async function startOrEnd<T>(log: Logger, starting: Promise<T>, lateMs: number): Promise<T | undefined> {
  let late: NodeJS.Timeout | undefined;
  const giveUp = () => {
    log.info({ signal: stopSignal.reason as string }, "stopping before it has started");
    late = setTimeout(() => {
      log.warn("stopped, and a part of the start hung");
      process.exit(0);
    }, lateMs);
  };
  if (stopSignal.aborted) giveUp();
  else stopSignal.addEventListener("abort", giveUp);
  try {
    return await starting;
  } catch (error) {
    if (!stopSignal.aborted) throw error;
    // Most often that it was ended; it may be what was in its way before.
    log.info({ why: error instanceof Error ? error.message : String(error) }, "stopped");
    // It ends by itself, so that the last lines are written in their order; an exit would have them overtake one that is being written. Nobody waits
    // for what would keep it.
    setTimeout(() => process.exit(0), 1_000).unref();
    return undefined;
  } finally {
    stopSignal.removeEventListener("abort", giveUp);
    clearTimeout(late);
  }
}

/** Ends a command. What it has not finished the database takes back when its connection breaks. */
function dieBy(signal: StopSignal): never {
  // As if nobody had listened: an exit code of ours would be a failure to systemd, which was told to stop it.
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
  // The first process of a container does not die by a signal of its own.
  return process.exit(128 + constants.signals[signal]);
}

async function main(args: readonly string[]): Promise<void> {
  const [command, ...rest] = args;
  if (command === undefined) return runServer();
  if (stopSignal.aborted) dieBy(stopSignal.reason as StopSignal);
  stopSignal.addEventListener("abort", () => dieBy(stopSignal.reason as StopSignal));
  if (command === "admin-token") {
    const { adminToken } = await import("./admin-token.ts");
    process.stdout.write(`${await adminToken(rest, process.env)}\n`);
    return undefined;
  }
  if (command === "migrate") {
    const { migrateCommand } = await import("./migrate-command.ts");
    process.stdout.write(`${await migrateCommand(rest, process.env)}\n`);
    return undefined;
  }
  if (command === "version" || command === "--version") {
    process.stdout.write(`falconry-server ${packageJson.version}\n`);
    return undefined;
  }
  if (command === "help" || command === "--help" || command === "-h") {
    process.stdout.write(`${usage()}\n`);
    return undefined;
  }
  throw new Failure(`There is no command "${command.slice(0, 80)}"\n${usage()}`, 2);
}

/** One clear line for what a person can mend; the whole error only for a bug. */
function fail(error: unknown): void {
  if (error instanceof Failure) {
    process.stderr.write(`${error.message}\n`);
    process.exit(error.exitCode);
  }
  if (error instanceof PostgresError) {
    process.stderr.write(`${error.message}\n`);
    process.exit(3);
  }
  process.stderr.write(
    `This is a bug in the server: ${error instanceof Error ? error.stack : String(error)}\n`,
  );
  process.exit(4);
}

main(process.argv.slice(2)).catch(fail);
