import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { TailWorld } from "./testing/tail-world.ts";

const line = (n: number): string => `{"n":${n}}\n`;
const json = (w: TailWorld, name: string, more = "") =>
  ` Path ${w.path(name)}\n Parser json\n Refresh_Interval 0.1\n${more}`;

test("exclude_path keeps away from files by any part of their path, as in Fluent Bit", (t) => {
  const w = new TailWorld(t);
  for (const name of ["a.log", "b_kube-system_c.log", "d.log"]) w.append(name, line(1));
  w.start(json(w, "*.log", " Exclude_Path *_kube-system_*,*/d.log\n Tag at.*\n"));
  w.drain();
  assert.deepEqual(
    w.records.map(({ tag }) => tag.split(".").slice(-2).join(".")),
    ["a.log"],
  );
});

test("path_key and offset_key say where a record stood, whatever it says itself, and also after a rotation", (t) => {
  const w = new TailWorld(t);
  w.append("a.log", '{"n":1,"file":"/etc/shadow","at":-1}\n{}\n');
  w.start(json(w, "a.log", " Path_Key file\n Offset_Key at\n"));
  w.rename("a.log", "a.log.1");
  w.drain();
  assert.deepEqual(
    w.records.map(({ value }) => value),
    [
      { n: 1, file: w.path("a.log"), at: 0 },
      { file: w.path("a.log"), at: 37 },
    ],
  );
});

test("a file that nobody wrote to for longer than ignore_older is left alone until somebody does", (t) => {
  const w = new TailWorld(t);
  w.nowMs = Date.now();
  w.append("old.log", line(1));
  const long = new Date(Date.now() - 7_200_000);
  fs.utimesSync(w.path("old.log"), long, long);
  w.append("new.log", line(2));
  w.start(json(w, "*.log", " Ignore_Older 1h\n"));
  w.drain();
  assert.deepEqual(w.values("n"), [2]);
  w.append("old.log", line(3));
  w.drain();
  assert.deepEqual(w.values("n"), [2, 1, 3]);
});

for (const [option, wanted] of [
  ["Read_from_Head off\n", [2, 3]],
  ["Read_from_Head on\n", [1, 2, 3]],
  ["Read_from_Head off\n Read_Newly_Discovered_Files_From_Head off\n", [2]],
] as const) {
  test(`${option.trim().replaceAll("\n", " and ")}: what was there is read, or not, as written`, (t) => {
    const w = new TailWorld(t);
    w.append("a.log", line(1));
    w.start(json(w, "*.log", ` ${option}`));
    w.drain();
    w.append("a.log", line(2));
    w.drain();
    w.append("b.log", line(3));
    w.drain();
    assert.deepEqual(w.values("n"), wanted);
  });
}

test("a file that came and rotated while the agent was down is no history, and is read", (t) => {
  const w = new TailWorld(t);
  w.append("a.log.9", line(-1));
  w.start(json(w, "*.log", ` Path ${w.path("a.log")},${w.path("pods/*.log")}\n`));
  w.drain();
  w.stop();
  w.append("a.log.1", line(1));
  w.append("a.log", line(2));
  w.append("pods/0.log.20261122-100000", line(3));
  w.append("pods/0.log", line(4));
  w.restart();
  w.drain();
  assert.deepEqual(
    w.values<number>("n").sort((a, b) => a - b),
    [1, 2, 3, 4],
  );
});

test("with exit_on_eof the input ends when everything was read, the last line without a line break too", (t) => {
  const w = new TailWorld(t);
  w.append("a.log", `${line(1)}{"n":2}`);
  w.start(json(w, "a.log", " Exit_On_Eof on\n"));
  assert.equal(w.report().ended, false);
  w.drain();
  assert.deepEqual(w.values("n"), [1, 2]);
  assert.deepEqual([w.report().atEnd, w.report().ended], [true, true]);
});

test("JSON that goes over several lines is set aside, counted under its own reason, with what to do", (t) => {
  const w = new TailWorld(t);
  w.append("a.log", `${JSON.stringify({ n: 1, deep: { b: [1] } }, undefined, 2)}\n${line(2)}half {"n":\n`);
  w.start(json(w, "a.log"));
  w.drain();
  assert.deepEqual(w.values("n"), [2]);
  assert.deepEqual(w.counters.parked, { "multi-line-json": 7, "not-json": 2 });
  assert.match(w.problems.join(), /tail\/multi-line-json .*write each record on one line/);
});

test("a link that leads to another file than before is followed, and what is left of the first is read first", (t) => {
  const w = new TailWorld(t);
  w.append("pods/0.log", line(1));
  fs.mkdirSync(w.path("containers"));
  const link = w.path("containers/x.log");
  fs.symlinkSync("../pods/0.log", link);
  w.start(json(w, "containers/*.log", " Tag *\n"));
  w.drain();
  const lead = (to: string) => {
    fs.symlinkSync(to, `${link}.new`);
    fs.renameSync(`${link}.new`, link);
  };
  w.append("pods/0.log", line(2));
  lead("../pods/1.log");
  w.append("pods/1.log", line(3));
  w.drain();
  w.stop();
  // While the agent is down: the file grows, rotates where it is, and the link leads on.
  w.append("pods/1.log", line(4));
  w.rename("pods/1.log", "pods/1.log.20261122-100000");
  w.append("pods/1.log", line(5));
  lead("../pods/2.log");
  w.append("pods/2.log", line(6));
  w.restart();
  w.drain();
  assert.deepEqual(w.values("n"), [1, 2, 3, 4, 5, 6]);
  assert.ok(w.records.every(({ tag }) => tag.endsWith(".containers.x.log")));
  assert.equal(w.counters.lost, 0);
});

test("a link out of the allowed folders, also by one of its folders, is not read, and says so", (t) => {
  const w = new TailWorld(t);
  fs.mkdirSync(join(w.dir, "elsewhere"));
  fs.writeFileSync(join(w.dir, "elsewhere", "a.log"), line(1));
  fs.symlinkSync(join(w.dir, "elsewhere"), w.path("inside"));
  fs.writeFileSync(join(w.dir, "elsewhere", "c"), line(3));
  w.append("b.log", line(2));
  fs.symlinkSync(join(w.dir, "elsewhere", "c"), w.path("c.log"));
  w.start(` Path ${w.path("inside/*.log")},${w.path("*.log")}\n Parser json\n`);
  w.drain();
  assert.deepEqual(w.values("n"), [2]);
  assert.equal(w.report().filesFailing, 2);
  assert.match(w.problems.join(), /tail\/open .*allow-list does not allow .*elsewhere\/a\.log/);
  assert.match(w.report().lastError ?? "", /allow-list/);
});

test("a path that can be no file is told, and stops none of the others", (t) => {
  const w = new TailWorld(t);
  w.append("a.log", line(1));
  fs.mkdirSync(w.path("folder"));
  fs.symlinkSync("circle", w.path("circle"));
  const paths = [w.path("folder"), w.path("x".repeat(300)), w.path("circle"), w.path("a.log")];
  w.start(` Path ${paths.join(",")}\n Parser json\n`);
  w.drain();
  assert.deepEqual(w.values("n"), [1]);
  assert.match(w.problems.join(), /cannot read .*folder: it is no file/);
  assert.match(w.problems.join(), /ENAMETOOLONG/);
});

test("a file that cannot be read at the moment stops no other, and is read on when it can be", async (t) => {
  const w = new TailWorld(t);
  w.append("a.log", line(1));
  w.append("b.log", line(2));
  w.start(json(w, "*.log"));
  w.drain();
  // The descriptor is taken from under it: reads fail as they do when a disk does.
  const descriptors = fs.readdirSync("/proc/self/fd").filter((fd) => {
    const path = fs.existsSync(`/proc/self/fd/${fd}`) ? fs.readlinkSync(`/proc/self/fd/${fd}`) : "";
    return path === w.path("a.log");
  });
  const fd = Number(descriptors[0]);
  fs.closeSync(fd);
  w.append("a.log", line(3));
  w.append("b.log", line(4));
  w.turn();
  assert.deepEqual(w.values("n"), [1, 2, 4]);
  assert.deepEqual([w.report().filesFailing, w.report().atEnd], [1, false]);
  assert.match(w.report().lastError ?? "", /cannot read .*a\.log at byte 8, trying again: EBADF/);
  assert.equal(fs.openSync(w.path("a.log"), "r"), fd);
  await w.until("the record", () => w.values("n").includes(3));
  assert.deepEqual([w.report().filesFailing, w.report().lastError], [0, undefined]);
});

test("more files than there are descriptors: the rest waits, is counted, and is read when there is room", () => {
  const driver = join(import.meta.dirname, "testing", "many-files.ts");
  const run = spawnSync("sh", ["-c", `ulimit -n 160; exec "$0" "$1"`, process.execPath, driver], {
    encoding: "utf8",
  });
  assert.equal(run.status, 0, run.stderr);
  const said = JSON.parse(run.stdout) as Record<string, unknown>;
  assert.match(String(said["problem"]), /32 files are open, which is as many as may be/);
  assert.deepEqual(said["first"], { records: 32, failing: 68 });
  assert.equal(said["all"], 100);
});

test("without permission to see a folder nothing counts as lost, and reading goes on where it was when there is one", () => {
  const driver = join(import.meta.dirname, "testing", "no-permission.ts");
  const run = spawnSync(process.execPath, [driver], { encoding: "utf8" });
  assert.equal(run.status, 0, run.stderr);
  const { without, ...after } = JSON.parse(run.stdout) as {
    without: { values: number[]; problems: string; failing: number };
  };
  assert.deepEqual(without.values, [1]);
  assert.match(without.problems, /tail\/open .*cannot read .*EACCES/);
  assert.ok(without.failing > 0);
  assert.deepEqual(after, { values: [1, 2], lost: 0, failing: 0 });
});
