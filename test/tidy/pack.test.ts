import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";
import { pack } from "../../tools/bundle/pack.ts";

/** Runs a packed program, does something to its file when it has begun, and then lets it ask for its last piece. */
async function play(t: TestContext, meanwhile: (file: string) => void): Promise<readonly [string, string]> {
  const first = `
    const { filename, dirname } = require("#self");
    const { twice } = require("./twice.js");
    console.log(twice("a"), filename === __filename.split("#")[0], dirname === __dirname, require("node:path").sep);
    process.stdin.once("data", () => {
      try { console.log(require("./later.js").said); } catch (error) { console.log(error.message); }
      process.exit();
    });`;
  const pieces = [
    { name: "./first.js", text: first },
    // Each needs the other, as pieces of a program may.
    {
      name: "./twice.js",
      text: 'exports.twice = (a) => a + require("./other.js").same(a); require("./other.js");',
    },
    {
      name: "./other.js",
      text: 'const { twice } = require("./twice.js"); exports.same = (a) => (typeof twice, a);',
    },
    // Large enough to lie there packed, and with a letter beyond ASCII.
    { name: "./later.js", text: `exports.said = "sp\u00e4ter";//${"x".repeat(40_000)}` },
  ];
  const dir = mkdtempSync(join(tmpdir(), "falconry-pack-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const file = join(dir, "program.cjs");
  writeFileSync(file, await pack(pieces, "./first.js"));
  const child = spawn(process.execPath, [file], { stdio: "pipe" });
  const [said, ended] = [text(child.stdout), once(child, "exit")];
  await once(child.stdout, "data");
  meanwhile(file);
  child.stdin.write("\n");
  await ended;
  return [(await said).trim(), file];
}

test("a packed program's pieces find each other, and itself, and one that is asked for late is the one that belongs to it", async (t) => {
  const [said] = await play(t, (file) => {
    // As npm and installers replace a program that runs.
    writeFileSync(`${file}.new`, "another program");
    renameSync(`${file}.new`, file);
  });
  assert.equal(said, "aa true true /\nsp\u00e4ter");
});

test("a program whose file was written over while it ran says so, instead of running what lies there now", async (t) => {
  const [said, file] = await play(t, (path) => appendFileSync(path, "x"));
  assert.equal(said, `aa true true /\n${file} was written over while it ran: start it again`);
});
