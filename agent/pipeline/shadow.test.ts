import assert from "node:assert/strict";
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import {
  createAuditRecordReader,
  createDetector,
  createRecordDetector,
  loadRules,
  type Alert,
  type Detector,
  type Onlooker,
} from "#engine";
import { execve } from "../../engine/linux-audit/sample-records.ts";
import { sampleOf } from "./shadow-counts.ts";
import { Shadow } from "./shadow.ts";
import { startPipeline } from "./pipeline.ts";
import { auditLine, execRule, facts, writeBundle } from "./testing/bundles.ts";
import { until } from "./testing/until.ts";
import { applied, world, write } from "./testing/world.ts";

function load(condition: string) {
  const rule = {
    rule: "r",
    desc: "d",
    condition,
    output: "%ka.user.name",
    priority: "INFO",
    source: "k8s_audit",
  };
  const report = loadRules([{ name: "r", content: JSON.stringify([rule]) }]);
  assert.ok(report.ok);
  return report.ruleset;
}

const line = auditLine("a");

/** A candidate beside rules that notice everything, with clocks that only a test moves. */
function beside(condition: string) {
  const time = { steadyMs: 0, nowMs: 1_000 };
  const detector = createDetector(load("ka.verb exists"), { hostname: "h" });
  const clocks = { now: () => time.nowMs, steady: () => time.steadyMs };
  const shadow = new Shadow(load(condition), detector, { hostname: "h", untilMs: 60_000, ...clocks });
  return { time, detector, shadow };
}

test("a candidate that is too slow leaves events out and counts them, and goes on when it has room again", () => {
  const { time, detector, shadow } = beside("ka.verb = get");
  let look: Onlooker | undefined;
  const slow: Detector = {
    ...detector,
    shadow: (_rules, onlooker) => (look = onlooker),
    endShadow: () => {},
  };
  const clocks = { now: () => time.nowMs, steady: () => time.steadyMs };
  const late = new Shadow(load("ka.verb = get"), slow, { hostname: "h", untilMs: 60_000, ...clocks });
  const event = (tookMs: number) =>
    look?.([], () => {
      time.steadyMs += tookMs;
      return { matches: [], problems: [] };
    });
  event(300);
  event(1);
  event(1);
  assert.deepEqual([late.figures().events, late.figures().skipped], [1, 2]);
  // It spent 200 ms more than it had, which is a second's worth.
  time.steadyMs += 1_010;
  event(1);
  assert.deepEqual([late.figures().events, late.figures().skipped], [2, 2]);
  shadow.stop("", "");
});

test("a candidate that fails over every event is given up, and what runs goes on to detect", () => {
  const { detector, shadow } = beside("ka.verb = get");
  let look: Onlooker | undefined;
  const broken: Detector = {
    ...detector,
    shadow: (_rules, onlooker) => (look = onlooker),
    endShadow: () => (look = undefined),
  };
  const clocks = { now: () => 0, steady: () => 0 };
  const failing = new Shadow(load("ka.verb = get"), broken, { hostname: "h", untilMs: 60_000, ...clocks });
  for (let i = 0; i < 200; i++) {
    look?.([], () => {
      throw new Error("a bug of the candidate");
    });
  }
  const { state, reason, detail, failures } = failing.figures();
  assert.deepEqual([state, reason, failures], ["stopped", "shadow/failed", 100]);
  assert.match(detail, /a bug of the candidate/);
  assert.equal(detector.detect(line).alerts.length, 1);
  assert.equal(shadow.figures().events, 1);
});

test("a candidate ends when its time is over, and what it counted stays", () => {
  const { time, detector, shadow } = beside("ka.verb = no-such-verb");
  detector.detect(line);
  time.nowMs = 60_000;
  detector.detect(line);
  const { state, events, rules } = shadow.figures();
  assert.deepEqual(
    [state, events, rules.map(({ now, candidate, gone }) => [now, candidate, gone])],
    ["done", 1, [[1, 0, 1]]],
  );
});

test("what a candidate comes without is said to the end of it", () => {
  const note = { reason: "layer/left-out", detail: "Without payments" };
  const clocks = { now: () => 60_000, steady: () => 0 };
  const detector = createDetector(load("ka.verb exists"), { hostname: "h" });
  const options = { hostname: "h", untilMs: 60_000, note, ...clocks };
  const { state, reason, detail } = new Shadow(load("ka.verb = get"), detector, options).figures();
  assert.deepEqual([state, reason, detail], ["done", note.reason, note.detail]);
});

test("samples are few, and show output fields cut short, never what was sent", () => {
  const { detector, shadow } = beside("ka.verb = no-such-verb");
  for (let i = 0; i < 10; i++) detector.detect(line);
  assert.equal(shadow.figures().rules[0]?.samples.length, 3);
  const fields = {
    "ka.user.name": "x".repeat(500),
    "ka.uri": "/api/v1/exec?command=secret",
    "ka.req.configmap.obj": { password: "secret" },
    "ka.req.pod.containers.image": ["nginx"],
    "jevt.value[/requestObject]": "secret",
    "proc.cmdline": "mysql -psecret",
  };
  const body = JSON.stringify({ output: "secret", output_fields: fields });
  const shown = sampleOf({ body } as Alert, false);
  assert.equal(shown["ka.user.name"]?.length, 128);
  assert.equal(shown["ka.req.pod.containers.image"], '["nginx"]');
  assert.ok(!JSON.stringify(shown).includes("secret"), JSON.stringify(shown));
  assert.deepEqual(new Set(Object.values(sampleOf({ body } as Alert, true))), new Set(["(hidden)"]));
});

test("rules of source syscall are compared over the same events of the Linux audit log", () => {
  const rule = (name: string, condition: string) =>
    JSON.stringify([
      { rule: name, desc: "d", condition, output: "%proc.name", priority: "INFO", source: "syscall" },
    ]);
  const [running, candidate] = [rule("r", "evt.type = execve"), rule("s", "evt.type exists")].map(
    (content) => {
      const report = loadRules([{ name: "r", content }]);
      assert.ok(report.ok, JSON.stringify(report.results));
      return report.ruleset;
    },
  );
  assert.ok(running && candidate);
  const clocks = { now: () => 0, steady: () => 0 };
  const detector = createDetector(running, { hostname: "h" });
  const shadow = new Shadow(candidate, detector, { hostname: "h", untilMs: 1, ...clocks });
  const calls = createRecordDetector(running, { hostname: "h" });
  const reader = createAuditRecordReader({});
  const lines = execve({ serial: 1, words: ["id"] });
  const read = [...lines.flatMap((one) => reader.read(one).events), ...reader.flush().events];
  assert.equal(read.length, 1);
  for (const event of read) shadow.lookAtCall(event, calls.detectRecord(event).alerts, false);
  const { events, rules } = shadow.figures();
  assert.equal(events, 1);
  const found = rules.map(({ rule: name, new: added, gone }) => `${name} ${added} ${gone}`);
  assert.deepEqual(found.toSorted(), ["r 0 1", "s 1 0"]);
});

test("in the pipeline, a candidate emits nothing, is refused as it would be when applied, and ends with other rules", async (t) => {
  const w = world(t);
  mkdirSync(dirname(w.log), { recursive: true });
  const folders = { destinations: [], fileDirectories: [w.out], tailDirectories: [dirname(w.log)] };
  const pipeline = startPipeline({
    stateDir: join(w.dir, "state"),
    allowList: { ...folders, protectedRules: ["Exec into a pod"] },
    onAlerts: (_batch, ack) => ack(),
    onProblem: () => {},
  });
  t.after(() => pipeline.stop());
  const everything = execRule
    .replaceAll("Exec into a pod", "Anything")
    .replace(/condition: .*/, "condition: ka.verb exists");
  const [both, lost] = [`${execRule}${everything}`, everything].map((content) =>
    writeBundle(w.dir, "rules", content),
  );
  assert.ok(both && lost);
  const untilMs = Date.now() + 600_000;
  const early = await pipeline.beginShadow({ rules: both, untilMs });
  assert.equal(early.ok || early.reason, "shadow/nothing-runs");
  await applied(pipeline, w, "[OUTPUT]\n  Name detect\n  Match audit\n", execRule);
  const refused = await pipeline.beginShadow({ rules: lost, untilMs });
  assert.equal(refused.ok || refused.reason, "rules/protected");
  assert.deepEqual(await pipeline.beginShadow({ rules: both, untilMs }), { ok: true });
  write(w.log, "a", "b");
  await until("both were evaluated", async () => (await pipeline.shadowFigures())?.events === 2);
  await until("both were written", () => w.ids().join() === "a,b");
  assert.equal((await pipeline.stats()).alerts, 0, "the candidate's alerts go nowhere");
  const figures = await pipeline.shadowFigures();
  assert.deepEqual(
    figures?.rules.map(({ rule, new: added }) => [rule, added]),
    [["Anything", 2]],
  );
  await pipeline.apply({ rules: both }, facts);
  const after = await pipeline.shadowFigures();
  assert.deepEqual([after?.state, after?.reason, after?.events], ["stopped", "shadow/rules-changed", 2]);
});

test("a candidate's rules for the Linux audit log are tried where the rules that run have none, and those see what they saw", async (t) => {
  const w = world(t);
  const pipeline = w.start();
  writeFileSync(w.log, "");
  const input = `[INPUT]\n  Name tail\n  Tag audit\n  Path ${w.log}\n  Parser auditd\n  Rotate_Wait 1\n`;
  const config = `${input}[OUTPUT]\n  Name detect\n  Match audit\n`;
  const [shipper, running] = [writeBundle(w.dir, "shipper", config), writeBundle(w.dir, "rules", execRule)];
  const done = await pipeline.apply({ rules: running, shipper }, facts);
  assert.ok(done.ok, JSON.stringify(done));
  const more = "- rule: Ran\n  desc: d\n  condition: evt.type = execve\n  output: o\n  priority: INFO\n";
  const rules = writeBundle(w.dir, "rules", `${execRule}${more}`);
  assert.deepEqual(await pipeline.beginShadow({ rules, untilMs: Date.now() + 600_000 }), { ok: true });
  appendFileSync(w.log, `${execve({ serial: 1, words: ["id"] }).join("\n")}\n`);
  await until("it was tried", async () => (await pipeline.shadowFigures())?.rules.length === 1);
  const figures = await pipeline.shadowFigures();
  assert.deepEqual(
    figures?.rules.map(({ rule, now, new: added }) => [rule, now, added]),
    [["Ran", 0, 1]],
  );
  const { undetected, alerts } = await pipeline.stats();
  assert.deepEqual([undetected, alerts], [1, 0], "no rule that runs looks at it, as before");
});
