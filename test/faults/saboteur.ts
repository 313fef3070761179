/**
 * Loaded with `--import` into an agent's process: makes the pipeline's worker die of a bundle, as a bug in the engine would.
 * What happens is written in the bundle, as `sabotage=MODE` in a comment. Nothing in the agent knows of it.
 */
import { syncBuiltinESMExports } from "node:module";
import { isMainThread } from "node:worker_threads";

type Mode = "exit" | "later" | "event" | "memory" | "kill";

// The module itself, not a view of it: what is put into it is what everybody calls.
const fs = process.getBuiltinModule("node:fs");
const real = { readFileSync: fs.readFileSync, readSync: fs.readSync };
let poisonous = false;

function arm(mode: Mode): void {
  if (mode === "exit") process.exit(13);
  if (mode === "event") poisonous = true;
  if (mode === "later") setTimeout(() => blow("the rules blew up some time after they were loaded"), 300);
  if (mode === "kill") setTimeout(() => process.kill(process.pid, "SIGKILL"), 300);
  if (mode === "memory") {
    const kept: number[][] = [];
    // Doubles, and each array its own: eight megabytes of heap at a time.
    setInterval(() => kept.push(Array<number>(1_000_000).fill(0.5)), 5);
  }
}

function blow(message: string): never {
  throw new Error(message);
}

function readFileSync(...args: Parameters<typeof real.readFileSync>): string | Buffer {
  const content = real.readFileSync(...args);
  const mode = /sabotage=(\w+)/.exec(content.toString())?.[1];
  if (mode !== undefined) arm(mode as Mode);
  return content;
}

function readSync(fd: number, buffer: Buffer, offset: number, length: number, position: number): number {
  const read = real.readSync(fd, buffer, offset, length, position);
  if (poisonous && buffer.includes("poison")) setImmediate(() => blow("the rules blew up over an event"));
  return read;
}

if (!isMainThread) {
  Object.assign(fs, { readFileSync, readSync });
  syncBuiltinESMExports();
}
