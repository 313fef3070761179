import { mkdirSync } from "node:fs";
import { pino } from "pino";
import { AgentError, problemOf } from "./agent-error.ts";
import { readAllowList } from "./allow-list.ts";
import { pathsOf, readConfig } from "./config.ts";
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

/** Exit codes: 1 refused, 2 wrong configuration, 4 bug. */
async function main(): Promise<void> {
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
  const stopping = new AbortController();
  let stop = async (): Promise<void> => process.exit(0);
  const onSignal = (signal: NodeJS.Signals) => {
    if (stopping.signal.aborted) return;
    stopping.abort();
    log.info({ signal }, "stopping: delivering what can be delivered, the rest stays on disk");
    void stop().then(() => {
      unlock();
      log.info("stopped");
      process.exit(0);
    });
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);

  const known = readIdentity(paths.identity);
  const identity = known ?? (await enroll(config, log, stopping.signal));
  if (known === undefined) log.info({ clusterId: identity.clusterId, agentId: identity.agentId }, "enrolled");
  log.info({ version: agentVersion, cluster: identity.clusterName, server: identity.server }, "agent starts");
  const agent = await runAgent(config, identity, log);
  stop = () => agent.stop();
}

main().catch((error: unknown) => {
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
});
