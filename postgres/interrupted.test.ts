import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { startPostgres } from "./index.ts";
import { sharedHome } from "./shared-home.ts";

test("a start that is ended while it creates its database leaves nothing of it, and nothing that runs", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "falconry-postgres-"));
  chmodSync(dir, 0o711); // As root, the account of Postgres has to get there.
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const stop = new AbortController();
  const starting = startPostgres({ dir, settings: { fsync: "off" }, signal: stop.signal });
  while (!existsSync(join(dir, "data.new", "PG_VERSION"))) await delay(5);
  stop.abort();
  await assert.rejects(starting, /The start of Postgres in .* was interrupted/);
  assert.deepEqual(
    readdirSync(dir).filter((name) => name.startsWith("data")),
    [],
  );
  assert.deepEqual(processesOf(dir), []);
});

test(
  "a start that fails when Postgres is up already leaves none running, and the folder to the next start",
  { skip: process.getuid?.() !== 0 && "needs root" },
  async (t) => {
    const dir = mkdtempSync(join(tmpdir(), "falconry-postgres-"));
    chmodSync(dir, 0o711);
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    mkdirSync(sharedHome, { recursive: true, mode: 0o755 });
    const older = mkdtempSync(join(sharedHome, "postgres-"));
    t.after(() => rmSync(older, { recursive: true, force: true }));
    writeFileSync(join(older, "belongs-to"), `${dir}\n`);
    const settings = { fsync: "off" };
    const log = (message: string) => {
      if (message.startsWith("an older database")) throw new Error("nobody takes what is told");
    };
    await assert.rejects(startPostgres({ dir, settings, log }), /nobody takes what is told/);
    assert.deepEqual(processesOf(dir), []);
    const next = await startPostgres({ dir, settings });
    await next.stop();
    assert.equal(next.found, "existing");
  },
);

/** Command lines that name a folder. */
function processesOf(dir: string): readonly string[] {
  return readdirSync("/proc").flatMap((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return [];
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
      return line.includes(dir) ? [line] : [];
    } catch {
      return []; // It ended between two looks.
    }
  });
}
