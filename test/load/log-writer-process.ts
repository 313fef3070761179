import * as fs from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { linesOf, generatedEvents } from "./engine-input.ts";

/**
 * Writes an audit log at a steady rate and rotates it by rename as the API server does, the oldest files going:
 * `log-writer-process.ts LOG COUNT PER_SECOND`. The same lines come again and again, from another one on in each file.
 */
const [log = "", count = "0", perSecond = "0"] = process.argv.slice(2);
const rotateBytes = 100 * 2 ** 20;
const keep = 5;
const { bytes, starts } = linesOf(generatedEvents(40_000));

let fd = fs.openSync(log, "a");
let size = 0;
let written = 0;
const rotated: string[] = [];
const began = performance.now();
while (written < Number(count)) {
  const due = Math.min(Number(count), Math.floor(((performance.now() - began) / 1000) * Number(perSecond)));
  while (written < due) {
    const from = (written + rotated.length * 7) % starts.length;
    const lines = Math.min(due - written, starts.length - from);
    const piece = bytes.subarray(starts[from], starts[from + lines] ?? bytes.length);
    fs.writeSync(fd, piece);
    size += piece.length;
    written += lines;
  }
  if (size >= rotateBytes) {
    const name = log.replace(/\.log$/, `-${new Date().toISOString().slice(0, -1).replaceAll(":", "-")}.log`);
    fs.renameSync(log, name);
    rotated.push(name);
    if (rotated.length > keep) fs.rmSync(rotated[rotated.length - keep - 1] ?? "", { force: true });
    fs.closeSync(fd);
    fd = fs.openSync(log, "a");
    size = 0;
  }
  await delay(20);
}
fs.closeSync(fd);
