import { getHeapStatistics, setFlagsFromString } from "node:v8";

const mebibyte = 1024 * 1024;
/** What a server may hold in garbage, whatever is in use. */
const garbageBytes = 192 * mebibyte;
const [leastPercent, mostPercent] = [50, 300];
const everyMs = 1000;

/**
 * Has V8 collect all garbage when the heap has grown by half since the last time, or by 192 MiB while it is small. By itself it
 * lets a heap of hundreds of megabytes grow to a multiple of what is in use, as long as the machine has memory: see decision 0081. Buffers
 * count with the heap; by themselves they make V8 collect everything with each 64 MiB, see decision 0090.
 */
export function keepHeapClose(): void {
  setFlagsFromString("--external-memory-accounted-in-global-limit");
  let percent = 0;
  const look = () => {
    const now = growthPercent(getHeapStatistics().used_heap_size);
    if (now === percent) return;
    percent = now;
    // Read at the end of each collection, so it may be set while the process runs.
    setFlagsFromString(`--heap-growing-percent=${percent}`);
  };
  look();
  setInterval(look, everyMs).unref();
}

/**
 * By how many percent of what is still in use after a collection a heap may grow until the next one, given the bytes that it holds now, garbage
 * with the rest: the larger they are, the less, so that a heap that grows fast is held early. In steps, so that it is hardly ever another.
 */
export function growthPercent(heldBytes: number): number {
  const percent = (100 * garbageBytes) / heldBytes;
  return Math.min(mostPercent, Math.max(leastPercent, Math.round(percent / 10) * 10));
}
