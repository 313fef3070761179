import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { execve } from "../../engine/linux-audit/sample-records.ts";
import type { Pipeline } from "./pipeline.ts";
import { auditLine, execRule, facts, writeBundle } from "./testing/bundles.ts";
import { until } from "./testing/until.ts";
import { world } from "./testing/world.ts";
import type { World } from "./testing/world.ts";

const shellRule = `- rule: Shell below a web server
  desc: Somebody got a shell through the web server.
  condition: evt.type = execve and proc.name = sh and proc.pname = nginx
  output: Shell (command=%proc.cmdline parent=%proc.pname)
  priority: CRITICAL
`;

const detectAndKeep = (w: World) => `[OUTPUT]
  Name detect
  Match audit*
[OUTPUT]
  Name fleet
  Match alerts
[OUTPUT]
  Name file
  Match audit*
  Path ${w.out}
  Format plain
`;

const auditd = (w: World) => `[INPUT]
  Name tail
  Alias audit_log
  Tag audit.linux
  Path ${w.log}
  Parser auditd
  Rotate_Wait 1
`;

async function apply(pipeline: Pipeline, w: World, config: string, rules: string): Promise<void> {
  const result = await pipeline.apply(
    { rules: writeBundle(w.dir, "rules", rules), shipper: writeBundle(w.dir, "shipper", config) },
    facts,
  );
  assert.ok(result.ok, JSON.stringify(result));
}

/** A web server that starts, and a shell that it starts. */
const nginx = execve({ serial: 1, words: ["nginx"], pid: 50, ppid: 1 });
const shell = (serial: number) => execve({ serial, words: ["sh", "-c", "id"], pid: 60 + serial, ppid: 50 });
const text = (...events: readonly (readonly string[])[]) =>
  events.map((lines) => `${lines.join("\n")}\n`).join("");

test("rules of source syscall see what auditd writes, and those of k8s_audit what the API server writes, side by side", async (t) => {
  const w = world(t);
  const pipeline = w.start();
  const api = join(w.dir, "log", "api.log");
  fs.writeFileSync(w.log, text(nginx, shell(2)));
  fs.writeFileSync(api, `${auditLine("x", { objectRef: { resource: "pods", subresource: "exec" } })}\n`);
  const second = `[INPUT]\n Name tail\n Tag audit.api\n Path ${api}\n Parser json\n`;
  await apply(pipeline, w, auditd(w) + second + detectAndKeep(w), execRule + shellRule);
  await until("both alerts", () => w.alerts.length === 2);
  const found = [...w.alerts].sort((a, b) => (a.source < b.source ? -1 : 1));
  assert.deepEqual(
    found.map(({ source, rule }) => [source, rule]),
    [
      ["k8s_audit", "Exec into a pod"],
      ["syscall", "Shell below a web server"],
    ],
  );
  assert.match(found[1]?.output ?? "", /Shell \(command=sh -c id parent=nginx\)/);
  const stats = await pipeline.stats();
  assert.deepEqual([stats.undetected, stats.unfedSources], [0, []]);
  const kept = fs.readFileSync(join(w.out, "audit.linux"), "utf8").trim().split("\n");
  assert.deepEqual(
    kept.map((line) => (JSON.parse(line) as { log: string }).log.split("\n")),
    [nginx, shell(2)],
  );
});

test("an alert about an event that a mask hides says that its rule fired, and nothing of the event", async (t) => {
  const w = world(t);
  const pipeline = w.start();
  fs.writeFileSync(w.log, text(nginx, shell(2)));
  const mask = "[FILTER]\n Name mask\n Match audit*\n Field log\n";
  await apply(pipeline, w, auditd(w) + mask + detectAndKeep(w), shellRule);
  await until("the alert", () => w.alerts.length === 1);
  const [alert] = w.alerts;
  assert.equal(alert?.rule, "Shell below a web server");
  const body = JSON.parse(alert?.body ?? "{}") as Record<string, unknown>;
  assert.deepEqual(
    [alert?.output, body["output"]],
    Array.from({ length: 2 }, () => "Shell below a web server (a mask hides the fields of the event)"),
  );
  assert.deepEqual(body["output_fields"], { "evt.time": null, "proc.cmdline": null, "proc.pname": null });
  assert.equal(body["priority"], "Critical");
  await until("the events", () => fs.existsSync(join(w.out, "audit.linux")));
  assert.doesNotMatch(fs.readFileSync(join(w.out, "audit.linux"), "utf8") + alert?.body, /nginx/);
});

test("an event that is read again after a restart raises the same alert with the same id, parents known", async (t) => {
  const w = world(t);
  const config = auditd(w) + detectAndKeep(w);
  fs.mkdirSync(join(w.dir, "log"));
  fs.writeFileSync(w.log, text(nginx, shell(2)));
  const first = w.start();
  await apply(first, w, config, shellRule);
  await until("the alert", () => w.alerts.length === 1);
  await first.stop();
  // The positions are lost, so that everything is read again.
  for (const name of ["checkpoint.json", "checkpoint.json.quick-0", "checkpoint.json.quick-1"]) {
    fs.rmSync(join(w.dir, "state", name));
  }
  const second = w.start();
  await apply(second, w, config, shellRule);
  await until("the same alert", () => w.alerts.length === 2);
  assert.equal(w.alerts[0]?.id, w.alerts[1]?.id);
  await second.stop();
  // The web server started before the restart; who it is stands in lines that were read long ago.
  const third = w.start();
  fs.appendFileSync(w.log, text(shell(3)));
  await apply(third, w, config, shellRule);
  await until("the alert of the new shell", () => w.alerts.length === 3);
  assert.match(w.alerts[2]?.output ?? "", /parent=nginx/);
  assert.notEqual(w.alerts[2]?.id, w.alerts[0]?.id);
});

test("rules whose source no input reads are told: they would look as if they watched over something", async (t) => {
  const w = world(t);
  const pipeline = w.start();
  fs.writeFileSync(w.log, "");
  const plain = auditd(w).replace("Parser auditd", "Parser json");
  await apply(pipeline, w, plain + detectAndKeep(w), execRule + shellRule);
  assert.deepEqual((await pipeline.stats()).unfedSources, ["syscall"]);
  const told = w.problems.find(({ code }) => code === "detect/unfed-syscall");
  assert.match(
    told?.message ?? "",
    /Rules of source syscall see no events: no input reads the Linux audit log/,
  );
  await apply(pipeline, w, auditd(w) + detectAndKeep(w), execRule + shellRule);
  assert.deepEqual((await pipeline.stats()).unfedSources, ["k8s_audit"]);
  // Rules that nobody runs need no events.
  await apply(
    pipeline,
    w,
    plain + detectAndKeep(w).replace(/\[OUTPUT\]\s+Name detect\s+Match \S+/, ""),
    shellRule,
  );
  assert.deepEqual((await pipeline.stats()).unfedSources, []);
});
