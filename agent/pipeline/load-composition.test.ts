import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { buildBundle, buildLayerRelease, type LayerTerms } from "#trust";
import { encodeComposition, type Composition, type LayerPart } from "../composition.ts";
import { loadRulesBundle } from "./load-bundle.ts";
import type { PipelineFacts } from "./load-bundle.ts";

const base = `- rule: Exec
  desc: d
  condition: ka.target.subresource = exec
  output: o
  priority: NOTICE
  source: k8s_audit
`;
const terms: LayerTerms = {
  level: "team",
  selector: { team: "payments" },
  prefix: "payments",
  tune: ["*"],
  replace: [],
};
const facts: PipelineFacts = {
  clusterId: "cl_1",
  agentId: "ag_1",
  labels: { team: "payments" },
  variables: {},
  hostname: "node-1",
};
const priority = (value: string) => `- rule: Exec\n  priority: ${value}\n  override: {priority: replace}\n`;
const enabledOf = "- rule: Exec\n  enabled: false\n";

/** A folder with what an agent keeps, each under its hash. */
function newFolder(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), "falconry-composition-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const put = (bytes: Uint8Array | string) => {
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(join(dir, `${sha256}.json`), bytes);
    return sha256;
  };
  const bundle = (content = base) => {
    const files = [{ path: "rules.yaml", content }];
    const built = buildBundle({
      org: "default",
      kind: "rules",
      name: "starter",
      version: "1.0.0",
      files,
      layers: [],
    });
    assert.ok(built.ok);
    put(built.value.bytes);
    return built.value.target;
  };
  const layer = (
    version: string,
    content: string,
    change: { name?: string; org?: string } = {},
  ): LayerPart => {
    const files = [{ path: "tune.yaml", content }];
    const built = buildLayerRelease({ org: "default", name: "payments", version, files, ...change });
    assert.ok(built.ok);
    put(built.value.bytes);
    return { ...built.value.target, terms };
  };
  const load = (composition: Composition, of = facts, more: { needs?: string } = {}) => {
    const sha256 = put(encodeComposition(composition));
    const source = { path: join(dir, `${sha256}.json`), digest: `sha256:${sha256}`, ...more };
    const loaded = loadRulesBundle(source, of, {});
    return { sha256, loaded, ...(loaded.ok ? { parts: loaded.parts } : {}) };
  };
  return { dir, bundle, layer, load };
}

const leftOut = (parts: ReturnType<ReturnType<typeof newFolder>["load"]>["parts"]) =>
  parts?.leftOut.map(({ name, code }) => `${name} ${code}`);

test("rules with a team's layer are proved by the hash of all, and alerts name the bundle that people released", (t) => {
  const { bundle, layer, load } = newFolder(t);
  const [target, first] = [bundle(), layer("1.0.0", priority("ERROR"))];
  const { sha256, loaded, parts } = load({ base: target, layers: [first] });
  assert.ok(loaded.ok);
  assert.equal(loaded.digest, `sha256:${sha256}`);
  assert.equal(loaded.value.digest, `sha256:${target.sha256}`);
  assert.deepEqual(parts, {
    base: `sha256:${target.sha256}`,
    layers: [{ name: "payments", digest: `sha256:${first.sha256}` }],
    leftOut: [],
  });
  assert.equal(loaded.value.rules.compiled[0]?.priority, "Error");
});

test("a layer that does not pass makes way for the release of it that ran before", (t) => {
  const { bundle, layer, load } = newFolder(t);
  const { before: _none, ...first } = layer("1.0.0", priority("ERROR"));
  for (const content of [enabledOf, "- rule: half\n"]) {
    const second = { ...layer("2.0.0", content), before: first };
    const { loaded, parts } = load({ base: bundle(), layers: [second] });
    assert.deepEqual(parts?.layers, [{ name: "payments", digest: `sha256:${first.sha256}` }], content);
    assert.equal(parts?.leftOut.length, 1);
    assert.equal(loaded.ok && loaded.value.rules.compiled[0]?.priority, "Error");
  }
});

test("a bundle runs whatever is wrong with a layer, with the one before it as well", (t) => {
  const { dir, bundle, layer, load } = newFolder(t);
  const { before: _none, ...bad } = layer("1.0.0", enabledOf);
  const twice = load({ base: bundle(), layers: [{ ...layer("2.0.0", "- rule: half\n"), before: bad }] });
  assert.deepEqual(leftOut(twice.parts), ["payments rules/invalid", "payments layer/beyond-terms"]);
  const foreign = layer("1.0.0", priority("ERROR"), { org: "other" });
  const renamed = {
    ...layer("1.0.0", priority("ERROR"), { name: "cards" }),
    path: "layer/payments/1.0.0.json",
  };
  const changed = layer("3.0.0", priority("ERROR"));
  writeFileSync(join(dir, `${changed.sha256}.json`), "{}");
  const gone = { ...layer("4.0.0", priority("ERROR")), sha256: "0".repeat(64) };
  for (const [part, code] of [
    [foreign, "trust/wrong-org"],
    [renamed, "trust/not-listed"],
    [changed, "bundle/digest-mismatch"],
    [gone, "bundle/unreadable"],
  ] as const) {
    const { loaded, parts } = load({ base: bundle(), layers: [part] });
    assert.ok(loaded.ok);
    assert.deepEqual([parts?.layers, leftOut(parts)], [[], [`payments ${code}`]]);
  }
});

test("labels of another team take the layer away, and the bundle goes on", (t) => {
  const { bundle, layer, load } = newFolder(t);
  const composition = { base: bundle(), layers: [layer("1.0.0", priority("ERROR"))] };
  const { parts } = load(composition, { ...facts, labels: { team: "cards" } });
  assert.deepEqual([parts?.layers, leftOut(parts)], [[], ["payments trust/beyond-delegation"]]);
});

test("a bundle that does not load is refused as by itself, whatever layers are on it", (t) => {
  const { bundle, layer, load } = newFolder(t);
  const { loaded } = load({ base: bundle("- rule: half\n"), layers: [layer("1.0.0", priority("ERROR"))] });
  assert.equal(loaded.ok ? "" : loaded.reason, "rules/invalid");
  const missing = { ...bundle(), sha256: "0".repeat(64) };
  const { loaded: none } = load({ base: missing, layers: [layer("1.0.0", priority("ERROR"))] });
  assert.equal(none.ok ? "" : none.reason, "bundle/unreadable");
});

test("a layer that is tried is refused for what an agent that runs it would say, and not compared as if it were there", (t) => {
  const { bundle, layer, load } = newFolder(t);
  const [good, beyond] = [layer("1.0.0", priority("ERROR")), layer("2.0.0", enabledOf)];
  for (const [tried, want] of [
    [good, "loads"],
    [beyond, "layer/beyond-terms"],
  ] as const) {
    const needs = `sha256:${tried.sha256}`;
    const { loaded } = load({ base: bundle(), layers: [tried] }, facts, { needs });
    assert.equal(loaded.ok ? "loads" : loaded.reason, want);
  }
});
