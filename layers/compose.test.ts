import assert from "node:assert/strict";
import { test } from "node:test";
import { buildLayerRelease, type Bundle, type LayerTerms } from "#trust";
import { composeRules, type OwnedLayer } from "./compose.ts";
import { baseRules, bundleWith, layer } from "./fixture.ts";

const labels = { team: "payments" };
const guarded = `- macro: reads
  condition: ka.verb = get
- list: watched
  items: [secrets]
- rule: Kept
  desc: d
  condition: reads and ka.target.resource in (watched)
  output: o
  priority: WARNING
  source: k8s_audit
  tags: [protected]
`;
const plain = bundleWith();
const bundle: Bundle = {
  ...plain,
  files: [
    { path: "guarded.yaml", content: guarded },
    { path: "base.yaml", content: baseRules },
  ],
};

function owned(
  content: string,
  terms: Partial<LayerTerms> = {},
  name = "payments",
  requires = {},
): OwnedLayer {
  const files = [{ path: "tune.yaml", content }];
  const built = buildLayerRelease({ org: "default", name, version: "1.0.0", files, ...requires });
  if (!built.ok) throw new Error(built.refusal.message);
  const all = {
    level: "team",
    selector: { team: "payments" },
    prefix: name,
    tune: ["*"],
    replace: [],
  } as const;
  return { release: built.value.release, terms: { ...all, ...terms } };
}

function ruleIn(layers: readonly OwnedLayer[], name: string, of = bundle) {
  return composeRules(of, labels, layers).report.ruleset.rules.find((rule) => rule.name === name);
}

/** Why a layer is left out, or "" when it is taken. */
function whyNot(content: string, terms: Partial<LayerTerms> = {}, of = bundle): string {
  const { taken, leftOut, report } = composeRules(of, labels, [owned(content, terms)]);
  assert.ok(report.ok, "the bundle itself loads whatever a layer says");
  assert.equal(taken.length + leftOut.length, 1);
  return leftOut.map(({ code, why }) => `${code}: ${why}`).join();
}

const priority = (value: string, rule = "Exec") =>
  `- rule: ${rule}\n  priority: ${value}\n  override: {priority: replace}\n`;
const condition = (text: string, how: string, rule = "Exec") =>
  `- rule: ${rule}\n  condition: ${text}\n  override: {condition: ${how}}\n`;
const newRule = (name: string, tags = "") =>
  `- rule: "${name}"\n  desc: d\n  condition: ka.verb = delete\n  output: o\n  priority: NOTICE\n  source: k8s_audit\n${tags}`;
const exception = (rule: string) =>
  `- rule: ${rule}\n  exceptions:\n    - {name: mine, fields: [ka.user.name], values: [[ann]]}\n  override: {exceptions: append}\n`;

test("a team's layer changes what its clusters run, and says from which file", () => {
  const { files, report, taken } = composeRules(bundle, labels, [owned(priority("ERROR"))]);
  assert.deepEqual(
    taken.map(({ release }) => release.name),
    ["payments"],
  );
  assert.deepEqual(
    files.map(({ name }) => name),
    ["guarded.yaml", "base.yaml", "layers/payments@1.0.0/tune.yaml"],
  );
  assert.equal(report.ruleset.rules.find(({ name }) => name === "Exec")?.priority, "Error");
});

test("a layer is left out on clusters that its delegation does not name, whatever it holds", () => {
  const { taken, leftOut } = composeRules(bundle, { team: "cards" }, [owned(priority("ERROR"))]);
  assert.deepEqual([taken.length, leftOut[0]?.code], [0, "trust/beyond-delegation"]);
});

test("owned layers come after the embedded ones of their level and before the next level, whatever their order", () => {
  const embedded = bundleWith(
    layer("team", "payments", labels, priority("CRITICAL")),
    layer("project", "p", labels, priority("DEBUG", "'Secret Read'")),
  );
  const team = owned(priority("ERROR") + priority("ERROR", "'Secret Read'"));
  const cluster = owned(priority("ALERT"), { level: "cluster" }, "eu-1");
  assert.equal(ruleIn([team], "Exec", embedded)?.priority, "Error");
  assert.equal(ruleIn([team], "Secret Read", embedded)?.priority, "Debug");
  for (const both of [
    [team, cluster],
    [cluster, team],
  ]) {
    assert.equal(ruleIn(both, "Exec", embedded)?.priority, "Alert");
  }
});

test("with the right to tune a layer adds to rules, lists and macros of others, and changes words and priority", () => {
  for (const content of [
    priority("ERROR"),
    condition("and ka.user.name != ann", "append"),
    exception("Exec"),
    "- list: tools\n  items: [argo]\n  override: {items: append}\n",
    "- macro: answered\n  condition: or ka.stage = Panic\n  override: {condition: append}\n",
    "- rule: Exec\n  output: mine\n  desc: mine\n  tags: [mine]\n  override: {output: replace, desc: replace, tags: append}\n",
  ]) {
    assert.equal(whyNot(content), "", content);
    assert.match(
      whyNot(content, { tune: ["Nothing"] }),
      /^layer\/beyond-terms: layers\/payments@1\.0\.0\/tune\.yaml:\d+: changes/,
    );
  }
});

test("a layer disables nothing and replaces no condition that its delegation does not name", () => {
  for (const content of [
    "- rule: Exec\n  enabled: false\n",
    "- rule: Exec\n  enabled: false\n  override: {enabled: replace}\n",
    condition("never", "replace").replace("never", "ka.verb = x"),
    "- rule: Exec\n  exceptions: []\n  override: {exceptions: replace}\n",
    newRule("Exec"),
  ]) {
    assert.match(whyNot(content), /^layer\/beyond-terms: .*(replaces|defines)/, content);
    assert.match(whyNot(content, { replace: ["Secret Read"] }), /^layer\/beyond-terms/, content);
    assert.equal(whyNot(content, { replace: ["Exec"] }), "", content);
    assert.equal(whyNot(content, { replace: ["*"], tune: [] }), "", content);
  }
  for (const content of ["- list: tools\n  items: []\n", "- macro: answered\n  condition: (ka.verb = x)\n"]) {
    assert.match(whyNot(content), /^layer\/beyond-terms: .*defines/, content);
  }
});

test("a layer brings items of its own only under its prefix", () => {
  assert.equal(whyNot(newRule("payments: deleted")), "");
  assert.equal(
    whyNot(
      `- list: payments_x\n  items: [a]\n- list: payments_x\n  items: [b]\n  override: {items: append}\n`,
    ),
    "",
  );
  assert.match(whyNot(newRule("Deleted")), /have to begin with 'payments'/);
  assert.match(whyNot("- macro: mine\n  condition: (ka.verb = x)\n"), /macro 'mine'/);
  const { prefix: _prefix, ...without } = owned("x").terms;
  const none = composeRules(bundle, labels, [{ ...owned(newRule("payments: x")), terms: without }]);
  assert.match(none.leftOut[0]?.why ?? "", /lets it bring nothing/);
});

test("no layer touches a protected rule, with whatever terms, directly or through what it is made of", () => {
  const all = { tune: ["*"], replace: ["*"] };
  for (const content of [
    priority("ERROR", "Kept"),
    exception("Kept"),
    "- rule: Kept\n  enabled: false\n",
    "- macro: reads\n  condition: and ka.user.name != ann\n  override: {condition: append}\n",
    "- macro: reads\n  condition: or ka.verb = list\n  override: {condition: append}\n",
    "- list: watched\n  items: []\n",
    "- list: watched\n  items: [configmaps]\n  override: {items: append}\n",
  ]) {
    assert.match(whyNot(content, all), /^layer\/beyond-terms: .*(protected|Kept)/, content);
  }
});

test("no layer makes a rule a protected one: it could never be taken away again", () => {
  const all = { tune: ["*"], replace: ["*"] };
  assert.match(
    whyNot("- rule: Exec\n  tags: [protected]\n  override: {tags: append}\n", all),
    /gets the tag "protected"/,
  );
  assert.match(whyNot(newRule("payments: x", "  tags: [protected]\n")), /gets the tag "protected"/);
});

test("a rule that the node itself protects is out of reach, too", () => {
  const isProtected = ({ name }: { name: string }) => name === "Exec";
  const { leftOut } = composeRules(bundle, labels, [owned(priority("ERROR"))], { isProtected });
  assert.match(leftOut[0]?.why ?? "", /rule 'Exec' is protected/);
});

test("a layer that does not load, or needs a newer engine, is left out; the bundle and the other layers run", () => {
  const broken = owned("- rule: Exec\n  condition: and\n  override: {condition: append}\n");
  const newer = owned(priority("DEBUG"), { level: "project" }, "cards", { requires: { engine: ">=99.0.0" } });
  const good = owned(priority("ERROR"), { level: "cluster" }, "eu-1");
  const { report, taken, leftOut } = composeRules(bundle, labels, [broken, newer, good]);
  assert.ok(report.ok);
  assert.deepEqual(taken, [good]);
  assert.deepEqual(
    leftOut.map(({ code }) => code),
    ["rules/invalid", "trust/engine-too-old"],
  );
  assert.match(leftOut[0]?.why ?? "", /layers\/payments@1\.0\.0\/tune\.yaml/);
  assert.equal(ruleIn([broken, newer, good], "Exec")?.priority, "Error");
});

test("what a layer says about a file that cannot be read to its end is not believed either", () => {
  assert.match(whyNot(`${priority("ERROR")}- rule: [\n`), /^rules\/invalid/);
});

test("a bundle that does not load by itself is the bundle's problem, and no layer's", () => {
  const bad = { ...bundle, files: [{ path: "base.yaml", content: "- rule: half\n" }] };
  const { report, taken, leftOut } = composeRules(bad, labels, [owned(priority("ERROR"))]);
  assert.deepEqual([report.ok, taken.length, leftOut.length], [false, 0, 0]);
});
