import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { AgentError } from "./agent-error.ts";

/**
 * Makes sure that one agent works in a state directory: two would write the same queues and checkpoints. A lock whose
 * process is gone (kill -9) is taken over.
 */
export function lockState(file: string): () => void {
  for (let attempt = 0; attempt < 3; attempt += 1) {
    if (take(file)) return () => release(file);
    const holder = contentOf(file);
    const pid = Number(holder?.split(" ")[0]);
    if (isAlive(holder) && pid !== process.pid) {
      throw new AgentError(
        "state/in-use",
        `Another agent (process ${pid}) works in this state directory: stop it, or set FALCONRY_STATE_DIR to another directory. The lock is ${file}`,
      );
    }
    removeStale(file);
  }
  throw new AgentError(
    "state/in-use",
    `Could not take the lock ${file}: another agent starts at the same time`,
  );
}

/** Whether an agent works in the state directory now. */
export function isLocked(file: string): boolean {
  return isAlive(contentOf(file));
}

/** Creates the lock with its content in one step: nobody ever sees one that is empty. */
function take(file: string): boolean {
  const own = `${file}.${process.pid}`;
  writeFileSync(own, identityOf(process.pid) ?? "", { mode: 0o600 });
  try {
    linkSync(own, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(own, { force: true });
  }
}

/** Takes the lock aside and looks once more: another agent may have replaced it since it was read. */
function removeStale(file: string): void {
  const aside = `${file}.stale.${process.pid}`;
  try {
    renameSync(file, aside);
    const holder = contentOf(aside);
    if (isAlive(holder) && holder !== identityOf(process.pid)) linkSync(aside, file);
  } catch (error) {
    // Somebody else took it aside, or is there again already: the next attempt sees who.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT" && code !== "EEXIST") throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}

function release(file: string): void {
  if (contentOf(file) === identityOf(process.pid)) rmSync(file, { force: true });
}

function isAlive(holder: string | undefined): boolean {
  return holder !== undefined && holder !== "" && identityOf(Number(holder.split(" ")[0])) === holder;
}

function contentOf(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
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
