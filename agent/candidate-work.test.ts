/** What a candidate is compared as: what would run here, layers and all, and nothing that may not start. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { buildBundle, buildLayerRelease, type LayerTerms } from "#trust";
import { openBundleStore } from "./bundles.ts";
import { fetchCandidate, type CandidatePorts, type RunningRules } from "./candidate-work.ts";
import type { LayerPart } from "./composition.ts";
import type { Candidate } from "./domain/apply-plan.ts";
import { loadRuleSet } from "./pipeline/load-bundle.ts";
import { log } from "./testing.ts";

const terms: LayerTerms = { level: "team", selector: { team: "payments" }, tune: ["*"], replace: [] };
const labels = { team: "payments" };
const facts = { clusterId: "cl_1", agentId: "ag_1", labels, variables: {}, hostname: "node-1" };
const rule = (priority: string) =>
  `- rule: Exec\n  desc: d\n  condition: ka.verb = create\n  output: o\n  priority: ${priority}\n  source: k8s_audit\n`;
const tuned = (priority: string) =>
  `- rule: Exec\n  priority: ${priority}\n  override: {priority: replace}\n`;

/** What runs in one folder, what may be fetched, and the ports of whoever works with candidates. */
function newAgent(t: TestContext, refused?: string) {
  const dir = mkdtempSync(join(tmpdir(), "falconry-candidate-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const [runs, tries] = [join(dir, "bundles"), join(dir, "candidates")];
  for (const each of [runs, tries]) mkdirSync(each);
  const put = (folder: string, bytes: Uint8Array) => {
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(join(folder, `${sha256}.json`), bytes);
  };
  const bundle = (folder: string, version: string, priority: string) => {
    const files = [{ path: "rules.yaml", content: rule(priority) }];
    const head = { org: "default", kind: "rules", name: "starter", version, layers: [] } as const;
    const built = buildBundle({ ...head, files });
    assert.ok(built.ok);
    put(folder, built.value.bytes);
    return { ...built.value.target, kind: "rules" } as const;
  };
  const layer = (folder: string, name: string, version: string, priority: string): LayerPart => {
    const files = [{ path: "tune.yaml", content: tuned(priority) }];
    const built = buildLayerRelease({ org: "default", name, version, files });
    assert.ok(built.ok);
    put(folder, built.value.bytes);
    return { ...built.value.target, terms };
  };
  let running: RunningRules | undefined;
  const judged =
    refused === undefined
      ? { ok: true, value: { layer: "payments", authority: {}, ...terms } }
      : { ok: false, refusal: { code: refused, message: "no" } };
  const ports = {
    trust: { checkTarget: (target: unknown) => ({ ok: true, value: target }), checkLayer: () => judged },
    candidates: openBundleStore(tries, log),
    rules: () => running,
    labels: () => labels,
    client: () => undefined,
    org: "default",
    onChange: () => undefined,
    log,
    signal: new AbortController().signal,
  } as unknown as CandidatePorts;
  const priorities = async (target: Candidate) => {
    const fetched = await fetchCandidate(ports, target, ports.signal);
    if (!("candidate" in fetched)) return fetched.reason;
    const loaded = loadRuleSet(fetched.candidate, facts, {});
    return loaded.ok ? loaded.value.rules.map(({ priority }) => priority).join() : loaded.reason;
  };
  const run = (base: LayerPart | ReturnType<typeof bundle>, ...layers: readonly LayerPart[]) => {
    running = { base, layers, pathOf: (sha256) => join(runs, `${sha256}.json`) };
  };
  return { runs, tries, bundle, layer, run, priorities };
}

test("a bundle is tried with the layers that teams have on the rules that run, as it would run", async (t) => {
  const { runs, tries, bundle, layer, run, priorities } = newAgent(t);
  const [old, next] = [bundle(runs, "1.0.0", "NOTICE"), bundle(tries, "2.0.0", "INFO")];
  run(old);
  assert.equal(await priorities(next), "Informational");
  const own = layer(runs, "payments", "1.0.0", "ERROR");
  run(old, own);
  assert.equal(await priorities(next), "Error");
  assert.equal(readdirSync(tries).length, 3, "the bundle, the layer and how they go together");
  run(old);
  assert.equal(await priorities(next), "Informational");
  assert.ok(!existsSync(join(tries, `${own.sha256}.json`)), "what is not tried any more is not kept");
});

test("a layer is tried on the rules that run, in the place of the release of it that runs", async (t) => {
  const { runs, tries, bundle, layer, run, priorities } = newAgent(t);
  const next = { kind: "layer", ...layer(tries, "payments", "2.0.0", "CRITICAL") } as const;
  assert.equal(await priorities(next), "layer/nothing-runs");
  const base = bundle(runs, "1.0.0", "NOTICE");
  run(base);
  assert.equal(await priorities(next), "Critical");
  run(base, layer(runs, "payments", "1.0.0", "ERROR"));
  assert.equal(await priorities(next), "Critical");
});

test("a layer that may not start here is not tried either", async (t) => {
  const { runs, tries, bundle, layer, run, priorities } = newAgent(t, "trust/not-delegated");
  run(bundle(runs, "1.0.0", "NOTICE"));
  const next = { kind: "layer", ...layer(tries, "payments", "2.0.0", "CRITICAL") } as const;
  assert.equal(await priorities(next), "trust/not-delegated");
});
