/** What a plan says about coverage that is lost, and that it does not start without a person's word. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { loadRules, type RuleSet } from "#engine";
import { BundleKind } from "#proto/fleet/v1/common";
import { RolloutService } from "#proto/fleet/v1/rollout";
import type { Bundle, BuiltBundle } from "#trust";

import { push, rulesBundle } from "../../testing.ts";
import { startTestFleet } from "../agent-service/fixture.ts";
import { coverageLoss } from "./coverage.ts";

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
  const allowed = await start("1.2.0", true);
  const { rollout } = await rollouts.getRollout({ rolloutId: allowed.id });
  assert.deepEqual([rollout?.spec?.allowCoverageLoss, rollout?.createdBy], [true, "test admin"]);
});
