import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { runBacktest, type BacktestFigures } from "./backtest.ts";
import { EventRing, ringFolder } from "./event-ring.ts";
import type { Pipeline } from "./pipeline.ts";
import { openRing } from "./ring-reader.ts";
import { auditLine, execRule, facts, tailToFile, writeBundle } from "./testing/bundles.ts";
import { testProgram } from "./testing/test-program.ts";
import { until } from "./testing/until.ts";
import { applied, numbered, world, write, type World } from "./testing/world.ts";

const detect = "[OUTPUT]\n  Name detect\n  Match audit\n";
const ringOn = "[SERVICE]\n  backtest_ring on\n";
const listRule = `- rule: Listed
  desc: d
  condition: ka.verb = list
  output: "%ka.user.name listed %ka.target.resource with %ka.uri"
  priority: WARNING
  source: k8s_audit
`;
const exec = (id: string) =>
  auditLine(id, {
    verb: "create",
    objectRef: { resource: "pods", subresource: "exec", namespace: "default", name: "web" },
  });
const lastHour = () => ({ sinceMs: Date.now() - 3_600_000, untilMs: Date.now() + 60_000 });

async function backtest(w: World, pipeline: Pipeline, candidate: string, span = lastHour()) {
  const found = await pipeline.backtestSource();
  assert.ok(found.ok, JSON.stringify(found));
  const figures: BacktestFigures[] = [];
  const request = { ...found.source, candidate: writeBundle(w.dir, "rules", candidate), guard: {}, span };
  const refused = await runBacktest(request, (one) => figures.push(one), new AbortController().signal);
  return { refused, figures, last: figures.at(-1) };
}

test("a backtest counts what a candidate would have raised over the last events, shows no values, and emits nothing", async (t) => {
  const w = world(t);
  const pipeline = w.start();
  await applied(pipeline, w, `${detect}${ringOn}`, execRule);
  fs.appendFileSync(w.log, `${exec("e-1")}\n${exec("e-2")}\n`);
  write(w.log, ...numbered("l", 3));
  await until("all were read", () => w.ids().length === 5);
  const { refused, last } = await backtest(w, pipeline, listRule);
  assert.equal(refused, undefined);
  assert.deepEqual([last?.state, last?.events, last?.bytesDone], ["done", 5, last?.bytesTotal]);
  assert.deepEqual(
    last?.rules.map(({ rule, now, candidate, new: added, gone }) => [rule, now, candidate, added, gone]),
    [
      ["Listed", 0, 3, 3, 0],
      ["Exec into a pod", 2, 0, 0, 2],
    ],
  );
  const [sample] = last?.rules[0]?.samples ?? [];
  const shown = new Set(Object.values(sample?.fields ?? {}));
  assert.deepEqual([...shown], ["(hidden)"], "a filter stands between alerts and whoever gets them");
  assert.equal(last?.reason, "backtest/ring-short", "the ring is younger than what was asked for");
  assert.match(last?.detail ?? "", /go back to \d{4}-/);
  const { alerts, ring } = await pipeline.stats();
  assert.deepEqual([alerts, ring?.events, ring?.lost], [2, 5, 0]);
  const nothing = await backtest(w, pipeline, listRule, {
    sinceMs: Date.now() + 1e6,
    untilMs: Date.now() + 2e6,
  });
  assert.deepEqual([nothing.last?.state, nothing.last?.reason], ["done", "backtest/ring-empty"]);
});

test("a backtest is refused with a reason where no rules run, no events are kept, or the candidate could not run", async (t) => {
  const w = world(t);
  const pipeline = w.start();
  const early = await pipeline.backtestSource();
  assert.equal(early.ok || early.reason, "backtest/nothing-runs");
  await applied(pipeline, w, detect, execRule);
  const off = await pipeline.backtestSource();
  assert.equal(off.ok || off.reason, "backtest/no-ring");
  assert.match(off.ok ? "" : off.detail, /backtest_ring on/);
  await applied(pipeline, w, `${detect}${ringOn}`);
  const { refused } = await backtest(w, pipeline, listRule.replace("ka.verb", "ka.no_such_field"));
  assert.equal(refused?.reason, "rules/invalid");
  const found = await pipeline.backtestSource();
  assert.ok(found.ok);
  const guard = { protectedRules: ["Exec into a pod"] };
  const candidate = writeBundle(w.dir, "rules", listRule);
  const request = { ...found.source, candidate, guard, span: lastHour() };
  const denied = await runBacktest(request, () => {}, new AbortController().signal);
  assert.equal(denied?.reason, "rules/protected");
});

test("a replay runs at the lowest priority and ends at once when it is called off", async (t) => {
  const w = world(t);
  const folder = ringFolder(join(w.dir, "state"));
  const ring = new EventRing(join(folder, "1"), assert.fail);
  ring.use(64e6);
  const seen = Buffer.from(auditLine("a"));
  for (let i = 0; i < 100_000; i++) {
    ring.add({ kind: "line", timeMs: Date.now(), hidesValues: false, seen });
    if (i % 5_000 === 0) await ring.flush();
  }
  await ring.close();
  assert.equal(ring.stats()?.lost, 0);
  const [rules, candidate] = [writeBundle(w.dir, "rules", execRule), writeBundle(w.dir, "rules", listRule)];
  const calledOff = new AbortController();
  const nices = new Set<string>();
  const request = { folder, rules, candidate, facts, guard: {}, span: lastHour() };
  const run = runBacktest(
    request,
    ({ bytesDone }) => {
      for (const nice of threadNices()) nices.add(nice);
      if (bytesDone > 0) calledOff.abort(new Error("called off"));
    },
    calledOff.signal,
  );
  await assert.rejects(run, /called off/);
  assert.deepEqual([...nices].toSorted(), ["0", "19"], "its own thread only");
  await until("the thread is gone", () => !threadNices().includes("19"));
});

test("samples of a backtest show what alerts would: no masked value, and of what was asked for its length", async (t) => {
  const w = world(t);
  const folder = ringFolder(join(w.dir, "state"));
  const ring = new EventRing(join(folder, "1"), assert.fail);
  ring.use(64e6);
  const [seen, shown] = [auditLine("a"), auditLine("a", { user: { username: "***" } })].map((one) =>
    Buffer.from(one),
  );
  assert.ok(seen && shown);
  ring.add({ kind: "line", timeMs: Date.now(), hidesValues: false, seen, shown });
  await ring.close();
  const rules = writeBundle(w.dir, "rules", execRule);
  const byName = "ka.verb = list and ka.user.name contains default:app";
  const candidate = writeBundle(w.dir, "rules", listRule.replace("ka.verb = list", byName));
  let last: BacktestFigures | undefined;
  const request = { folder, rules, candidate, facts, guard: {}, span: lastHour() };
  await runBacktest(request, (one) => (last = one), new AbortController().signal);
  const fields = last?.rules[0]?.samples[0]?.fields;
  assert.equal(fields?.["ka.user.name"], "***");
  assert.match(fields?.["ka.uri"] ?? "", /^\(\d+ characters\)$/);
});

/** How nice each thread of this process is. */
function threadNices(): string[] {
  return fs.readdirSync("/proc/self/task").flatMap((id) => {
    try {
      const stat = fs.readFileSync(`/proc/self/task/${id}/stat`, "utf8");
      return [stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16] ?? ""];
    } catch {
      return [];
    }
  });
}

test("after kill -9 what was in the ring is replayed, and the next agent adds to it", async (t) => {
  const w = world(t);
  const bundles = {
    shipper: writeBundle(w.dir, "shipper", tailToFile(w.log, w.out, `${detect}${ringOn}`)),
    rules: writeBundle(w.dir, "rules", execRule),
  };
  const state = join(w.dir, "state");
  fs.mkdirSync(join(w.dir, "log"));
  write(w.log, ...numbered("a", 2_000));
  const child = spawn(process.execPath, [...testProgram("driver"), state, w.dir, JSON.stringify(bundles)], {
    stdio: "inherit",
  });
  const kept = () => {
    const all = openRing(ringFolder(state), { sinceMs: 0, untilMs: Number.POSITIVE_INFINITY });
    return [...all.blocks()].flatMap((part) => part.events).length;
  };
  await until("some are kept", () => fs.existsSync(join(ringFolder(state), "1")) && kept() > 0);
  child.kill("SIGKILL");
  await once(child, "exit");
  const before = kept();
  const pipeline = w.start();
  assert.ok((await pipeline.apply(bundles, facts)).ok);
  write(w.log, "b");
  await until("it was read", () => w.ids().includes("b"));
  const { last } = await backtest(w, pipeline, listRule);
  assert.equal(last?.state, "done");
  assert.ok(last.events > before && last.missing === 0, `${last.events} after ${before}`);
});
