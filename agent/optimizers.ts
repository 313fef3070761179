import { setFlagsFromString } from "node:v8";

/** V8's compilers that make code which runs often fast, and which take threads and some 20 MiB for that. */
const optimizers = ["opt", "maglev"];

/** So much has to have been read before it is worth it: some hundreds of events. */
const workBytes = 1024 * 1024;

/**
 * Keeps all threads of this process from optimizing code until there is work. A start is over before optimized code pays, and an agent
 * that has nothing to do would keep the memory that its start took for that.
 */
export function holdOptimizers(): void {
  for (const name of optimizers) setFlagsFromString(`--no-${name}`);
}

/** Has V8 optimize in all threads of this process, also what was compiled before. */
export function releaseOptimizers(): void {
  for (const name of optimizers) setFlagsFromString(`--${name}`);
}

/** Releases once it is told that so many bytes of records have been read since the start that there is work. */
export function releaseWhenBusy(): (bytes: number) => void {
  let isHeld = true;
  return (bytes) => {
    if (!isHeld || bytes < workBytes) return;
    isHeld = false;
    releaseOptimizers();
  };
}
