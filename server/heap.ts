import { setFlagsFromString } from "node:v8";

/**
 * Has V8 collect all garbage when the heap has grown by half since the last time. By itself it lets a heap of hundreds of megabytes grow to a
 * multiple of what is in use, as long as the machine has memory: see decision 0081. Buffers count with the heap; by themselves they make V8
 * collect everything with each 64 MiB, see decision 0090.
 */
export function keepHeapClose(): void {
  // Read at the end of each collection, so they may be set while the process runs.
  setFlagsFromString("--heap-growing-percent=50");
  setFlagsFromString("--external-memory-accounted-in-global-limit");
}
