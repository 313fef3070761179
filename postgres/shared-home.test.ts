import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { olderHomes, removeForgotten, removeUnfinished } from "./shared-home.ts";

function sharedFolder(t: TestContext): string {
  const shared = mkdtempSync(join(tmpdir(), "falconry-shared-"));
  t.after(() => rmSync(shared, { recursive: true, force: true }));
  return shared;
}

function made(shared: string, name: string, owner: string, ...holds: readonly string[]): string {
  const home = join(shared, `postgres-${name}`);
  for (const each of holds) mkdirSync(join(home, each), { recursive: true });
  writeFileSync(join(home, "belongs-to"), `${owner}\n`);
  return home;
}

test("a start removes what another one left half-made, and not a database that somebody moved aside, which it tells of", (t) => {
  const shared = sharedFolder(t);
  const [mine, others] = ["/srv/falconry", "/srv/other"];
  const bare = made(shared, "bare", mine, "socket");
  const halfMade = made(shared, "half-made", mine, "socket", "data.new");
  const movedAside = made(shared, "moved-aside", mine, "socket", "data.old");
  const older = made(shared, "older", mine, "socket", "data");
  const other = made(shared, "other", others, "socket", "data.new");
  const current = made(shared, "current", mine, "socket", "data");
  removeUnfinished(mine, shared);
  assert.deepEqual(
    [bare, halfMade, movedAside, older, other, current].map((home) => existsSync(home)),
    [false, false, true, true, true, true],
  );
  assert.deepEqual(olderHomes(mine, current, shared).toSorted(), [movedAside, older]);
});

test("folders for databases that cannot be read do not end a start", (t) => {
  const shared = sharedFolder(t);
  const older = made(shared, "older", "/srv/falconry", "data");
  // Errors that root gets as well; for others it is that they may not look.
  mkdirSync(join(shared, "postgres-being-made", "belongs-to"), { recursive: true });
  writeFileSync(join(shared, "postgres-no-folder"), "");
  assert.deepEqual(olderHomes("/srv/falconry", "/srv/falconry", shared), [older]);
  removeUnfinished("/srv/falconry", shared);
  removeForgotten(shared);
  assert.equal(readdirSync(shared).length, 3);
  assert.deepEqual(olderHomes("/srv/falconry", "/srv/falconry", join(shared, "postgres-no-folder")), []);
});

test("the database of a temporary folder that is gone stays as long as a server may work in it, seen or in a container", async (t) => {
  const shared = sharedFolder(t);
  const gone = join(tmpdir(), "falconry-nobody-made-this");
  const [seen, inContainer, killed] = ["seen", "in-container", "killed"].map((name) => {
    return made(shared, name, gone, "data", "socket");
  }) as [string, string, string];
  const working = spawn("sleep", ["300"], { cwd: join(seen, "data"), stdio: "ignore" });
  t.after(() => working.kill());
  await once(working, "spawn");
  for (const [home, pid] of [
    [seen, working.pid],
    // No process has this number.
    [inContainer, 4_194_305],
    [killed, 4_194_305],
  ] as const) {
    writeFileSync(join(home, "data", "postmaster.pid"), `${pid}\n`);
    utimesSync(join(home, "data", "postmaster.pid"), 0, 0);
  }
  // Which a server touches.
  writeFileSync(join(inContainer, "socket", ".s.PGSQL.5432.lock"), "");
  // As where the folder is on another disk.
  const linked = `${shared}.link`;
  symlinkSync(shared, linked);
  t.after(() => rmSync(linked));
  removeForgotten(linked);
  assert.deepEqual(
    [seen, inContainer, killed].map((home) => existsSync(home)),
    [true, true, false],
  );
});
