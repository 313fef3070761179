import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { growthPercent } from "./heap.ts";

/**
 * A process that holds so many MiB and through which much more passes, old enough to end in the old generation: 16 MiB of it at a time. Prints
 * how much its heap held at most, in MiB, while three times as many passed; it has ten tries to stay within the bound, as it is looked at once a
 * second and what was allowed before may be used up.
 */
const program = (mebibytes: number, boundMiB: number) => `
  import { getHeapStatistics } from "node:v8";
  import { keepHeapClose } from ${JSON.stringify(join(import.meta.dirname, "heap.ts"))};
  keepHeapClose();
  const mebibyte = () => new Array(131_072).fill(0);
  const held = Array.from({ length: ${mebibytes} }, mebibyte);
  const passing = [];
  const pass = async (i) => {
    passing[i % 16] = mebibyte();
    await new Promise((resolve) => setImmediate(resolve));
    return getHeapStatistics().used_heap_size / 2 ** 20;
  };
  let most = Infinity;
  for (let tries = 0; tries < 10 && most >= ${boundMiB}; tries += 1) {
    most = 0;
    for (let i = 0; i < ${3 * mebibytes}; i += 1) most = Math.max(most, await pass(i));
  }
  console.log(Math.round(most), held.length);
`;

async function mostHeld(mebibytes: number, boundMiB: number): Promise<number> {
  const args = ["--input-type=module", "--eval", program(mebibytes, boundMiB)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return Number(stdout.split(" ")[0]);
}

test("a server takes no multiple of the memory that its sessions need, however much the machine has", async () => {
  // By itself V8 let it take 2,024 MiB.
  const bound = 1.75 * 530;
  const most = await mostHeld(512, bound);
  assert.ok(most < bound, `of ${most} MiB at most 530 were in use`);
});

test("how far a heap may grow is half of what is in use or 192 MiB, and a fleet that comes all at once is held to it early", () => {
  const mebibyte = 1024 * 1024;
  for (let inUse = 16; inUse < 4096; inUse += 16) {
    for (const garbage of [0, 64, 192, inUse / 2]) {
      const more = (inUse * growthPercent((inUse + garbage) * mebibyte)) / 100;
      assert.ok(more <= Math.max(inUse / 2, 192) * 1.1, `${inUse} MiB in use may grow by ${more} MiB`);
    }
    assert.ok(growthPercent(inUse * mebibyte) >= 50, "nor is all collected for every little");
  }
});
