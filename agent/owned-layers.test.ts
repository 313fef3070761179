import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { pino } from "pino";
import type { LayerTerms } from "#trust";
import type { State } from "./applier.ts";
import { openBundleStore } from "./bundles.ts";
import { encodeComposition, type Composition, type LayerPart } from "./composition.ts";
import { openCurrent, type Current } from "./current.ts";
import { goBack } from "./go-back.ts";
import type { RulesParts } from "./pipeline/pipeline.ts";
import { noteParts, partsAt, wantedOf } from "./owned-layers.ts";

const terms: LayerTerms = { level: "team", selector: { team: "payments" }, tune: ["*"], replace: [] };
const sha = (text: string) => createHash("sha256").update(text).digest("hex");
const base = { kind: "rules", path: "rules/starter/1.0.0.json", length: 1, sha256: sha("base") } as const;
const layerOf = (version: string, name = "payments"): LayerPart => {
  return { path: `layer/${name}/${version}.json`, length: 2, sha256: sha(name + version), terms };
};
const plain = ({ path, length, sha256 }: LayerPart) => ({ path, length, sha256 });
const [first, second] = [layerOf("1.0.0"), layerOf("2.0.0")];

/** What the applier works with, of which the disk is real; the worker is what the test says that it proved. */
function newState(t: TestContext, known: Partial<Current>, worker: { rules?: string; parts?: RulesParts }) {
  const dir = mkdtempSync(join(tmpdir(), "falconry-owned-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const log = pino({ level: "silent" });
  const bundles = openBundleStore(dir, log);
  const current = openCurrent(join(dir, "current.json"));
  current.set({ ...current.get(), ...known });
  const refused: Record<string, string> = {};
  const accepted = { ok: true, value: { layer: "payments", authority: {}, ...terms } };
  const judge = (name: string) => {
    const code = refused[name];
    return code === undefined ? accepted : { ok: false, refusal: { code, message: "no" } };
  };
  const handed: unknown[] = [];
  const state = {
    current,
    bundles,
    log,
    onChange: () => undefined,
    client: () => undefined,
    signal: new AbortController().signal,
    tail: { read: () => "" },
    trust: {
      checkLayer: ({ path }: { path: string }) => judge(path),
      standing: (name: string) => judge(name),
    },
    live: {
      hashes: () => (worker.rules === undefined ? {} : { rules: worker.rules }),
      parts: () => worker.parts,
      labels: () => ({}),
      hand: (hashes: unknown) => {
        handed.push(hashes);
        return Promise.resolve({ ok: true });
      },
    },
  };
  const put = (composition: Composition) => {
    const text = encodeComposition(composition);
    writeFileSync(bundles.pathOf(sha(text)), text);
    return sha(text);
  };
  return { state: state as unknown as State, put, refused, handed, current, dir };
}

const assigned = (...layers: readonly LayerPart[]) => {
  return { generation: 7, targets: [base], layers: layers.map(plain) };
};
const proving = (...layers: readonly LayerPart[]): RulesParts => {
  const named = layers.map(({ sha256 }) => ({ name: "payments", digest: `sha256:${sha256}` }));
  return { base: `sha256:${base.sha256}`, layers: named, leftOut: [] };
};

test("a layer that cannot be fetched leaves the bundle alone to run, and is asked for again", async (t) => {
  const { state, current } = newState(t, { assignment: assigned(first) }, {});
  const wanted = await wantedOf(state);
  assert.deepEqual(wanted.assignment?.targets, [base]);
  assert.equal(wanted.isLacking, true);
  assert.equal(current.get().layers?.["payments"]?.reason, "fetch/server-away");
});

test("while a layer runs nothing is applied again for it, and the one that made way for it is forgotten", async (t) => {
  const { before: _none, ...old } = first;
  const composition = { base, layers: [{ ...second, before: old }] };
  const worker = { rules: "", parts: proving(second) };
  const { state, put } = newState(t, { assignment: assigned(second) }, worker);
  worker.rules = put(composition);
  const wanted = await wantedOf(state);
  assert.equal(wanted.assignment?.targets[0]?.sha256, worker.rules);
});

test("a layer whose delegation is gone is wanted no longer, whatever the assignment says", async (t) => {
  const worker = { rules: "", parts: proving(first) };
  const { state, put, refused, current } = newState(t, { assignment: assigned(first) }, worker);
  worker.rules = put({ base, layers: [first] });
  refused["payments"] = "trust/not-delegated";
  const wanted = await wantedOf(state);
  assert.deepEqual(wanted.assignment?.targets, [base]);
  assert.equal(current.get().layers?.["payments"]?.reason, "trust/not-delegated");
});

test("what fails its soak with a new layer is that layer's doing: the bundle is not blamed, and tried again without it", async (t) => {
  const worker = { rules: "", parts: proving(second) };
  const { state, put, handed, current } = newState(t, { assignment: assigned(second) }, worker);
  const good = put({ base, layers: [first] });
  const { before: _none, ...old } = first;
  worker.rules = put({ base, layers: [{ ...second, before: old }] });
  const trial = { sha256: worker.rules, generation: 7, sinceMs: 1, deaths: 0, lastDeath: "", isOpen: true };
  const running = { rules: { sha256: good, sinceMs: 1 } };
  current.set({ ...current.get(), running, trials: { rules: trial } });
  await goBack(state, "rules", trial, { kind: "failed", reason: "soak/too-slow", detail: "slow" });
  const { layers, attempts } = current.get();
  assert.deepEqual(handed, [{ rules: good }]);
  assert.equal(attempts.rules, undefined);
  assert.deepEqual(
    [layers?.["payments"]?.sha256, layers?.["payments"]?.phase],
    [second.sha256, "rolled-back"],
  );
  Object.assign(worker, { rules: good, parts: proving(first) });
  noteParts(state);
  assert.equal(
    current.get().layers?.["payments"]?.phase,
    "rolled-back",
    "that the one before runs is no news",
  );
  assert.equal((await wantedOf(state)).assignment?.targets[0]?.sha256, good);
});

test("without new layers what fails its soak is the bundle's doing, under the name that people know", async (t) => {
  const { state, put, current } = newState(t, { assignment: assigned(first) }, { rules: "" });
  const failed = put({ base, layers: [first] });
  const good = put({ base: { ...base, sha256: sha("older") }, layers: [first] });
  const trial = { sha256: failed, generation: 7, sinceMs: 1, deaths: 0, lastDeath: "", isOpen: true };
  current.set({
    ...current.get(),
    running: { rules: { sha256: good, sinceMs: 1 } },
    trials: { rules: trial },
  });
  await goBack(state, "rules", trial, { kind: "failed", reason: "soak/too-slow", detail: "slow" });
  assert.deepEqual([current.get().attempts.rules?.base, current.get().layers], [base.sha256, undefined]);
});

test("what was tried of layers that are neither assigned nor run is forgotten, so that nobody can fill the disk with it", async (t) => {
  const { state, current, refused } = newState(t, {}, {});
  for (let n = 0; n < 40; n += 1) {
    const layer = layerOf("1.0.0", `t${n}`);
    refused[layer.path] = "trust/not-delegated";
    current.set({ ...current.get(), assignment: assigned(layer) });
    await wantedOf(state);
  }
  assert.deepEqual(Object.keys(current.get().layers ?? {}), ["t39"]);
});

test("everything that a composition is made of is kept with it, the release that it may go back to as well", (t) => {
  const { put, dir } = newState(t, {}, {});
  const { before: _none, ...old } = first;
  const sha256 = put({ base, layers: [{ ...second, before: old }] });
  assert.deepEqual(partsAt(join(dir, `${sha256}.json`)), [base.sha256, second.sha256, first.sha256]);
  assert.deepEqual(partsAt(join(dir, "gone.json")), []);
});
