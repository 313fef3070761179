import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { BundleKind } from "#proto/fleet/v1/common";
import { PlanSchema } from "#proto/fleet/v1/rollout";
import { OfflinePolicy, OnFailure, RolloutSpecSchema } from "#proto/fleet/v1/rollout_spec";
import { plain } from "./output/text.ts";
import { planLines, watchedLines } from "./plan-view.ts";
import { specFrom } from "./rollout-flags.ts";
import { parseShare } from "./strategy-flags.ts";

const all = { all: true, "allow-coverage-loss": false, emergency: false } as const;
const filed = (file: string) => ({ ...all, strategy: file });

async function file(t: TestContext, text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "falconry-strategy-"));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, "strategy.yaml");
  await writeFile(path, text);
  return path;
}

test("a strategy file says all that the flags say, and flags that are given win over it", async (t) => {
  const path = await file(
    t,
    `region_order: [eu, us]
steps: [1, 10%]
stages:
  - selector: environment in (test,stage)
    name: early
    steps: [50%]
  - selector: environment=prod
max_unavailable: 20%
max_failures: 2%
soak: 10m
deadline: 15m
offline: skip
on_failure: rollback
gates:
  alerts: 2x
  lag: 10s
  silence: off
  cost: on
`,
  );
  const spec = await specFrom(BundleKind.RULES, { ...filed(path), soak: 30, "max-failures": count(3) });
  assert.deepEqual(spec.regionOrder, ["eu", "us"]);
  assert.deepEqual(
    spec.stages.map(({ name, steps }) => [name, steps.map(({ size }) => size)]),
    [
      ["early", [{ case: "percent", value: 50 }]],
      ["environment=prod", []],
    ],
  );
  assert.deepEqual(spec.stages[0]?.selector?.requirements[0]?.values, ["test", "stage"]);
  assert.deepEqual(spec.maxUnavailable?.size, { case: "percent", value: 20 });
  assert.deepEqual([spec.maxFailures, spec.maxFailuresPercent], [3, 0]);
  assert.deepEqual([spec.soakSeconds, spec.deadlineSeconds], [30, 900]);
  assert.deepEqual([spec.offline, spec.onFailure], [OfflinePolicy.SKIP, OnFailure.ROLL_BACK]);
  const gatesOf = ({ gates }: typeof spec) => gates.map(({ name, limit, off }) => [name, limit, off]);
  assert.deepEqual(gatesOf(spec), [
    ["alerts", "2x", false],
    ["lag", "10s", false],
    ["silence", "", true],
    ["cost", "", false],
  ]);
  const other = await specFrom(BundleKind.RULES, {
    ...filed(path),
    gate: ["silence=5x"],
    "no-gate": ["lag"],
  });
  assert.deepEqual(gatesOf(other), [
    ["alerts", "2x", false],
    ["cost", "", false],
    ["silence", "5x", false],
    ["lag", "", true],
  ]);
});

function count(n: number) {
  const share = parseShare(String(n), 0);
  assert.ok(share !== undefined);
  return share;
}

test("stages may be the values of one label in their order, in the file and as a flag", async (t) => {
  const path = await file(t, "stages:\n  environment: [test, prod]\n");
  const byFile = await specFrom(BundleKind.RULES, filed(path));
  const byFlag = await specFrom(BundleKind.RULES, { ...all, stages: "environment=test,prod" });
  assert.deepEqual(byFile.stages, byFlag.stages);
  assert.deepEqual(
    byFlag.stages.map(({ name }) => name),
    ["test", "prod"],
  );
});

test("every mistake in a strategy file is told with its line", async (t) => {
  const path = await file(
    t,
    `canary: none
max_unavalable: 5
soak: 10 minutes
stages:
  - name: first
  - selector: "environment=("
steps: [0, 10%, 200%]
offline: ignore
max_failures: -1
`,
  );
  await assert.rejects(specFrom(BundleKind.RULES, filed(path)), (error: Error) => {
    const told = error.message.split("\n").map((line) => line.replace(path, "F"));
    assert.deepEqual(told, [
      'F:1: give a whole number from 1 to 10000, not "none"',
      'F:2: "max_unavalable" is no key here; did you mean "max_unavailable"?',
      'F:3: give a duration such as 90s, 10m or 1h30m, not "10 minutes"',
      "F:5: give the selector of the stage as for -l (selector: environment=test), not nothing",
      told[4],
      'F:7: give a number of clusters (5) or a percentage (10%), at least 1, not "0"',
      'F:7: give a number of clusters (5) or a percentage (10%), at least 1, not "200%"',
      'F:8: give count or wait or skip, not "ignore"',
      'F:9: give a number of clusters (5) or a percentage (10%), at least 0, not "-1"',
    ]);
    assert.match(told[4] ?? "", /^F:6: the selector cannot be read at character/);
    return true;
  });
});

test("what is no YAML, no map or no file is refused in a sentence, and aliases cannot make a file grow", async (t) => {
  const refused = async (text: string) => {
    const path = await file(t, text);
    return specFrom(BundleKind.RULES, filed(path)).then(
      () => "taken",
      (error: Error) => error.message.replace(path, "F"),
    );
  };
  assert.match(await refused("soak: [\n"), /^F:2: the file cannot be read as YAML: /);
  assert.match(await refused("soak: 1m\nsoak: 2m\n"), /^F:2: .*unique/);
  assert.match(await refused("- soak\n"), /^F:1: give a map, not a list/);
  assert.match(await refused("steps: &a [1]\nregion_order: *a\n"), /cannot be read as YAML: /);
  assert.match(await refused("x".repeat(70_000)), /has 70000 bytes; a strategy file has 65536 at most/);
  await assert.rejects(
    specFrom(BundleKind.RULES, filed("/nowhere/strategy.yaml")),
    /--strategy \/nowhere\/strategy.yaml cannot be read \(ENOENT\)/,
  );
});

test("a plan says in words who is offline and what becomes of them, what bounds it, and who cannot take the bundle", () => {
  const plan = create(PlanSchema, {
    digest: "sha256:1",
    silent: ["eu-9"],
    maxUnavailable: 2,
    maxFailures: 1,
    gates: [{ name: "ingest", limit: "50%" }],
    engineProblems: [{ clusterName: "eu-1", engineVersion: "0.50.0", required: ">=0.60.0" }],
    diffs: [
      {
        from: { name: "starter", version: "1.0.0" },
        to: { name: "starter", version: "1.1.0" },
        clusterCount: 3,
        removed: ["Old rule"],
        rulesBefore: 12,
        rulesAfter: 11,
        tagsLost: ["mitre_impact"],
      },
    ],
  });
  const lines = (offline: OfflinePolicy) => {
    const spec = create(RolloutSpecSchema, { offline, soakSeconds: 300 });
    return planLines(plan, { spec, wide: false, paint: plain }).slice(2);
  };
  assert.deepEqual(lines(OfflinePolicy.SKIP), [
    "unproved at a time: at most 2 clusters; stops when more than 1 cluster failed",
    "silent now, they come last and hold nothing up; they get it when they are heard of, also after the end: eu-9",
    "cannot take it, the bundle asks for engine >=0.60.0; this is refused until their agents are upgraded or left out: eu-1 (engine 0.50.0)",
    "judged by proof, ingest 50%",
    "starter@1.0.0 -> starter@1.1.0 on 3 clusters:",
    "  - Old rule",
    "  enabled rules: 12 -> 11",
    "  threats no longer watched for: mitre_impact",
  ]);
  assert.match(lines(OfflinePolicy.WAIT)[1] ?? "", /their wave waits until they are heard of: eu-9/);
  assert.match(
    lines(OfflinePolicy.UNSPECIFIED)[1] ?? "",
    /until its deadline, and count as failed then: eu-9/,
  );
});

test("a plan and a start say that no wave is watched, also with a long soak of which every gate is off, but not of an emergency", () => {
  const said = (spec: MessageInitShape<typeof RolloutSpecSchema>) =>
    watchedLines(create(RolloutSpecSchema, spec)).join();
  assert.match(said({}), /^NO WAVE IS WATCHED: without a soak no rate and no alert is looked at/);
  assert.match(said({ soakSeconds: 299, gates: [{ name: "health" }] }), /with a soak of 299 s and/);
  assert.match(said({ gates: [{ name: "alerts", off: true }] }), /NO WAVE IS WATCHED/);
  assert.match(
    said({ soakSeconds: 600, gates: [{ name: "health" }] }),
    /with a soak of 600 s and these gates/,
  );
  assert.equal(said({ gates: [{ name: "alerts" }] }), "");
  assert.equal(said({ emergency: true }), "");
});

test("a plan says which layers apply on how many clusters and on which, and all of the names when they are asked for", () => {
  const name = (i: number) => `eu-${i}`;
  const plan = create(PlanSchema, {
    digest: "sha256:1",
    bundle: { name: "starter", version: "1.1.0" },
    gates: [{ name: "ingest", limit: "50%" }],
    layerEffects: [
      { layers: [], clusterNames: Array.from({ length: 7 }, (_, i) => name(i)) },
      { layers: ["team/payments", "cluster/eu-8"], clusterNames: ["eu-8"] },
    ],
  });
  const lines = (wide: boolean) =>
    planLines(plan, { spec: create(RolloutSpecSchema, { soakSeconds: 300 }), wide, paint: plain }).slice(4);
  assert.deepEqual(lines(false), [
    "layers of starter@1.1.0:",
    "  none, the base alone on 7 clusters: eu-0, eu-1, eu-2, eu-3, eu-4, and 2 more (all with -o wide)",
    "  team/payments, cluster/eu-8 on 1 cluster: eu-8",
  ]);
  assert.equal(
    lines(true)[1],
    "  none, the base alone on 7 clusters: eu-0, eu-1, eu-2, eu-3, eu-4, eu-5, eu-6",
  );
});
