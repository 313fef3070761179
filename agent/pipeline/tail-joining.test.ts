import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import * as fc from "fast-check";
import { execve, head as auditHead } from "../../engine/linux-audit/sample-records.ts";
import { TailWorld } from "./testing/tail-world.ts";

/** What happens to a log between two lines. */
type Step = "line" | "turn" | "crash" | "restart" | "rotate";
const steps = fc.array(fc.constantFrom<Step>("line", "line", "line", "turn", "crash", "restart", "rotate"), {
  minLength: 1,
  maxLength: 60,
});

/** Writes lines of several sources in an order that keeps each source's own, and lets things happen in between. */
function play(w: TailWorld, sources: readonly string[][], dice: readonly number[], happens: readonly Step[]) {
  const left = sources.map((lines) => [...lines]).filter((lines) => lines.length > 0);
  let rotations = 0;
  let roll = 0;
  const line = (): void => {
    const at = (dice[roll++ % dice.length] ?? 0) % Math.max(left.length, 1);
    const next = left[at]?.shift();
    if (left[at]?.length === 0) left.splice(at, 1);
    if (next !== undefined) w.append("a.log", `${next}\n`);
  };
  for (const step of happens) {
    if (step === "line") line();
    else if (step === "restart") w.restart();
    else if (step === "rotate" && fs.existsSync(w.path("a.log"))) {
      w.rename("a.log", `a.log-2026${String(++rotations).padStart(4, "0")}`);
      w.append("a.log", "");
    } else w.turn(1, step === "crash");
  }
  while (left.length > 0) line();
  for (let turn = 0; turn < 30; turn++) w.turn(60);
}

const config = (w: TailWorld, parser: string) =>
  ` Path ${w.path("a.log")}\n ${parser}\n Refresh_Interval 0.1\n`;

test("lines that a runtime cut come out whole and once, however streams, rotations and crashes fall between their parts", (t) => {
  const message = fc.array(fc.string({ unit: "grapheme", maxLength: 20 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(
      fc.array(message, { maxLength: 8 }),
      fc.array(message, { maxLength: 8 }),
      fc.array(fc.nat({ max: 9 }), { minLength: 1, maxLength: 30 }),
      steps,
      fc.boolean(),
      (out, err, dice, happens, isDocker) => {
        const w = new TailWorld(t);
        const clean = (text: string) => text.replaceAll(/[\r\n]/g, "");
        const write = (stream: string) => (parts: readonly string[], n: number) =>
          parts.map((part, index) => {
            const isLast = index === parts.length - 1;
            const text = clean(index === 0 ? `${n}${part}` : part);
            if (!isDocker) return `2026-11-22T10:00:00.123456789Z ${stream} ${isLast ? "F" : "P"} ${text}`;
            return JSON.stringify({ log: isLast ? `${text}\n` : text, stream, time: "2026-11-22T10:00:00Z" });
          });
        const sources = [out.flatMap(write("stdout")), err.flatMap(write("stderr"))];
        w.start(config(w, "Multiline.Parser docker, cri"));
        play(w, sources, dice, happens);
        const of = (stream: string) =>
          w.records.filter(({ value }) => value["stream"] === stream).map(({ value }) => value["log"]);
        const wanted = (messages: readonly (readonly string[])[]) =>
          messages.map((parts, n) => clean(`${n}${parts.join("")}`) + (isDocker ? "\n" : ""));
        assert.deepEqual([of("stdout"), of("stderr")], [wanted(out), wanted(err)]);
        assert.deepEqual(w.parked(), []);
        w.stop();
      },
    ),
    { numRuns: 150 },
  );
});

test("events of the Linux audit log come out whole and once, however they are interleaved, rotated and read again", (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 10 }),
      fc.array(fc.nat({ max: 9 }), { minLength: 1, maxLength: 30 }),
      steps,
      (words, dice, happens) => {
        const w = new TailWorld(t);
        const events = words.map((count, n) =>
          n % 3 === 2
            ? [`${auditHead("USER_LOGIN", n + 1)}pid=1 uid=0 msg='op=login res=success'`]
            : execve({
                serial: n + 1,
                words: Array.from({ length: count }, (_, at) => `w${at}`),
                pid: n + 100,
              }),
        );
        w.start(config(w, "Parser auditd"));
        // Three at a time, as processors write them.
        const lanes = [0, 1, 2].map((lane) => events.filter((_, n) => n % 3 === lane).flat());
        play(w, lanes, dice, happens);
        w.turn(3000);
        w.turn(3000);
        const got = new Map(
          w.records.map(({ value }) => [value["serial"], String(value["log"]).split("\n")]),
        );
        assert.equal(w.records.length, events.length);
        for (const [n, lines] of events.entries()) assert.deepEqual(got.get(n + 1), lines);
        w.stop();
      },
    ),
    { numRuns: 150 },
  );
});

test("a line whose rest never comes is given as it is after a while, marked as cut, and holds up no position", (t) => {
  const w = new TailWorld(t);
  w.start(config(w, "Multiline.Parser cri"));
  w.append("a.log", "2026-11-22T10:00:00.1Z stdout P begin\n2026-11-22T10:00:00.2Z stderr F whole\n");
  w.drain();
  assert.deepEqual(w.values("log"), ["whole"]);
  w.turn(5100);
  w.turn(5100);
  assert.deepEqual(
    w.records.map(({ value }) => [value["log"], value["_p"], value["stream"], value["time"]]),
    [
      ["whole", "F", "stderr", "2026-11-22T10:00:00.2Z"],
      ["begin", "P", "stdout", "2026-11-22T10:00:00.1Z"],
    ],
  );
  w.restart();
  w.append("a.log", "2026-11-22T10:00:01.1Z stdout F end\n");
  w.drain();
  assert.deepEqual(w.values("log"), ["whole", "begin", "end"]);
});

test("a stream that writes for ever without a line break fills no memory: its line becomes several records", (t) => {
  const w = new TailWorld(t);
  w.start(`${config(w, "Multiline.Parser cri")} Buffer_Max_Size 100k\n`);
  const part = "y".repeat(16_000);
  w.append("a.log", `2026-11-22T10:00:00.1Z stdout P ${part}\n`.repeat(20));
  w.append("a.log", "2026-11-22T10:00:00.1Z stdout F end\n");
  w.drain();
  const texts = w.values<string>("log");
  assert.equal(texts.join(""), `${part.repeat(20)}end`);
  assert.ok(texts.length >= 3 && texts.every((text) => text.length <= 100_000));
  assert.deepEqual(w.values("_p").at(-1), "F");
});

test("a cut line of one stream does not keep the position while the other writes on and on", (t) => {
  const w = new TailWorld(t);
  w.start(config(w, "Multiline.Parser cri"));
  w.append("a.log", "2026-11-22T10:00:00.1Z stdout P begin\n");
  w.append("a.log", `2026-11-22T10:00:00.2Z stderr F ${"z".repeat(10_000)}\n`.repeat(1000));
  while (w.turn(1));
  assert.ok(w.values("log").includes("begin"));
});

test("the parser cri gives the keys that it gives in Fluent Bit, and sets aside what is no such line", (t) => {
  const w = new TailWorld(t);
  w.start(config(w, "Parser cri"));
  w.append("a.log", '2026-11-22T10:00:00.1+01:00 stderr F say "hi"\\ \n');
  w.append("a.log", "2026-11-22T10:00:00.1Z stdout F\n2026-11-22T10:00:00.1Z stdout F:tag x\n");
  w.append("a.log", "no such line\n2026-11-22T10:00:00.1Z stdlog F x\n2026-11-22T10:00:00.1Z stdout X x\n");
  w.drain();
  assert.deepEqual(
    w.records.map(({ value }) => value),
    [
      { time: "2026-11-22T10:00:00.1+01:00", stream: "stderr", logtag: "F", message: 'say "hi"\\ ' },
      { time: "2026-11-22T10:00:00.1Z", stream: "stdout", logtag: "F", message: "" },
      { time: "2026-11-22T10:00:00.1Z", stream: "stdout", logtag: "F", message: "x" },
    ],
  );
  assert.deepEqual(w.counters.parked, { "not-container-log": 3 });
  assert.match(String(w.parked()[0]?.["reason"]), /no line of a container's log \(cri\)/);
});

test("a character that a runtime cut in two is one again", (t) => {
  const w = new TailWorld(t);
  w.start(config(w, "Multiline.Parser cri"));
  const [a, b] = [Buffer.from("é").subarray(0, 1), Buffer.from("é").subarray(1)];
  const head = (flag: string) => Buffer.from(`2026-11-22T10:00:00.1Z stdout ${flag} `);
  fs.writeFileSync(
    w.path("a.log"),
    Buffer.concat([
      head("P"),
      a,
      Buffer.from("\n"),
      head("F"),
      b,
      Buffer.from("\n"),
      head("F"),
      a,
      Buffer.from("\n"),
    ]),
  );
  w.drain();
  assert.deepEqual(w.values("log"), ["é", "\ufffd"]);
});

test("a whole line of Docker is shipped byte by byte as it was written", (t) => {
  const w = new TailWorld(t);
  w.start(config(w, "Multiline.Parser docker"));
  w.append("a.log", '{"log":"ends with a backslash\\\\n","stream":"stdout","n":1.50}\n');
  w.append("a.log", '{"log":" and a line break\\n","stream":"stdout","attrs":{"tag":"a"}}\n{"x":1}\n');
  w.drain();
  // The first one does not end with a line break but with a backslash and an n.
  assert.deepEqual(
    w.records.map(({ value }) => value),
    [{ log: "ends with a backslash\\n and a line break\n", stream: "stdout", n: 1.5 }, { x: 1 }],
  );
});

test("lines that are no audit records are set aside, and late and lone ones are shipped as they are", (t) => {
  const w = new TailWorld(t);
  w.start(config(w, "Parser auditd"));
  const lines = execve({ serial: 7, words: ["ls"] });
  w.append("a.log", `${lines.join("\n")}\nnot an audit record\n${auditHead("PATH", 7)}item=9 name="late"\n`);
  w.append("a.log", `node=n-1 ${auditHead("EOE", 8)}\nnode=n-1 ${auditHead("DAEMON_START", 9)}op=start\n`);
  w.drain();
  w.turn(3000);
  w.turn(3000);
  assert.deepEqual(w.counters.parked, { "not-audit-log": 1 });
  const [exec, start, late] = w.records.map(({ value }) => value);
  assert.deepEqual([exec?.["serial"], exec?.["log"]], [7, lines.join("\n")]);
  assert.equal(exec?.["time"], "2023-11-14T22:13:20.007Z");
  assert.deepEqual([start?.["node"], start?.["types"]], ["n-1", ["DAEMON_START"]]);
  assert.deepEqual([late?.["serial"], late?.["types"]], [7, ["PATH"]]);
  assert.equal(w.records.length, 3);
});
