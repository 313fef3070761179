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

/** Runs until a signal comes, drains, and lets the process end by itself. */
async function runServer(): Promise<void> {
  const config = readConfig(process.env);
  keepHeapClose();
  const log = createLog(config.logLevel, config.org);
  const { serve } = await import("./serve.ts");
  const server = await serve(config, log);
  const { host, port } = server.publicAddress;
  log.info(
    { server: server.id, port: server.port, address: `${host}:${port}`, caPin: server.caPin },
    "listening",
  );
  const stop = (signal: NodeJS.Signals) => {
    log.info({ signal }, "draining");
    server.stop().then(
      () => log.info("stopped"),
      (error: unknown) => fail(error),
    );
  };
  // A second signal ends the process at once: the handler is gone by then.
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
}

async function main(args: readonly string[]): Promise<void> {
  const [command, ...rest] = args;
  if (command === undefined) return runServer();
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
