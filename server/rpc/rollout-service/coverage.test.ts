/** What a plan says about coverage that is lost, and that it does not start without a person's word. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { loadRules, type RuleSet } from "#engine";
import { BundleService } from "#proto/fleet/v1/bundle";
import { BundleKind } from "#proto/fleet/v1/common";
import { RolloutService } from "#proto/fleet/v1/rollout";
import {
  buildLayerRelease,
  generateKey,
  newLayerList,
  newTargets,
  signMetadata,
  type Bundle,
  type BuiltBundle,
} from "#trust";

import type { Digest, RolloutId } from "../../domain/ids.ts";
import { reassign } from "../../store/assignments.ts";
import { must, push, rulesBundle } from "../../testing.ts";
import { startTestFleet, type TestFleet } from "../agent-service/fixture.ts";
import { coverageLoss } from "../../loading/coverage.ts";

interface Parts {
  readonly condition?: string;
  readonly tags?: readonly string[];
  readonly enabled?: boolean;
}

function rule(
  name: string,
  { condition = "ka.target.subresource = exec", tags = [], enabled = true }: Parts = {},
) {
  const whole = { rule: name, desc: "d", condition, output: "o", priority: "WARNING", source: "k8s_audit" };
  return `- ${JSON.stringify({ ...whole, tags, enabled })}\n`;
}

function load(content: string): RuleSet {
  const report = loadRules([{ name: "r.yaml", content }]);
  assert.ok(report.ok, JSON.stringify(report.results));
  return report.ruleset;
}

const secrets = { condition: "ka.target.resource = secrets" };
const narrow = { condition: "ka.target.resource = secrets and ka.verb = get" };
const cases: readonly (readonly [what: string, before: string, after: string, lost: RegExp | undefined])[] = [
  ["the same", rule("a"), rule("a"), undefined],
  ["one more", rule("a"), rule("a") + rule("b"), undefined],
  ["another name", rule("a"), rule("b"), undefined],
  ["another name that matches more", rule("a", narrow), rule("b", secrets), undefined],
  ["another name that matches less", rule("a", secrets), rule("b", narrow), /removed":\["a"\]/],
  ["the only one of its kind removed", rule("a") + rule("b", secrets), rule("a"), /removed":\["b"\]/],
  ["disabled", rule("a"), rule("a", { enabled: false }), /disabled":\["a"\]/],
  ["removed after it was disabled", rule("a") + rule("b", { enabled: false }), rule("a"), undefined],
  ["verbs", rule("a", secrets), rule("a", narrow), /requestsLost":\["list secrets"/],
  [
    "protected, narrowed",
    rule("a", { tags: ["protected"] }),
    rule("a", { tags: ["protected"], ...secrets }),
    /protected":\["\\"a\\" may match less/,
  ],
];
for (const [what, before, after, lost] of cases) {
  test(`coverageLoss() says ${lost === undefined ? "nothing" : "what is lost"}: ${what}`, () => {
    const found = coverageLoss(load(before), load(after));
    if (lost === undefined) assert.equal(found, undefined);
    else assert.match(JSON.stringify(found), lost);
  });
}

function bundle(version: string, content: string, layers: Bundle["layers"] = []): BuiltBundle {
  return rulesBundle(version, { files: [{ path: "rules.yaml", content }], layers });
}

test("a rollout that makes clusters blind is shown for those it is so for, and starts only when a person allows it", async (t) => {
  const fleet = await startTestFleet(t, 0);
  const off = { path: "off.yaml", content: "- rule: b\n  enabled: false\n  override: {enabled: replace}\n" };
  const quiet = { name: "quiet", level: "team", selector: { team: "quiet" }, files: [off] } as const;
  const both = rule("a") + rule("b", secrets);
  const bundles = [bundle("1.0.0", both), bundle("1.1.0", both, [quiet]), bundle("1.2.0", rule("a"))];
  fleet.targets = await push(fleet.at, fleet.offline, fleet.targets, bundles);
  await fleet.enrol("eu-1");
  await fleet.enrol("eu-2", { labels: { team: "quiet" } });
  const rollouts = await fleet.at.client(RolloutService);
  const spec = (version: string) => ({ kind: BundleKind.RULES, bundle: `starter@${version}` });
  const start = async (version: string, allowCoverageLoss: boolean) => {
    const { rollout } = await rollouts.startRollout({
      spec: { ...spec(version), allowCoverageLoss, canary: 9 },
    });
    assert.ok(rollout);
    return rollout;
  };
  const first = await start("1.0.0", false);
  const { rollout: now } = await rollouts.getRollout({ rolloutId: first.id });
  await rollouts.abortRollout({ rolloutId: first.id, generation: now?.generation ?? 0n });
  await fleet.at.db.$client.query("update assignments set rules_digest = $1", [bundles[0]?.digest]);
  await fleet.at.db.$client.query("update rollouts set finished_at = now(), state = 'aborted'");

  const layered = (await rollouts.planRollout({ spec: spec("1.1.0") })).plan;
  assert.deepEqual(
    layered?.diffs.map(({ layers, clusterCount, loss }) => [layers, clusterCount, loss?.disabled]).toSorted(),
    [
      [[], 1, undefined],
      [["team/quiet"], 1, ["b"]],
    ],
  );
  assert.deepEqual(
    new Map(layered?.layerEffects.map(({ layers, clusterNames }) => [layers.join(), clusterNames])),
    new Map([
      ["", ["eu-1"]],
      ["team/quiet", ["eu-2"]],
    ]),
  );
  const refusal = await start("1.1.0", false).then(
    () => assert.fail("it started"),
    (error: unknown) => ConnectError.from(error),
  );
  assert.equal(refusal.code, Code.FailedPrecondition);
  assert.match(refusal.rawMessage, /Coverage would be lost: on eu-2 it disables b.*--allow-coverage-loss/);
  const { plan } = await rollouts.planRollout({ spec: spec("1.2.0") });
  assert.deepEqual(
    plan?.diffs.map(({ loss }) => [loss?.removed, loss?.requestsBefore, loss?.requestsLost]),
    [[["b"], 10, 8]],
  );
  assert.deepEqual(plan?.layerEffects, [], "a bundle without layers is the same everywhere");
  const allowed = await start("1.2.0", true);
  const { rollout } = await rollouts.getRollout({ rolloutId: allowed.id });
  assert.deepEqual([rollout?.spec?.allowCoverageLoss, rollout?.createdBy], [true, "test admin"]);
});

/** Has the platform give a layer to team payments, and the team release it with these rules; its digest. */
async function releaseLayer({ at, offline, targets }: TestFleet, content: string): Promise<Digest> {
  const [key, now, layer] = [generateKey(), new Date(), "payments"];
  const service = await at.client(BundleService);
  const terms = {
    level: "team",
    selector: { team: layer },
    prefix: layer,
    tune: [],
    replace: ["*"],
  } as const;
  const delegate = [{ layer, keys: [key.publicKey], threshold: 1, ...terms }];
  const next = await signMetadata(must(newTargets(targets, { add: [], delegate, now })), [offline.targets]);
  await service.pushBundles({ bundles: [], targets: Uint8Array.from(must(next)) });
  const files = [{ path: "own.yaml", content }];
  const release = must(buildLayerRelease({ org: "default", name: layer, version: "1.0.0", files }));
  const list = await signMetadata(must(newLayerList(undefined, { layer, add: [release], now })), [key]);
  const releases = [Uint8Array.from(release.bytes)];
  await service.pushLayer({ layer, releases, list: Uint8Array.from(must(list)) });
  return release.digest as Digest;
}

test("a rule that a team's layer turned off is lost where the labels for that layer are gone, also beside a cluster that has them", async (t) => {
  const fleet = await startTestFleet(t, 0);
  const bundles = [bundle("1.0.0", rule("b")), bundle("1.1.0", rule("b", { enabled: false }))];
  fleet.targets = await push(fleet.at, fleet.offline, fleet.targets, bundles);
  const rules = bundles[0]?.digest as Digest;
  const layer = await releaseLayer(fleet, "- rule: b\n  enabled: false\n");
  for (const [name, team] of [
    ["eu-1", "payments"],
    ["eu-2", "another"],
  ] as const) {
    const { clusterId } = await fleet.enrol(name, { labels: { team } });
    await fleet.at.db.transaction(async (tx) => {
      const nobodys = null as unknown as RolloutId;
      await reassign(tx, "rules", nobodys, [{ clusterId, digest: rules, seen: 0n }], new Date());
      await reassign(tx, "layer/payments", nobodys, [{ clusterId, digest: layer, seen: 1n }], new Date());
    });
  }
  const spec = { kind: BundleKind.RULES, bundle: "starter@1.1.0" };
  const { plan } = await (await fleet.at.client(RolloutService)).planRollout({ spec });
  assert.deepEqual(
    plan?.diffs.map(({ layers, clusterCount, loss }) => [layers, clusterCount, loss?.disabled]).toSorted(),
    [
      [[], 1, ["b"]],
      [["payments@1.0.0"], 1, undefined],
    ],
  );
});
