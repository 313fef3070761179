import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { lockState } from "./lock.ts";

const run = promisify(execFile);

test("of many agents that start at once over a stale lock, exactly one works in the state directory", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "falconry-lock-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const file = join(dir, "agent.pid");
  writeFileSync(file, "999999 1");
  const source = `import { lockState } from ${JSON.stringify(new URL("./lock.ts", import.meta.url).href)};
    import { existsSync, writeFileSync, readdirSync } from "node:fs";
    const ready = ${JSON.stringify(dir)} + "/ready-" + process.pid;
    writeFileSync(ready, "");
    while (readdirSync(${JSON.stringify(dir)}).filter((n) => n.startsWith("ready-")).length < 6) {}
    try { lockState(${JSON.stringify(file)}); console.log("won"); } catch (e) { console.log(e.code); }
    writeFileSync(ready.replace("ready", "done"), "");
    while (readdirSync(${JSON.stringify(dir)}).filter((n) => n.startsWith("done-")).length < 6) {}`;
  const program = join(dir, "race.mjs");
  writeFileSync(program, source);
  const ends = await Promise.all(Array.from({ length: 6 }, () => run(process.execPath, [program])));
  const words = ends.map(({ stdout }) => stdout.trim()).toSorted();
  assert.deepEqual(words, [...Array.from({ length: 5 }, () => "state/in-use"), "won"]);
});

test("a lock is let go by its holder only", (t) => {
  const dir = mkdtempSync(join(tmpdir(), "falconry-lock-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const file = join(dir, "agent.pid");
  const unlock = lockState(file);
  const held = readFileSync(file, "utf8");
  writeFileSync(file, "1 1");
  unlock();
  assert.ok(existsSync(file));
  writeFileSync(file, held);
  unlock();
  assert.equal(existsSync(file), false);
});

test("an agent that is told to end while it waits to enrol ends at once, well, and lets its state directory go", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "falconry-lock-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const pin = `sha256:${"0".repeat(64)}`;
  const child = spawn(process.execPath, [new URL("./main.ts", import.meta.url).pathname], {
    stdio: ["ignore", "pipe", "inherit"],
    env: {
      PATH: process.env["PATH"],
      FALCONRY_STATE_DIR: dir,
      // Nobody listens there.
      FALCONRY_JOIN: `falconry://jt_1.s3cret-of-nobody@127.0.0.1:1?ca=${pin}&root=${pin}`,
      FALCONRY_CLUSTER: "eu-1",
      FALCONRY_NODE: "node-1",
    },
  });
  t.after(() => child.kill("SIGKILL"));
  const ended = once(child, "exit");
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => {
    said += chunk.toString();
    if (said.includes("enrolment has to wait")) child.kill("SIGTERM");
  });
  assert.deepEqual(await ended, [0, null], said);
  assert.match(said, /"msg":"stopped"/);
  assert.equal(existsSync(join(dir, "agent.pid")), false, "the lock");
});
