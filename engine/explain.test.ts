import assert from "node:assert/strict";
import { test } from "node:test";
import { type ExplainedPart, type Explanation, explainRule, loadRules } from "./index.ts";

const content = `
- list: sensitive
  items: [secrets, configmaps]
- macro: reading
  condition: ka.verb in (get, list)
- macro: read_sensitive
  condition: reading and ka.target.resource in (sensitive)
- rule: Everything
  desc: d
  condition: ka.verb = list
  output: o
  priority: INFO
  source: k8s_audit
- rule: Sensitive
  desc: d
  condition: read_sensitive and not (ka.user.name startswith "system:" or tolower(ka.user.name) = root)
  output: o
  priority: INFO
  source: k8s_audit
  exceptions:
    - name: unused
      fields: [ka.verb]
    - name: robots
      fields: [ka.user.name]
      values: [[robot]]
`;
const report = loadRules([{ name: "rules.yaml", content }]);
const event = (verb: string, user: string, resource = "secrets") =>
  JSON.stringify({
    kind: "Event",
    auditID: "a",
    stageTimestamp: "2026-01-01T00:00:00Z",
    verb,
    user: { username: user },
    objectRef: { resource },
  });

function explain(line: string, rule = "Sensitive"): Explanation {
  const outcome = explainRule(report.ruleset, rule, { hostname: "h" })?.(line);
  assert.ok(outcome?.ok === true, JSON.stringify(outcome));
  return outcome.explanation;
}

const checks = (part: ExplainedPart): readonly ExplainedPart[] =>
  part.kind === "check" ? [part] : part.parts.flatMap(checks);

test("explainRule() says which check decided, what it read, and which checks were not needed", () => {
  const { verdict, condition } = explain(event("get", "alice", "pods"));
  assert.equal(verdict, false);
  const all = checks(condition);
  assert.deepEqual(
    all.filter(({ decisive }) => decisive).map(({ text, values }) => ({ text, values })),
    [
      {
        text: "ka.target.resource in (secrets, configmaps)",
        values: [{ field: "ka.target.resource", value: "pods" }],
      },
    ],
  );
  assert.deepEqual(
    all.map(({ reached }) => reached),
    [true, true, false, false, false],
  );
});

test("explainRule() names macros and exceptions where they stand", () => {
  const { condition } = explain(event("get", "robot"));
  const own = condition.parts[0];
  assert.deepEqual(own?.parts[0]?.macros, ["read_sensitive"]);
  assert.deepEqual(own?.parts[0]?.parts[0]?.macros, ["reading"]);
  assert.equal(condition.parts[1]?.exception, "robots");
  assert.equal(condition.parts[1]?.decisive, true);
});

test("explainRule() shows missing fields as null and what a transformer makes of a field", () => {
  const { condition } = explain(event("get", "ROOT"));
  const call = checks(condition).find(({ text }) => text.startsWith("tolower"));
  assert.deepEqual(call?.values, [
    { field: "tolower(ka.user.name)", value: "root" },
    { field: "ka.user.name", value: "ROOT" },
  ]);
  const bare = '{"kind":"Event","auditID":"a","stageTimestamp":"2026-01-01T00:00:00Z"}';
  const verb = checks(explain(bare).condition)[0];
  assert.deepEqual(verb?.values, [{ field: "ka.verb", value: null }]);
});

test("explainRule() tells which rule matched first, and that with all both would alert", () => {
  const first = explain(event("list", "alice"));
  assert.equal(first.verdict, true);
  assert.deepEqual(first.matching, ["Everything", "Sensitive"]);
  assert.deepEqual(first.alerting, ["Everything"]);
  const all = explainRule(report.ruleset, "Sensitive", { hostname: "h", ruleMatching: "all" });
  const outcome = all?.(event("list", "alice"));
  assert.deepEqual(outcome?.ok === true && outcome.explanation.alerting, ["Everything", "Sensitive"]);
});

test("explainRule() says why an event is dropped, and knows no rule that is not there", () => {
  const outcome = explainRule(report.ruleset, "Sensitive", { hostname: "h" })?.('{"kind":"Event"}');
  assert.deepEqual(outcome, { ok: false, problem: "can't read stageTimestamp" });
  assert.equal(explainRule(report.ruleset, "Nobody", { hostname: "h" }), undefined);
});

test("explainRule() knows the fixed texts that configuration names", () => {
  const rule = {
    rule: "Static",
    desc: "d",
    condition: 'static.environment = prod and tolower(static.environment) = "prod"',
    output: "%static.environment",
    priority: "INFO",
    source: "k8s_audit",
  };
  const { ruleset } = loadRules([{ name: "static.yaml", content: JSON.stringify([rule]) }], {
    staticFields: { environment: "prod" },
  });
  const outcome = explainRule(ruleset, "Static", { hostname: "h" })?.(event("get", "alice"));
  assert.ok(outcome?.ok === true && outcome.explanation.verdict);
  const { condition } = outcome.explanation;
  assert.equal(condition.verdict, true);
  assert.deepEqual(condition.parts[0]?.values, [{ field: "static.environment", value: "prod" }]);
});

test("explainRule() shows what a field holds that outputs can not print", () => {
  const rule = {
    rule: "Call",
    desc: "d",
    condition: "evt.type = connect and fd.ip = 1.2.3.4 and proc.aname = sh",
  };
  const content = JSON.stringify([{ ...rule, output: "o", priority: "INFO" }]);
  const { ruleset } = loadRules([{ name: "call.yaml", content }]);
  const outcome = explainRule(ruleset, "Call", { hostname: "h" })?.(
    'type=SYSCALL msg=audit(1700000000.123:1): arch=c000003e syscall=42 success=yes exit=0 a0=3 a1=0 a2=10 a3=0 items=0 ppid=1 pid=2 comm="x" exe="/x"\n' +
      "type=SOCKADDR msg=audit(1700000000.123:1): saddr=0200115C01020304\n",
  );
  assert.ok(outcome?.ok === true, JSON.stringify(outcome));
  const found = checks(outcome.explanation.condition).find(({ text }) => text.startsWith("fd.ip"));
  assert.deepEqual(found?.values, [{ field: "fd.ip", value: "1.2.3.4" }]);
});
