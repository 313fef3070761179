import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";

/** A program beside the agent: started, killed and started again, with one log. */
export interface Program {
  start(): void;
  kill(): Promise<void>;
  isRunning(): boolean;
}

export function programOf(
  command: readonly string[],
  logFile: string,
  env: Readonly<Record<string, string>>,
): Program {
  const [program = "", ...args] = command;
  let child: ChildProcess | undefined;
  const isRunning = () => child !== undefined && child.exitCode === null && child.signalCode === null;
  return {
    isRunning,
    start() {
      const log = openSync(logFile, "a");
      child = spawn(program, args, { stdio: ["ignore", log, log], env });
      closeSync(log);
    },
    async kill() {
      if (child === undefined || !isRunning()) return;
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
    },
  };
}
