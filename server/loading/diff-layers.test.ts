import assert from "node:assert/strict";
import { test } from "node:test";

import { buildBundle, buildLayerRelease, type Bundle, type LayerTerms } from "#trust";

import { compareLayers } from "./diff-layers.ts";
import { diffBundles, readBundle } from "./diff.ts";

function built<T>(checked: { readonly ok: true; readonly value: T } | { readonly ok: false }): T {
  assert.ok(checked.ok);
  return checked.value;
}

const rule = (name: string) =>
  `- rule: ${name}\n  desc: d\n  condition: ka.verb = get\n  output: o\n  priority: WARNING\n  source: k8s_audit\n`;
const files = (content: string) => [{ path: "rules.yaml", content }];
const base = built(
  buildBundle({
    org: "default",
    kind: "rules",
    name: "starter",
    version: "1.0.0",
    files: files(rule("Secret read")),
    layers: [],
  }),
);
const release = (version: string, content: string) =>
  built(buildLayerRelease({ org: "default", name: "payments", version, files: files(content) }));
const off = release("1.0.0", `- rule: Secret read\n  enabled: false\n${rule("payments own")}`);
const contents = new Map([base, off].map(({ digest, bytes }) => [digest, bytes]));
const labels = { team: "payments" };

const termsWith = (terms: Pick<LayerTerms, "replace">): LayerTerms => ({
  level: "team",
  selector: labels,
  prefix: "payments",
  tune: [],
  ...terms,
});

function compare(terms: Pick<LayerTerms, "replace">, before: readonly string[], after: readonly string[]) {
  const all = termsWith(terms);
  const pairs = [{ base: base.digest, before, after, labels }];
  const compared = compareLayers({ contents, terms: new Map([["payments", all]]), pairs });
  assert.ok(compared.ok);
  return compared.value[0];
}

test("a plan of a layer says what it brings and takes away, and that coverage is lost", () => {
  const change = compare({ replace: ["*"] }, [], [off.digest]);
  assert.deepEqual(change?.added, ["payments own"]);
  assert.deepEqual(change?.loss?.disabled, ["Secret read"]);
  const back = compare({ replace: ["*"] }, [off.digest], []);
  assert.deepEqual(back?.removed, ["payments own"]);
});

test("a release that agents would leave out changes nothing in a plan", () => {
  const change = compare({ replace: [] }, [], [off.digest]);
  assert.deepEqual([change?.added, change?.changed, change?.loss], [[], [], undefined]);
});

test("a plan of a layer says of clusters beyond its terms that nothing changes, also after others that get it", () => {
  const terms = new Map([["payments", termsWith({ replace: ["*"] })]]);
  const pair = { base: base.digest, before: [], after: [off.digest] };
  const pairs = [labels, { team: "other" }].map((own) => ({ ...pair, labels: own }));
  const compared = compareLayers({ contents, terms, pairs });
  assert.ok(compared.ok);
  assert.deepEqual(
    compared.value.map(({ added }) => added),
    [["payments own"], []],
  );
});

/** What starter 1.1.0 with these rules and embedded layers means to a cluster that runs the team's layer on 1.0.0. */
function replaceBase(content: string, tune: string, layers: Bundle["layers"] = []) {
  const made = buildBundle({
    org: "default",
    kind: "rules",
    name: "starter",
    version: "1.1.0",
    files: files(content),
    layers,
  });
  const [before, after] = [readBundle(base.bytes), readBundle(built(made).bytes)];
  assert.ok(before !== undefined && after !== undefined);
  const { release: own } = release("2.0.0", tune);
  const terms: LayerTerms = { level: "team", selector: labels, prefix: "payments", tune: ["*"], replace: [] };
  return diffBundles(before, after, labels, [{ release: own, terms }]);
}

const urgent = "- rule: Secret read\n  priority: ALERT\n  override: { priority: replace }\n";

test("a plan of a rules bundle says what changes under the layers that teams have on it, and not what they hide", () => {
  const louder = rule("Secret read").replace("WARNING", "CRITICAL");
  assert.deepEqual(replaceBase(louder, urgent).changed, [], "the team's layer sets the priority either way");
  assert.deepEqual(replaceBase(louder, rule("payments own")).changed, ["Secret read"]);
});

test("a plan of a rules bundle says which layers of teams agents would leave out on it, and what is lost with them", () => {
  const change = replaceBase(rule("Other"), `${rule("payments own")}${urgent}`);
  assert.match(
    change.layerNotes?.[0] ?? "",
    /^agents would leave out the layer payments@2\.0\.0: .*\(.+\)$/s,
  );
  assert.deepEqual(change.removed, ["Secret read", "payments own"]);
});

test("a plan of a rules bundle says where a layer of it and one of a team contradict each other", () => {
  const tune = { path: "tune.yaml", content: urgent.replace("ALERT", "ERROR") };
  const embedded = { name: "payments", level: "team", selector: labels, files: [tune] } as const;
  const { layerNotes } = replaceBase(rule("Secret read"), urgent, [embedded]);
  assert.deepEqual(layerNotes, [
    "the priority of rule 'Secret read' is said twice: layers/team-payments/tune.yaml:2:13 by the bundle, and layers/payments@2.0.0/rules.yaml:2:13 by the team's layer, which wins",
  ]);
  assert.equal(replaceBase(rule("Secret read"), urgent).layerNotes, undefined);
});
