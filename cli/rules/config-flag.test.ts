import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { runCli, setEnv, temporaryDirectory } from "../../test/support/run-cli.ts";

const rules = `- rule: Secret Read
  desc: d
  condition: ka.target.resource = secrets
  output: read (user=%ka.user.name)
  priority: WARNING
  source: k8s_audit
  tags: [secrets]
- rule: Anything
  desc: d
  condition: ka.verb exists
  output: anything
  priority: NOTICE
  source: k8s_audit
`;
const event = {
  kind: "Event",
  auditID: "a",
  stageTimestamp: "2026-01-02T03:04:05.000000Z",
  verb: "get",
  user: { username: "mallory" },
  sourceIPs: ["192.0.2.1"],
  objectRef: { resource: "secrets" },
};

interface Outcome {
  readonly alerts: readonly Readonly<Record<string, unknown>>[];
  readonly talk: string;
  readonly code: number;
}

async function room(t: TestContext, config: string) {
  const folder = await temporaryDirectory(t);
  const at = (name: string): string => join(folder, name);
  await writeFile(at("rules.yaml"), rules);
  await writeFile(at("events.jsonl"), JSON.stringify(event));
  await writeFile(at("falco.yaml"), config);
  const run = async (...more: readonly string[]): Promise<Outcome> => {
    const inputs = [
      "--rules",
      at("rules.yaml"),
      "--events",
      at("events.jsonl"),
      "--config",
      at("falco.yaml"),
    ];
    const { out, talk, code } = await runCli(["rules", "run", ...inputs, "--hostname", "h", ...more]);
    const alerts = out.split("\n").filter((line) => line !== "");
    return { alerts: alerts.map((line) => JSON.parse(line)), talk, code };
  };
  return { at, run };
}

const names = ({ alerts }: Outcome): readonly unknown[] => alerts.map(({ rule }) => rule);

test("--config makes alerts look as Falco's configuration asks", async (t) => {
  setEnv(t, "TEST_REGION", "eu-1");
  const { run } = await room(
    t,
    `time_format_iso_8601: true
json_include_message_property: true
json_include_tags_property: false
json_include_output_fields_property: true
static_fields: { region: "\${TEST_REGION}" }
append_output:
  - match: { rule: Secret Read }
    extra_output: "in %static.region"
    extra_fields: [ka.verb, { who: "by %ka.user.name" }]
`,
  );
  const { alerts, talk } = await run();
  assert.doesNotMatch(talk, /ignored/);
  assert.deepEqual(alerts, [
    {
      hostname: "h",
      message: "read (user=mallory) in eu-1",
      output: "2026-01-02T03:04:05.000000000+0000: Warning read (user=mallory) in eu-1",
      output_fields: {
        "evt.time.iso8601": 1767323045000000000,
        "ka.user.name": "mallory",
        "ka.verb": "get",
        "static.region": "eu-1",
        who: "by mallory",
      },
      priority: "Warning",
      rule: "Secret Read",
      source: "k8s_audit",
      time: "2026-01-02T03:04:05.000000000Z",
    },
  ]);
});

test("--config leaves members out of alerts", async (t) => {
  const { run } = await room(
    t,
    "json_include_output_property: false\njson_include_output_fields_property: false\n",
  );
  const [alert] = (await run()).alerts;
  assert.deepEqual(Object.keys(alert ?? {}), ["hostname", "priority", "rule", "source", "tags", "time"]);
});

test("--config chooses which rules fire, and flags win over it", async (t) => {
  const { run } = await room(
    t,
    'rule_matching: all\npriority: notice\nrules:\n  - disable: { rule: "*" }\n  - enable: { tag: secrets }\n',
  );
  assert.deepEqual(names(await run()), ["Secret Read"]);
  assert.deepEqual(names(await run("--enable", "Any*")), ["Secret Read", "Anything"]);
  assert.deepEqual(names(await run("--enable", "Any*", "--rule-matching", "first")), ["Secret Read"]);
  assert.deepEqual(names(await run("--enable", "Any*", "--minimum-priority", "warning")), ["Secret Read"]);
});

test("--config says in one line what it does not follow, and what may be a slip of the pen", async (t) => {
  const { run } = await room(t, "rules_files: [/etc/falco]\nrule_matchin: all\njson_output: true\n");
  const { talk, code } = await run();
  assert.equal(code, 0);
  const [line] = talk.split("\n");
  assert.match(
    line ?? "",
    /falco\.yaml: ignored, .*: rules_files, rule_matchin, json_output; line 2: is "rule_matchin" meant to be "rule_matching"\?$/,
  );
});

test("--config that makes no sense ends with 2 and names every place", async (t) => {
  const { run } = await room(t, "priority: urgent\nrule_matching: most\n");
  const { talk, code } = await run();
  assert.equal(code, 2);
  assert.match(
    talk,
    /falco\.yaml:1:11: priority: "urgent"[\s\S]*falco\.yaml:2:16: rule_matching: give first or all/,
  );
  assert.equal((await runCli(["rules", "validate", "rules.yaml", "--config", "/none.yaml"])).code, 2);
});

test("validate, test and explain follow --config too", async (t) => {
  const { at } = await room(t, 'append_output: [{ extra_output: "%static.region" }]\nrule_matching: all\n');
  const validated = await runCli(["rules", "validate", at("rules.yaml"), "--config", at("falco.yaml")]);
  assert.equal(validated.code, 1);
  assert.match(validated.out, /static\.region/);
  await writeFile(at("falco.yaml"), "rule_matching: all\nstatic_fields: { region: eu }\n");
  const tests = `rules: [rules.yaml]
tests:
  - { events: [events.jsonl], expect: { alerts: { Secret Read: 1, Anything: 1 } } }
  - { rule_matching: first, events: [events.jsonl], expect: { alerts: { Secret Read: 1 } } }
`;
  await writeFile(at("tests.yaml"), tests);
  const tested = await runCli(["rules", "test", at("tests.yaml"), "--config", at("falco.yaml")]);
  assert.equal(tested.out, "2 passed, 0 failed\n");
  const inputs = ["--rules", at("rules.yaml"), "--event", at("events.jsonl"), "--config", at("falco.yaml")];
  const explained = await runCli(["rules", "explain", "--rule", "Anything", ...inputs]);
  assert.match(explained.out, /^"Anything" matches and raises an alert/);
});

test("--config may ask for Falco's own answers, and --compat wins", async (t) => {
  const { at, run } = await room(t, "falconry: { compat: strict }\n");
  await writeFile(at("rules.yaml"), rules.replace("ka.target.resource = secrets", "ka.sourceips exists"));
  assert.deepEqual(names(await run()), ["Anything"]);
  assert.deepEqual(names(await run("--compat", "fixed")), ["Secret Read"]);
});

test("--envelope none takes what a cloud wraps for what it is", async (t) => {
  const { at, run } = await room(t, "");
  const logEvents = [{ id: "1", timestamp: 1, message: JSON.stringify(event) }];
  const wrapped = { messageType: "DATA_MESSAGE", logGroup: "/aws/eks/x/cluster", logEvents };
  await writeFile(at("events.jsonl"), JSON.stringify(wrapped));
  assert.deepEqual(names(await run()), ["Secret Read"]);
  assert.deepEqual(names(await run("--envelope", "none")), []);
  assert.deepEqual(names(await run("--envelope", "gke")), []);
});
