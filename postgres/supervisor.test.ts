import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Client } from "pg";
import { blockedAt } from "./account.ts";
import { type EmbeddedPostgres, type PostgresOptions, startPostgres } from "./index.ts";
import { forgetUnfinished, settle } from "./place.ts";
import { sharedHome } from "./shared-home.ts";

const isRoot = process.getuid?.() === 0;
const nobody = 65_534;
/** Killed processes lose nothing that they wrote; only a power failure would, and no test has one. */
const fast = { fsync: "off" };

test("startPostgres() creates the cluster once and finds the data again", async (t) => {
  const dir = folder(t);
  const first = await start(t, { dir });
  assert.equal(first.found, "created");
  await query(first.url, "create table kept as select 42 as answer");
  await first.stop();
  assert.equal(first.pid, undefined);

  const second = await start(t, { dir });
  assert.equal(second.found, "existing");
  assert.equal(second.url, first.url);
  assert.deepEqual(await query(second.url, "select answer from kept"), [{ answer: 42 }]);
  const [row] = await query(
    second.url,
    "select pg_encoding_to_char(encoding) as e, datlocale as l from pg_database",
  );
  assert.deepEqual(row, { e: "UTF8", l: "C.UTF-8" });
});

test("startPostgres() listens on no network port", async (t) => {
  const { url } = await start(t, { dir: await folderWithCluster(t) });
  assert.deepEqual(await query(url, "show listen_addresses"), [{ listen_addresses: "" }]);
});

test("startPostgres() takes over the server that a killed supervisor left, with its connections", async (t) => {
  const dir = await folderWithCluster(t);
  const supervisor = spawnSupervisor(t, dir);
  const before = await announcement(supervisor);
  const client = new Client({ connectionString: before.url });
  await client.connect();
  supervisor.kill("SIGKILL");
  await once(supervisor, "exit");

  const after = await start(t, { dir });
  assert.equal(after.found, "adopted");
  assert.equal(after.pid, before.pid);
  assert.equal((await client.query("select 1 as one")).rowCount, 1);
  await client.end();
  await after.stop();
  assert.equal(isAlive(before.pid), false);
});

test("an adopted server that dies is started again as well", async (t) => {
  const dir = await folderWithCluster(t);
  const supervisor = spawnSupervisor(t, dir);
  const before = await announcement(supervisor);
  supervisor.kill("SIGKILL");
  await once(supervisor, "exit");
  const after = await start(t, { dir });
  process.kill(before.pid, "SIGKILL");
  await until(() => after.restarts === 1);
  assert.deepEqual(await query(after.url, "select 1 as one"), [{ one: 1 }]);
});

test("startPostgres() replaces a running server whose settings are not the wanted ones", async (t) => {
  const dir = await folderWithCluster(t);
  const supervisor = spawnSupervisor(t, dir);
  const before = await announcement(supervisor);
  supervisor.kill("SIGKILL");
  await once(supervisor, "exit");
  const after = await start(t, { dir, settings: { work_mem: "7MB" } });
  assert.notEqual(after.pid, before.pid);
  assert.deepEqual(await query(after.url, "show work_mem"), [{ work_mem: "7MB" }]);
});

test("a postmaster killed with -9 comes back by itself, at the same address, with all that was committed", async (t) => {
  const seen: number[] = [];
  const postgres = await start(t, {
    dir: await folderWithCluster(t),
    onRestart: (restarts) => seen.push(restarts),
  });
  await query(postgres.url, "create table kept as select 42 as answer");
  for (const restarts of [1, 2]) {
    const { pid } = postgres;
    assert.ok(pid);
    process.kill(pid, "SIGKILL");
    await until(() => postgres.restarts === restarts);
    assert.notEqual(postgres.pid, pid);
    assert.deepEqual(await query(postgres.url, "select answer from kept"), [{ answer: 42 }]);
  }
  assert.deepEqual(seen, [1, 2]);
});

test("a server is not started beside processes of the killed one that still work", async (t) => {
  const postgres = await start(t, { dir: await folderWithCluster(t) });
  const client = new Client({ connectionString: postgres.url });
  client.on("error", () => {});
  await client.connect();
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  const backend = rows[0]?.pid;
  assert.ok(backend && postgres.pid);
  process.kill(backend, "SIGSTOP"); // As busy as can be: it cannot even notice that it is alone.
  process.kill(postgres.pid, "SIGKILL");
  await delay(1_000); // Nothing may happen: only time can tell.
  assert.equal(postgres.restarts, 0);
  assert.equal(isAlive(backend), true);
  process.kill(backend, "SIGCONT");
  await until(() => postgres.restarts === 1);
  assert.equal(isAlive(backend), false);
  await client.end().catch(() => {});
});

test("stop() while the server is being started again leaves nothing running", async (t) => {
  const postgres = await start(t, { dir: await folderWithCluster(t) });
  const { pid, data } = postgres;
  assert.ok(pid);
  process.kill(pid, "SIGKILL");
  await until(() => !isAlive(pid));
  await postgres.stop();
  assert.equal(existsSync(join(data, "postmaster.pid")) && isAlive(pidIn(data)), false);
});

test("stop() does not wait for a client that sits in a transaction", async (t) => {
  const postgres = await start(t, { dir: await folderWithCluster(t) });
  const client = new Client({ connectionString: postgres.url });
  client.on("error", () => {});
  await client.connect();
  await client.query("begin");
  const since = performance.now();
  await postgres.stop();
  assert.ok(performance.now() - since < 10_000);
});

test("a pid file that names somebody else's process does not keep the cluster from starting", async (t) => {
  const dir = await folderWithCluster(t);
  const first = await start(t, { dir });
  await first.stop();
  // The same account as the cluster: the case in which Postgres itself would refuse.
  const { uid, gid } = statSync(first.data);
  const stranger = spawn("sleep", ["300"], { ...(isRoot ? { uid, gid } : {}), stdio: "ignore" });
  t.after(() => stranger.kill());
  const socket = join(dir, "socket", ".s.PGSQL.5432.lock");
  const lines = `${stranger.pid}\n${first.data}\n1\n5432\n${join(dir, "socket")}\n\n`;
  for (const file of [join(first.data, "postmaster.pid"), socket]) writeFileSync(file, lines);

  const second = await start(t, { dir });
  assert.equal(second.found, "existing");
  assert.ok(stranger.pid !== undefined && isAlive(stranger.pid), "the stranger must be left alone");
});

test("a cluster whose creation was killed half-way is created anew", async (t) => {
  const dir = folder(t);
  mkdirSync(join(dir, "data.new"));
  writeFileSync(join(dir, "data.new", "PG_VERSION"), "18\n");
  assert.equal((await start(t, { dir })).found, "created");
});

test("a second supervisor of the same folder is refused and told which process has it", async (t) => {
  const dir = await folderWithCluster(t);
  await start(t, { dir });
  await assert.rejects(startPostgres({ dir }), {
    name: "PostgresError",
    message: new RegExp(`already run by process ${process.pid}: stop that one first`),
  });
});

test("a state folder too deep for a unix socket still works", async (t) => {
  const dir = join(folder(t), "a-rather-long-name-of-a-folder".repeat(3));
  const { url, stop } = await start(t, { dir });
  assert.deepEqual(await query(url, "select 1 as one"), [{ one: 1 }]);
  const sockets = new URL(url.replace("@/", "@x/")).searchParams.get("host") ?? "";
  assert.ok(existsSync(sockets) && !sockets.startsWith(dir));
  await stop();
  assert.equal(existsSync(sockets), false);
});

test("files of another release are refused by name, and left as they are", async (t) => {
  const dir = await folderWithCluster(t);
  const first = await start(t, { dir });
  await first.stop();
  const file = join(first.data, "PG_VERSION");
  writeFileSync(file, "15\n");
  await assert.rejects(startPostgres({ dir }), /PG_VERSION says 15, and this is Postgres 18/);
  assert.equal(readFileSync(file, "utf8"), "15\n");
});

test("a start that fails quotes the reason from the log", async (t) => {
  const dir = folder(t);
  await assert.rejects(
    startPostgres({ dir, settings: { ...fast, max_connections: "many" } }),
    /ended while starting .*max_connections/s,
  );
});

test("a full disk is named, and nothing half-made stays", { skip: !isRoot && "needs root" }, async (t) => {
  const dir = folder(t);
  const mount = spawnSync("mount", ["-t", "tmpfs", "-o", "size=20m,mode=711", "tmpfs", dir]);
  if (mount.status !== 0) return t.skip("this root may not mount");
  t.after(() => spawnSync("umount", ["-l", dir]));
  await assert.rejects(startPostgres({ dir }), /could not be created .*The disk is full: free some space/s);
  assert.equal(existsSync(join(dir, "data")) || existsSync(join(dir, "data.new")), false);
});

test("root may keep its state where nobody else can go", { skip: !isRoot && "needs root" }, async (t) => {
  const dir = folder(t);
  chmodSync(dir, 0o700);
  const [killed, older] = [madeHome(t, dir, "data.new"), madeHome(t, dir, "data")];
  const told: (readonly [string, unknown])[] = [];
  const first = await start(t, { dir, log: (message, { home }) => told.push([message, home]) });
  t.after(() => rmSync(dirname(first.data), { recursive: true, force: true }));
  assert.match(first.data, /^\/var\/lib\/falconry\/postgres-/);
  assert.equal(existsSync(killed), false, "what a start that was killed had begun");
  assert.deepEqual(
    told.filter(([, home]) => home !== undefined),
    [["an older database of this state folder is left: remove it when nobody needs it", older]],
  );
  await query(first.url, "create table kept as select 42 as answer");
  await first.stop();
  const second = await start(t, { dir });
  assert.equal(second.data, first.data);
  assert.deepEqual(await query(second.url, "select answer from kept"), [{ answer: 42 }]);
  await second.stop();
  rmSync(dirname(first.data), { recursive: true });
  await assert.rejects(startPostgres({ dir }), /location.json points to .* where no database is/);
});

test(
  "root's clusters of temporary folders go when the folders are gone",
  { skip: !isRoot && "needs root" },
  async (t) => {
    const [gone, next] = [folder(t), folder(t)];
    for (const dir of [gone, next]) chmodSync(dir, 0o700);
    const first = await start(t, { dir: gone });
    await first.stop();
    rmSync(gone, { recursive: true });
    // As after kill -9, long ago. No process has this number.
    writeFileSync(join(first.data, "postmaster.pid"), "4194305\n");
    utimesSync(join(first.data, "postmaster.pid"), 0, 0);
    const second = await start(t, { dir: next });
    t.after(() => rmSync(dirname(second.data), { recursive: true, force: true }));
    assert.equal(existsSync(first.data), false);
  },
);

test(
  "a start that fails before there is a database leaves no folder elsewhere",
  { skip: !isRoot && "needs root" },
  (t) => {
    const dir = folder(t);
    chmodSync(dir, 0o700);
    const place = settle(dir);
    assert.match(place.data, /^\/var\/lib\/falconry\/postgres-/);
    forgetUnfinished(place);
    assert.equal(existsSync(dirname(place.data)), false);
  },
);

test("an ordinary user needs nothing but its folder", { skip: whyNotOrdinary() }, async (t) => {
  const dir = folder(t);
  chmodSync(dir, 0o777);
  const supervisor = spawnSupervisor(t, join(dir, "mine"), { uid: nobody, gid: nobody });
  const { pid } = await announcement(supervisor);
  assert.equal(statSync(`/proc/${pid}`).uid, nobody);
  supervisor.kill("SIGTERM");
  await once(supervisor, "exit");
  assert.equal(isAlive(pid), false);
  // Root goes on with the cluster as its owner, so that the owner can come back.
  const asRoot = await start(t, { dir: join(dir, "mine") });
  assert.equal(statSync(`/proc/${asRoot.pid}`).uid, nobody);
});

function whyNotOrdinary(): string | false {
  if (!isRoot) return "this whole run is one";
  const account = { uid: nobody, gid: nobody, switchTo: { uid: nobody, gid: nobody } };
  const blocked = [process.execPath, import.meta.filename]
    .map((path) => blockedAt(path, account))
    .find(Boolean);
  return blocked === undefined ? false : `nobody else may enter ${blocked}`;
}

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "falconry-postgres-"));
  chmodSync(dir, 0o711); // As root, the account of Postgres has to get there.
  t.after(() => t.after(() => rmSync(dir, { recursive: true, force: true })));
  return dir;
}

/** A home elsewhere as an earlier start of a state folder left it. */
function madeHome(t: TestContext, dir: string, holds: string): string {
  mkdirSync(sharedHome, { recursive: true, mode: 0o755 });
  const home = mkdtempSync(join(sharedHome, "postgres-"));
  t.after(() => rmSync(home, { recursive: true, force: true }));
  writeFileSync(join(home, "belongs-to"), `${dir}\n`);
  mkdirSync(join(home, holds));
  return home;
}

let template: Promise<string> | undefined;
after(async () => {
  if (template !== undefined) rmSync(await template, { recursive: true });
});

/** A folder with a cluster in it, a copy of one that was created once: to create one takes seconds of CPU. */
async function folderWithCluster(t: TestContext): Promise<string> {
  template ??= createTemplate();
  const dir = folder(t);
  const { status, stderr } = spawnSync("cp", ["-a", join(await template, "data"), dir], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return dir;
}

async function createTemplate(): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), "falconry-postgres-"));
  chmodSync(dir, 0o711);
  await (await startPostgres({ dir, settings: fast })).stop();
  return dir;
}

async function start(t: TestContext, options: PostgresOptions): Promise<EmbeddedPostgres> {
  const postgres = await startPostgres({ ...options, settings: { ...fast, ...options.settings } });
  t.after(() => postgres.stop());
  return postgres;
}

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text)).rows;
  } finally {
    await client.end();
  }
}

/** A process that supervises `dir` until SIGTERM, and prints where it is. */
function spawnSupervisor(
  t: TestContext,
  dir: string,
  account: { uid?: number; gid?: number } = {},
): ChildProcess {
  const script = `
    import { startPostgres } from ${JSON.stringify(join(import.meta.dirname, "index.ts"))};
    const postgres = await startPostgres({ dir: ${JSON.stringify(dir)}, settings: ${JSON.stringify(fast)} });
    const alive = setInterval(() => {}, 1000);
    process.once("SIGTERM", () => postgres.stop().then(() => clearInterval(alive)));
    // Last: who reads this may send the signal at once.
    console.log(JSON.stringify({ url: postgres.url, pid: postgres.pid }));`;
  const args = ["--input-type=module", "-e", script];
  const child = spawn(process.execPath, args, { ...account, cwd: "/", stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  return child;
}

async function announcement(child: ChildProcess): Promise<{ url: string; pid: number }> {
  assert.ok(child.stdout);
  const [line] = (await once(child.stdout, "data", { signal: AbortSignal.timeout(30_000) })) as [Buffer];
  return JSON.parse(line.toString()) as { url: string; pid: number };
}

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 30_000;
  while (!condition()) {
    assert.ok(performance.now() < end, `not within 30 s: ${condition.toString()}`);
    await delay(20);
  }
}

function pidIn(data: string): number {
  return Number(readFileSync(join(data, "postmaster.pid"), "utf8").split("\n", 1)[0]);
}

function isAlive(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, "utf8").includes(") Z ");
  } catch {
    return false;
  }
}
