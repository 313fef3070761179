import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { createDetector, type Detector, type DetectorOptions } from "./detector.ts";
import { diffRules } from "./diff.ts";
import { loadRules } from "./load.ts";
import { noise } from "./regex/fixture.ts";
import { renderFindings } from "./render.ts";
import type { RuleSet } from "./ruleset.ts";

interface Wanted {
  readonly rule?: string;
  readonly condition: string;
  readonly output?: string;
  readonly tags?: readonly string[];
}

function ruleset(...rules: readonly Wanted[]): RuleSet {
  const items = rules.map((one, i) => ({
    rule: `rule ${i}`,
    desc: "d",
    output: "o",
    priority: "Warning",
    source: "k8s_audit",
    ...one,
  }));
  const files = [{ name: "test.yaml", content: JSON.stringify(items) }];
  const report = loadRules(files);
  assert.ok(report.ok, renderFindings(report, files));
  return report.ruleset;
}

function detector(rules: RuleSet, options: Partial<DetectorOptions> = {}): Detector {
  return createDetector(rules, { hostname: "node-1", ...options });
}

const event = {
  kind: "Event",
  auditID: "id-1",
  verb: "create",
  stageTimestamp: "2024-01-02T03:04:05.678901Z",
  user: { username: 'al"ice' },
  sourceIPs: ["10.0.0.1", "10.0.0.2"],
  requestObject: {
    spec: {
      securityContext: { runAsUser: 7 },
      containers: [{ name: "a", securityContext: { runAsUser: 0 } }, { name: "b" }],
      initContainers: [{ name: "i", image: "x:1" }, { name: "j" }],
      volumes: [{ name: "v", hostPath: { path: "/var/run/docker.sock" } }],
    },
    rules: [{ verbs: ["get", "*"], resources: ["pods"] }, { verbs: ["list"] }],
    subjects: [
      { kind: "User", name: "u" },
      { kind: "ServiceAccount", name: "s", namespace: "n" },
      { kind: "ServiceAccount", name: "t" },
    ],
  },
};
const line = JSON.stringify(event);

function fires(condition: string, options: Partial<DetectorOptions> = {}): boolean {
  return detector(ruleset({ condition }), options).detect(line).alerts.length > 0;
}

test("an alert is Falco's JSON, byte for byte", () => {
  const rules = ruleset({
    condition: "ka.verb = create",
    output: "user=%ka.user.name ns=%ka.target.namespace",
    tags: ["z", "a"],
  });
  const [alert] = detector(rules).detect(line).alerts;
  assert.equal(
    alert?.body,
    '{"hostname":"node-1","output":"03:04:05.678901000: Warning user=al\\"ice ns=<NA>","output_fields":{"evt.time":1704164645678901000,' +
      '"ka.target.namespace":null,"ka.user.name":"al\\"ice"},"priority":"Warning","rule":"rule 0","source":"k8s_audit",' +
      '"tags":["a","z"],"time":"2024-01-02T03:04:05.678901000Z"}',
  );
  assert.deepEqual([alert?.auditId, alert?.time], ["id-1", "2024-01-02T03:04:05.678901000Z"]);
});

test("source addresses are found, though Falco never finds them", () => {
  assert.equal(fires("ka.sourceips intersects (10.0.0.2)"), true);
  assert.equal(fires("ka.sourceips[0] in (10.0.0.1)"), true);
  assert.equal(fires("ka.sourceips exists", { compat: "strict" }), false);
});

test("the user a container runs as follows its own context, then the pod's", () => {
  assert.equal(fires("ka.req.pod.containers.eff_run_as_user in (0, 7)"), true);
  assert.equal(fires("ka.req.pod.containers.eff_run_as_user[1] in (7)"), true);
  assert.equal(fires("ka.req.pod.containers.eff_run_as_user in (0)", { compat: "strict" }), true);
});

const conditions: readonly [string, boolean][] = [
  ["ka.req.pod.containers.name in (a, b)", true],
  ["ka.req.pod.initContainers.image exists", false],
  ["ka.req.pod.initContainers.image[0] in (x:1)", true],
  ["ka.req.container.privileged = false", true],
  ["ka.req.volume.hostpath[/var/run/*] = true", true],
  ["ka.req.role.rules.verbs intersects (list)", true],
  ['ka.req.role.rules.verbs[0] in (get, "*")', true],
  ["ka.req.role.rules.resources[1] exists", false],
  ["ka.req.binding.subjects.serviceaccount_ns_names in (n:s)", true],
  ["ka.req.binding.subjects.group_names exists", false],
  ["ka.response.code != 200", false],
  ["not ka.response.code = 200", true],
  ["evt.reltime = 0 and evt.hostname = node-1", true],
  ["b64(ka.auditid) exists", false],
];
for (const [condition, want] of conditions) {
  test(`"${condition}" ${want ? "fires" : "does not fire"}`, () => assert.equal(fires(condition), want));
}

test("the first rule that matches wins, unless all are asked for", () => {
  const rules = ruleset(
    { condition: "ka.verb = x" },
    { condition: "ka.verb exists" },
    { condition: "ka.verb = create" },
  );
  const names = (ruleMatching: "first" | "all"): readonly string[] =>
    detector(rules, { ruleMatching })
      .detect(line)
      .alerts.map(({ rule }) => rule);
  assert.deepEqual(names("first"), ["rule 1"]);
  assert.deepEqual(names("all"), ["rule 1", "rule 2"]);
});

test("values of one event never leak into the next", () => {
  const one = detector(ruleset({ condition: "ka.impuser.name = eve", output: "%ka.impuser.name" }));
  assert.equal(
    one.detect(JSON.stringify({ ...event, impersonatedUser: { username: "eve" } })).alerts.length,
    1,
  );
  assert.equal(one.detect(line).alerts.length, 0);
});

test("a ruleset can be handed to another thread", () => {
  const rules = structuredClone(ruleset({ condition: "tolower(ka.verb) in (create)", output: "%ka.verb" }));
  assert.equal(detector(rules).detect(line).alerts.length, 1);
});

test("limits drop what is too large and say so", () => {
  const rules = ruleset({ condition: "ka.verb exists" });
  const large = JSON.stringify({ ...event, pad: "x".repeat(300_000) });
  assert.equal(detector(rules).detect(large).alerts.length, 1);
  assert.deepEqual(detector(rules, { compat: "strict" }).detect(large), {
    alerts: [],
    events: 0,
    problems: ["event dropped: larger than 262144 bytes"],
  });
  assert.deepEqual(detector(rules, { lineBytesMax: 1000 }).detect(large).problems, [
    "line dropped: larger than 1000 bytes",
  ]);
});

test("detect() never throws, whatever the line", () => {
  const names = [
    "ka.uri.param[a]",
    "ka.req.pod.containers.args",
    "json.value[/a/0]",
    "ka.req.volume.hostpath[/x*]",
  ];
  const output = names.map((name) => `%${name}`).join(" ");
  const one = detector(ruleset({ condition: "evt.num > 0", output }), { ruleMatching: "all" });
  const audit = fc
    .json({ maxDepth: 4 })
    .map(
      (json) =>
        `{"kind":"Event","auditID":1,"stageTimestamp":"2024-01-02T03:04:05Z","requestObject":${json},"requestURI":${json},"a":${json}}`,
    );
  const anyLine = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.json(),
    audit,
    audit.map((json) => `{"kind":"EventList","items":[${json},1]}`),
  );
  fc.assert(
    fc.property(anyLine, (text) => {
      for (const { body } of one.detect(text).alerts) JSON.parse(body);
    }),
    { numRuns: 1000 },
  );
});

test("diffRules() sees what a list reaches and nothing that only moved", () => {
  const load = (...contents: string[]): RuleSet =>
    loadRules(contents.map((content, i) => ({ name: `${i}`, content }))).ruleset;
  const list = (items: string): string => `- {list: l, items: [${items}]}\n`;
  const rule = (name: string, condition: string): string =>
    `- {rule: ${name}, desc: d, condition: ${condition}, output: o, priority: INFO, source: k8s_audit}\n`;
  const before = load(
    list("a") + rule("x", "ka.verb in (l)") + rule("y", "ka.verb=b") + rule("gone", "ka.verb=c"),
  );
  const moved = load(
    list("a"),
    rule("x", "ka.verb   in (l)") + rule("y", "ka.verb = b"),
    rule("gone", "ka.verb=c"),
  );
  assert.deepEqual(diffRules(before, moved), { added: [], removed: [], changed: [] });
  const after = load(
    list("a, z") + rule("x", "ka.verb in (l)") + rule("y", "ka.verb=b") + rule("new", "ka.verb=c"),
  );
  assert.deepEqual(diffRules(before, after), { added: ["new"], removed: ["gone"], changed: ["x"] });
});

test("a pattern that would take too long on a text is told, and holds up no other rule", () => {
  const condition = 'ka.useragent regex ".*a(ab|ba|aa|bb){200}"';
  const rules = ruleset({ condition }, { condition: `not ${condition}` }, { condition: "ka.verb = create" });
  for (const ruleMatching of ["first", "all"] as const) {
    const one = detector(rules, { ruleMatching });
    const long = JSON.stringify({ ...event, userAgent: noise(250_000, 1) });
    for (const found of [one.detect(long), one.detectBytes(Buffer.from(long), 0, long.length)]) {
      assert.deepEqual(
        found.alerts.map(({ rule }) => rule),
        ["rule 2"],
      );
      assert.deepEqual(
        found.problems.map((problem) => problem.split(":", 1)[0]),
        ["rule 'rule 0' was not decided", "rule 'rule 1' was not decided"],
      );
    }
    const short = one.detect(JSON.stringify({ ...event, userAgent: `a${"ab".repeat(200)}` }));
    assert.deepEqual(short.problems, []);
    assert.equal(short.alerts[0]?.rule, "rule 0");
  }
});

test("renderFindings() shows people the place and a caret", () => {
  const files = [
    {
      name: "pods.yaml",
      content:
        "- rule: r\n  desc: d\n  condition: >\n    ka.verb = create\n    and ka.nope = 1\n  output: o\n  priority: INFO\n  source: k8s_audit\n",
    },
  ];
  assert.equal(
    renderFindings(loadRules(files), files),
    [
      "pods.yaml: Invalid",
      "  pods.yaml:3:14: error LOAD_ERR_COMPILE_CONDITION in rule 'r': filter_check called with nonexistent field ka.nope",
      "    ka.verb = create and ka.nope = 1",
      "                         ^",
    ].join("\n"),
  );
});
