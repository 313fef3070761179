import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { gunzipSync } from "node:zlib";
import type { RotationConfig } from "#shipper";
import { AppendFiles } from "./append-files.ts";
import { until } from "./testing/until.ts";

const noRotation: RotationConfig = {
  bytesMax: undefined,
  intervalMs: undefined,
  keep: undefined,
  compress: false,
};

const opened = new Map<string, AppendFiles[]>();

/** A folder that goes with the test, after what is open in it was closed. */
function folder(t: TestContext): string {
  const dir = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "falconry-append-")));
  opened.set(t.name, []);
  t.after(async () => {
    for (const files of opened.get(t.name) ?? []) await files.close();
    fs.rmSync(dir, { recursive: true, force: true });
  });
  return dir;
}

function open(t: TestContext, directory: string, more: Partial<RotationConfig> = {}, mkdir = true) {
  const problems: string[] = [];
  const files = new AppendFiles({
    directory,
    mkdir,
    isSyncedAtOnce: false,
    rotation: { ...noRotation, ...more },
    mayWrite: () => true,
    onProblem: (message) => problems.push(message),
  });
  opened.get(t.name)?.push(files);
  return { files, problems };
}

const line = (text: string): Buffer => Buffer.from(`${text}\n`);

/** All lines of a file and of what was rotated away from it, in order. */
function linesOf(dir: string, name: string): string[] {
  const rotated = fs.readdirSync(dir).filter((one) => one.startsWith(`${name}.`));
  return [...rotated.sort(), name].flatMap((one) => {
    const bytes = fs.readFileSync(join(dir, one));
    const text = (one.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString();
    assert.ok(text === "" || text.endsWith("\n"), `${one} ends with a whole line`);
    return text.split("\n").slice(0, -1);
  });
}

test("a file that would grow beyond rotate_size is put aside, and every line is in one of the files", async (t) => {
  const dir = folder(t);
  const { files } = open(t, dir, { bytesMax: 100 });
  const wanted = Array.from({ length: 50 }, (_, index) => `line ${String(index).padStart(4, "0")}`);
  for (const [index, text] of wanted.entries()) files.append("a", [line(text)], 1_700_000_000_000 + index);
  await files.sync();
  assert.deepEqual(linesOf(dir, "a"), wanted);
  // Ten lines of ten bytes fit into a hundred.
  const sizes = fs.readdirSync(dir).map((name) => fs.statSync(join(dir, name)).size);
  assert.deepEqual(sizes, [100, 100, 100, 100, 100]);
});

test("a file of an earlier hour is put aside before the first line of the next one, also after a restart", async (t) => {
  const dir = folder(t);
  fs.writeFileSync(join(dir, "a"), "yesterday\n");
  const hourMs = 3_600_000;
  const before = new Date(Math.floor(Date.now() / hourMs) * hourMs - 1000);
  fs.utimesSync(join(dir, "a"), before, before);
  const { files } = open(t, dir, { intervalMs: hourMs });
  files.append("a", [line("today")], Date.now());
  files.append("a", [line("and on")], Date.now());
  assert.equal(fs.readFileSync(join(dir, "a"), "utf8"), "today\nand on\n");
  assert.deepEqual(linesOf(dir, "a"), ["yesterday", "today", "and on"]);
});

test("rotate_keep removes the oldest rotated files and nothing that only looks like one", (t) => {
  const dir = folder(t);
  for (const name of ["a.20260101T000000000Z", "a.txt", "a.2026", "b.20260101T000000000Z"]) {
    fs.writeFileSync(join(dir, name), "old\n");
  }
  const { files } = open(t, dir, { bytesMax: 5, keep: 2 });
  for (const text of ["one", "two", "three"]) files.append("a", [line(text)], Date.now());
  assert.deepEqual(
    ["a.20260101T000000000Z", "a.txt", "a.2026", "b.20260101T000000000Z"].map((name) =>
      fs.existsSync(join(dir, name)),
    ),
    [false, true, true, true],
  );
  const rotated = fs.readdirSync(dir).filter((name) => /^a\.\d{8}T/.test(name));
  assert.deepEqual(
    rotated.sort().map((name) => fs.readFileSync(join(dir, name), "utf8")),
    ["one\n", "two\n"],
  );
});

test("rotated files are compressed, those of an earlier process, too", async (t) => {
  const dir = folder(t);
  fs.writeFileSync(join(dir, "a.20260101T000000000Z"), "left\n");
  // As a crash leaves it between the rename and the removal.
  fs.writeFileSync(join(dir, "a.20260102T000000000Z"), "packed\n");
  const { files, problems } = open(t, dir, { bytesMax: 5, compress: true });
  files.append("a", [line("one")], Date.now());
  files.append("a", [line("two")], Date.now());
  await files.sync();
  const isPacked = () => fs.readdirSync(dir).filter((name) => name.endsWith(".gz")).length === 3;
  await until("three compressed files", isPacked);
  await until("their originals to go", () => fs.readdirSync(dir).length === 4);
  assert.deepEqual(linesOf(dir, "a"), ["left", "packed", "one", "two"]);
  assert.deepEqual(problems, []);
});

test("what was written to a file that somebody moved away is synced before it is let go", async (t) => {
  const dir = folder(t);
  const { files } = open(t, dir);
  files.append("a", [line("one")], Date.now());
  fs.renameSync(join(dir, "a"), join(dir, "a.1"));
  await files.sync();
  files.append("a", [line("two")], Date.now());
  await files.sync();
  assert.equal(fs.readFileSync(join(dir, "a.1"), "utf8"), "one\n");
  assert.equal(fs.readFileSync(join(dir, "a"), "utf8"), "two\n");
});

test("half a line that a crash left is cut, and more files than may be open lose nothing", async (t) => {
  const dir = folder(t);
  fs.writeFileSync(join(dir, "a0"), "whole\nhal");
  const { files } = open(t, dir);
  for (let round = 0; round < 2; round++) {
    for (let index = 0; index < 100; index++) files.append(`a${index}`, [line(`r${round}`)], Date.now());
  }
  await files.sync();
  assert.deepEqual(linesOf(dir, "a0"), ["whole", "r0", "r1"]);
  assert.deepEqual(linesOf(dir, "a99"), ["r0", "r1"]);
});

test("with mkdir off a missing folder is not made, and the append says so", (t) => {
  const dir = join(folder(t), "not", "there");
  const { files } = open(t, dir, {}, false);
  assert.throws(() => files.append("a", [line("one")], Date.now()), /ENOENT/);
  fs.mkdirSync(dir, { recursive: true });
  files.append("a", [line("one")], Date.now());
  assert.deepEqual(linesOf(dir, "a"), ["one"]);
});

test("a rotated file that is replaced by a link does not lead the compressor out of the folder", async (t) => {
  const dir = folder(t);
  fs.writeFileSync(join(dir, "secret"), "secret\n");
  fs.mkdirSync(join(dir, "out"));
  fs.symlinkSync(join(dir, "secret"), join(dir, "out", "a.20260101T000000000Z"));
  const { files, problems } = open(t, join(dir, "out"), { bytesMax: 5, compress: true });
  files.append("a", [line("one")], Date.now());
  await until("the compressor to say no", () => problems.length > 0);
  assert.match(problems[0] ?? "", /ELOOP/);
  assert.deepEqual(fs.readdirSync(join(dir, "out")).sort(), ["a", "a.20260101T000000000Z"]);
});

const writer = `
import { AppendFiles } from ${JSON.stringify(join(import.meta.dirname, "append-files.ts"))};
const files = new AppendFiles({
  directory: process.argv[1], mkdir: true, isSyncedAtOnce: false, mayWrite: () => true,
  rotation: { bytesMax: 20000, intervalMs: undefined, keep: undefined, compress: true },
  onProblem: (message) => process.stdout.write("problem " + message + "\\n"),
});
for (let n = Number(process.argv[2]); ; n++) {
  files.append("a", [Buffer.from("line " + n + " " + "x".repeat(n % 300) + "\\n")], Date.now());
  if (n % 50 === 0) {
    await files.sync();
    process.stdout.write(n + "\\n");
  }
}
`;

test("kill -9 in the middle of rotating and compressing loses no line that was synced", async (t) => {
  const dir = folder(t);
  let synced = -1;
  for (let round = 0; round < 4; round++) {
    const args = ["--input-type=module-typescript", "-e", writer, dir, String(synced + 1)];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    const from = synced;
    const lines = createInterface({ input: child.stdout });
    lines.on("line", (text) => {
      assert.doesNotMatch(text, /^problem/);
      synced = Number(text);
    });
    await until("some rotations", () => synced > from + 2000);
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  const { files } = open(t, dir, { bytesMax: 20_000, compress: true });
  files.append("a", [line("end")], Date.now());
  await files.sync();
  const packed = () => fs.readdirSync(dir).filter((name) => /^a\.\d{8}T\d{9}Z$/.test(name)).length === 0;
  await until("everything to be compressed", packed);
  const found = new Set(linesOf(dir, "a").map((text) => Number(text.split(" ")[1])));
  const lost = Array.from({ length: synced + 1 }, (_, n) => n).filter((n) => !found.has(n));
  assert.deepEqual(lost, []);
});
