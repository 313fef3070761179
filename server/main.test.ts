import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AddressInfo, createServer } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { test, type TestContext } from "node:test";

import { Client } from "pg";
import { programArgs } from "../test/support/built-programs.ts";
import { freshDatabaseUrl } from "../test/support/postgres.ts";
import { bareEnv } from "../test/support/bare-env.ts";
import { pendingMigrations } from "./store/migrate.ts";

function stateDir(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "falconry-main-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(t: TestContext, args: readonly string[], env: Record<string, string>): ChildProcess {
  const child = spawn(process.execPath, [...programArgs("server"), ...args], {
    env: { ...bareEnv(), FALCONRY_LISTEN: "127.0.0.1:0", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  t.after(() => child.kill("SIGKILL"));
  return child;
}

async function run(t: TestContext, args: readonly string[], env: Record<string, string>): Promise<Ended> {
  const child = start(t, args, env);
  let [stdout, stderr] = ["", ""];
  child.stdout?.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}

interface Line {
  readonly msg: string;
  readonly port?: number;
}

/** Reads the log until a line says it. */
async function until(child: ChildProcess, msg: string): Promise<Line> {
  assert.ok(child.stdout);
  for await (const text of createInterface({ input: child.stdout })) {
    const line = JSON.parse(text) as Line;
    if (line.msg === msg) return line;
  }
  throw new Error(`the server ended without "${msg}"`);
}

/** What it logs until it ends. */
async function lines(child: ChildProcess): Promise<readonly string[]> {
  assert.ok(child.stdout);
  const said: string[] = [];
  for await (const text of createInterface({ input: child.stdout })) {
    said.push((JSON.parse(text) as Line).msg);
  }
  return said;
}

function fetchStatus(port: number, path: string, ca: string, authorization?: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = authorization === undefined ? {} : { authorization };
    const url = `https://localhost:${port}${path}`;
    get(url, { ca, headers, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    }).on("error", reject);
  });
}

test("the server starts from nothing, lets in who holds an admin token, drains on SIGTERM and exits 0", async (t) => {
  const env = { DATABASE_URL: await freshDatabaseUrl(t), FALCONRY_STATE_DIR: stateDir(t) };
  const child = start(t, [], env);
  const { port = 0 } = await until(child, "listening");
  const ca = readFileSync(join(env.FALCONRY_STATE_DIR, "ca", "ca.crt"), "utf8");
  assert.equal(statSync(join(env.FALCONRY_STATE_DIR, "ca", "ca.key")).mode & 0o777, 0o600);
  assert.equal(statSync(join(env.FALCONRY_STATE_DIR, "keys", "timestamp.json")).mode & 0o777, 0o600);
  assert.equal(await fetchStatus(port, "/readyz", ca), 200);
  const made = await run(t, ["admin-token", "--name", "first", "--ttl", "1h"], env);
  assert.deepEqual([made.code, made.stderr], [0, ""]);
  assert.match(made.stdout, /^at_[0-9a-z]{16}\.[\w-]{43}\n$/);
  // Connect answers GET for no method here; that it is not 401 shows that the token was taken.
  assert.equal(
    await fetchStatus(port, "/fleet.v1.TrustService/GetTrust", ca, `Bearer ${made.stdout.trim()}`),
    405,
  );
  const ended = once(child, "close");
  child.kill("SIGTERM");
  assert.deepEqual((await ended)[0], 0);
});

test("a server that is told to end while another one migrates its database ends at once, and waits there no more", async (t) => {
  const env = { DATABASE_URL: await freshDatabaseUrl(t), FALCONRY_STATE_DIR: stateDir(t) };
  const other = new Client({ connectionString: env.DATABASE_URL });
  await other.connect();
  t.after(() => other.end());
  // As the server has it that migrates.
  await other.query("select pg_advisory_lock(7377296838936654457)");
  const waiting = async () => {
    const { rows } = await other.query<{ n: number }>(
      "select count(*)::int as n from pg_stat_activity where application_name = 'falconry-migrate' and wait_event = 'advisory' and datname = current_database()",
    );
    return rows[0]?.n === 1;
  };
  const child = start(t, [], env);
  const log = lines(child);
  const ended = once(child, "close");
  while (!(await waiting())) await pause(20);
  child.kill("SIGTERM");
  assert.deepEqual(await ended, [0, null]);
  assert.deepEqual((await log).slice(-2), ["stopping before it has started", "stopped"]);
  while (await waiting()) await pause(20);
});

/** A database that accepts who connects, and says nothing. */
async function muteDatabase(t: TestContext): Promise<{ url: string; connected: Promise<void> }> {
  const connected = Promise.withResolvers<void>();
  const mute = createServer((socket) => {
    socket.on("error", () => {});
    connected.resolve();
  }).listen(0, "127.0.0.1");
  await once(mute, "listening");
  t.after(() => mute.close());
  const { port } = mute.address() as AddressInfo;
  return { url: `postgresql://f:f@127.0.0.1:${port}/f`, connected: connected.promise };
}

test("a server that is told to end while its database accepts it and says nothing ends as well", async (t) => {
  const { url, connected } = await muteDatabase(t);
  const child = start(t, [], { DATABASE_URL: url, FALCONRY_STATE_DIR: stateDir(t) });
  const ended = once(child, "close");
  child.stdout?.resume();
  await connected;
  child.kill("SIGINT");
  assert.deepEqual(await ended, [0, null]);
});

test("a command that is told to end dies by the signal, which systemd takes for no failure", async (t) => {
  const { url, connected } = await muteDatabase(t);
  const child = start(t, ["migrate"], { DATABASE_URL: url, FALCONRY_STATE_DIR: stateDir(t) });
  const ended = once(child, "close");
  await connected;
  child.kill("SIGTERM");
  assert.deepEqual(await ended, [null, "SIGTERM"]);
});

test("a second start keeps CA and keys", async (t) => {
  const env = { DATABASE_URL: await freshDatabaseUrl(t), FALCONRY_STATE_DIR: stateDir(t) };
  const files = ["ca/ca.crt", "ca/ca.key", "keys/snapshot.json", "keys/assignment.json"];
  const read = () => files.map((file) => readFileSync(join(env.FALCONRY_STATE_DIR, file), "utf8"));
  const seen: string[][] = [];
  for (let i = 0; i < 2; i += 1) {
    const child = start(t, [], env);
    await until(child, "listening");
    seen.push(read());
    const ended = once(child, "close");
    child.kill("SIGTERM");
    await ended;
  }
  assert.deepEqual(seen[1], seen[0]);
});

const away = "postgresql://nobody:topsecret@127.0.0.1:9/falconry";

for (const { name, args = [], env, code, message } of [
  {
    name: "a database that is away",
    env: { DATABASE_URL: away },
    code: 3,
    message: /^The database at 127\.0\.0\.1:9\/falconry cannot be reached .*check DATABASE_URL\n$/,
  },
  {
    name: "a wrong configuration, every problem at once",
    env: { FALCONRY_LISTEN: "nowhere", DATABASE_URL: "mysql://u:topsecret@x/y", FALCONRY_ORG: "No!" },
    code: 2,
    message:
      /^The configuration is wrong:\n {2}FALCONRY_LISTEN: .*\n {2}DATABASE_URL: .*\n {2}FALCONRY_ORG: .*\n$/,
  },
  {
    name: "an unknown command",
    args: ["serve-me"],
    env: {},
    code: 2,
    message: /^There is no command "serve-me"\nUsage: /,
  },
  {
    name: "a bad TTL",
    args: ["admin-token", "--ttl", "forever"],
    env: {},
    code: 2,
    message: /^--ttl: "forever" is no duration .*usage: admin-token/,
  },
  {
    name: "a state directory that is a file",
    env: { FALCONRY_STATE_DIR: import.meta.filename, DATABASE_URL: away },
    code: 2,
    message: /^The state directory .* (is not whole|cannot be used) /,
  },
]) {
  test(`${name} is said in words without a stack trace or a password, with exit code ${code}`, async (t) => {
    const ended = await run(t, args, { FALCONRY_STATE_DIR: stateDir(t), ...env });
    assert.match(ended.stderr, message);
    assert.equal(ended.code, code);
    assert.doesNotMatch(ended.stdout + ended.stderr, /topsecret|\n\s+at /);
  });
}

test("migrate brings an empty database to the schema that servers want, and says what it did", async (t) => {
  const env = { DATABASE_URL: await freshDatabaseUrl(t), FALCONRY_STATE_DIR: stateDir(t) };
  const client = new Client({ connectionString: env.DATABASE_URL });
  await client.connect();
  try {
    await client.query("drop schema public cascade; drop schema drizzle cascade; create schema public");

    const { code, stdout, stderr } = await run(t, ["migrate"], env);

    assert.equal(code, 0, stderr);
    assert.match(stdout, /^Applied 0001_fleet, .*\d{4}_\w+\n$/);
    assert.deepEqual(await pendingMigrations(client), []);
  } finally {
    await client.end();
  }
});
