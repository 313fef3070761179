import { stopSignal } from "./stop-signal.ts";
import { mkdirSync } from "node:fs";
import { pino } from "pino";
import { AgentError, problemOf } from "./agent-error.ts";
import { readAllowList } from "./allow-list.ts";
import { pathsOf, readConfig } from "./config.ts";
import { giveBackWhenQuiet } from "./give-back-memory.ts";
import { enroll } from "./identity/enroll.ts";
import { readIdentity } from "./identity/identity.ts";
import { lockState } from "./lock.ts";
import { runAgent } from "./run.ts";
import { agentVersion } from "./version.ts";

function makeStateDir(dir: string): void {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new AgentError(
      "config/state-dir",
      `FALCONRY_STATE_DIR ${dir} cannot be used: ${(error as Error).message}. Give a directory that the agent may write`,
    );
  }
}

const usage = `Usage: falconry-agent             run the agent until SIGTERM
       falconry-agent --version   print its version

It is configured by its environment alone; docs/operations.md lists the variables. FALCONRY_STATE_DIR has to be set, and
FALCONRY_JOIN_FILE for the first start.
`;

/** What a person asked instead of running it; nothing secret ever comes from the command line. */
function answerTo(args: readonly string[]): number | undefined {
  const [word] = args;
  if (word === undefined) return undefined;
  const isVersion = word === "--version";
  const isHelp = word === "--help" || word === "-h";
  if (isVersion || isHelp) process.stdout.write(isVersion ? `falconry-agent ${agentVersion}\n` : usage);
  else process.stderr.write(`falconry-agent does not know "${word.slice(0, 80)}"\n${usage}`);
  return isVersion || isHelp ? 0 : 2;
}

/** Exit codes: 1 refused, 2 wrong configuration, 4 bug. */
async function main(): Promise<void> {
  const answer = answerTo(process.argv.slice(2));
  if (answer !== undefined) {
    process.exitCode = answer;
    return;
  }
  const read = readConfig(process.env);
  if ("problems" in read) {
    process.stderr.write(`The agent is not configured:\n${read.problems.map((p) => `  ${p}\n`).join("")}`);
    process.exitCode = 2;
    return;
  }
  const { config } = read;
  const log = pino({ level: config.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime });
  const paths = pathsOf(config.stateDir);
  makeStateDir(config.stateDir);
  // Before the join token is spent: an agent that may not start should not be enrolled.
  readAllowList(config.allowListFile);
  const unlock = lockState(paths.lock);
  // Until there is something to close: a key that was made is kept, and enrols the next time.
  let stop = async (): Promise<void> => {};
  const end = async (): Promise<void> => {
    const signal: unknown = stopSignal.reason;
    log.info({ signal }, "stopping: delivering what can be delivered, the rest stays on disk");
    await stop();
    unlock();
    log.info("stopped");
    process.exit(0);
  };
  // A start that fails meanwhile says why, as it would have without the signal.
  stopSignal.addEventListener("abort", () => void end().catch(fail));

  const known = readIdentity(paths.identity);
  const identity = known ?? (await enroll(config, log, stopSignal));
  if (known === undefined) log.info({ clusterId: identity.clusterId, agentId: identity.agentId }, "enrolled");
  log.info({ version: agentVersion, cluster: identity.clusterName, server: identity.server }, "agent starts");
  const starting = runAgent(config, identity, log);
  // Who stops it in the middle of its start lets it close in order: three ends without that, and a bundle counts as one that kills agents.
  stop = async () => (await starting).stop();
  await starting;
  giveBackWhenQuiet();
}

function fail(error: unknown): never {
  if (error instanceof AgentError) {
    process.stderr.write(`${error.code}: ${error.message}\n`);
    process.exit(error.code.startsWith("config/") ? 2 : 1);
  }
  const { code, message } = problemOf(error, "agent/bug");
  if (code.startsWith("disk/")) {
    const place = process.env["FALCONRY_STATE_DIR"] ?? "";
    process.stderr.write(`${code}: ${message}. The state directory is ${place}\n`);
    process.exit(1);
  }
  process.stderr.write(
    `This is a bug in the agent: ${error instanceof Error ? error.stack : String(error)}\n`,
  );
  process.exit(4);
}

main().catch(fail);
