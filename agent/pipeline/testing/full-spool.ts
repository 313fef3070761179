import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Spool } from "../spool.ts";

/** Appends to a spool under a limit of the size of files, as on a full disk, and says how that went. */
const dir = fs.mkdtempSync(join(tmpdir(), "falconry-full-"));
const open = () => new Spool(dir, { bytesMax: 1e9, segmentBytes: 1e9, onProblem: () => {} });
const read = (spool: Spool): string[] => {
  const found: string[] = [];
  for (let entry = spool.read(0); entry !== undefined; entry = spool.read(entry.next)) {
    found.push(entry.lines.toString().trimEnd());
  }
  return found;
};
const spool = open();
await spool.append([Buffer.from("first\n")]);
let refused = "";
await spool
  .append([Buffer.from(`${"x".repeat(100_000)}\n`)])
  .catch((error: Error) => (refused = error.message));
await spool.append([Buffer.from("last\n")]);
const now = read(spool);
await spool.close();
const readAgain = read(open());
fs.rmSync(dir, { recursive: true });
process.stdout.write(JSON.stringify({ refused, read: now, readAgain }));
