import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

/**
 * A process that holds 64 MiB and through which half a gigabyte passes, old enough to end in the old generation: 16 MiB of it at a time. Prints
 * how much its heap held at most, in MiB.
 */
const program = `
  import { getHeapStatistics } from "node:v8";
  import { keepHeapClose } from ${JSON.stringify(join(import.meta.dirname, "heap.ts"))};
  keepHeapClose();
  const mebibyte = () => new Array(131_072).fill(0);
  const held = Array.from({ length: 64 }, mebibyte);
  const passing = [];
  let most = 0;
  for (let i = 0; i < 500; i += 1) {
    passing[i % 16] = mebibyte();
    await new Promise((resolve) => setImmediate(resolve));
    most = Math.max(most, getHeapStatistics().used_heap_size / 2 ** 20);
  }
  console.log(Math.round(most), held.length);
`;

test("a server takes no multiple of the memory that its sessions need, however much the machine has", async () => {
  const run = promisify(execFile);
  const { stdout } = await run(process.execPath, ["--input-type=module", "--eval", program]);
  const [most = Number.NaN] = stdout.split(" ").map(Number);
  // By itself V8 lets it grow to four times what is in use.
  assert.ok(most < 3 * 80, `of ${most} MiB at most 80 were in use`);
});
