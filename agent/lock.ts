import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { AgentError } from "./agent-error.ts";

/**
 * Makes sure that one agent works in a state directory: two would write the same queues and checkpoints. A lock whose
 * process is gone (kill -9) is taken over.
 */
export function lockState(file: string): () => void {
  for (let attempt = 0; attempt < 3; attempt += 1) {
    try {
      writeFileSync(file, identityOf(process.pid) ?? "", { flag: "wx", mode: 0o600 });
      return () => rmSync(file, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const holder = readFileSync(file, "utf8");
    const pid = Number(holder.split(" ")[0]);
    if (holder !== "" && identityOf(pid) === holder && pid !== process.pid) {
      throw new AgentError(
        "state/in-use",
        `Another agent (process ${pid}) works in this state directory: stop it, or set FALCONRY_STATE_DIR to another directory. The lock is ${file}`,
      );
    }
    rmSync(file, { force: true });
  }
  throw new AgentError(
    "state/in-use",
    `Could not take the lock ${file}: another agent starts at the same time`,
  );
}

/** The process number with its start time, so that a later process with the same number is not taken for it. */
function identityOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return `${pid} ${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]}`;
  } catch {
    return undefined;
  }
}
