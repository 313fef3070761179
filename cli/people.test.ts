import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { create } from "@bufbuild/protobuf";
import { BundleKind } from "#proto/fleet/v1/common";
import { RolloutActSchema, RolloutApprovalSchema, RolloutState } from "#proto/fleet/v1/rollout";
import { type ServedFleet, serveFleet } from "../test/support/fake-fleet.ts";
import { runCli, useContext } from "../test/support/run-cli.ts";

async function newFleet(t: TestContext): Promise<ServedFleet> {
  const served = await serveFleet(t);
  await useContext(t, served.context);
  served.fleet.addCluster("eu-1", { region: "eu" });
  served.fleet.addBundle(BundleKind.RULES, "starter", "1.0.0");
  return served;
}

test("windows, times, emergencies and reasons reach the server as they were written", async (t) => {
  const { fleet } = await newFleet(t);
  const flags = ["--window", "Mon,Wed 09:00-17:00 Europe/Berlin", "--window", "Sat 10:00-12:00 UTC"];
  const at = ["--at", "2099-12-01T10:00+01:00", "--reason", "the monthly one"];
  const { code } = await runCli(["rollout", "rules", "--region", "eu", ...flags, ...at]);
  assert.equal(code, 0);
  const spec = fleet.rollouts.all[0]?.spec;
  assert.deepEqual(spec?.windows, ["Mon,Wed 09:00-17:00 Europe/Berlin", "Sat 10:00-12:00 UTC"]);
  assert.equal(timestampMs(spec.startAt ?? timestampFromMs(0)), Date.parse("2099-12-01T09:00:00Z"));
  assert.deepEqual([spec.emergency, spec.reason], [false, "the monthly one"]);
});

test("a time without its zone and an emergency without a reason are refused before the server is asked", async (t) => {
  const { fleet } = await newFleet(t);
  const local = await runCli("rollout rules --region eu --at 2026-12-01T09:00".split(" "));
  assert.equal(local.code, 2);
  assert.match(local.talk, /is not a time with its zone/);
  const mute = await runCli("rollout rules --region eu --emergency".split(" "));
  assert.equal(mute.code, 2);
  assert.match(mute.talk, /--emergency needs a reason/);
  assert.equal(fleet.rollouts.all.length, 0);
});

test("a rollout that awaits approval says so, is marked in list and show, and goes on when another person approves its plan", async (t) => {
  const { fleet } = await newFleet(t);
  const start = "rollout rules --region eu --emergency --watch --reason attack".split(" ");
  const { code, talk } = await runCli(start);
  assert.equal(code, 1, "it was watched and did not succeed");
  assert.match(talk, /is awaiting approval/);
  assert.match(talk, /fleetctl rollout approve ro_\w+ --plan sha256:\w+ {3}by somebody else/);
  const [rollout] = fleet.rollouts.all;
  assert.ok(rollout);
  rollout.approval = create(RolloutApprovalSchema, { needed: 1, why: "an emergency takes two people" });
  const at = timestampFromMs(Date.parse("2026-11-28T19:00:00Z"));
  rollout.history = [create(RolloutActSchema, { at, who: "ada", what: "start-emergency", why: "attack" })];
  assert.match((await runCli(["rollout", "list"])).out, /awaiting-approval \(emergency\)/);
  const shown = (await runCli(["rollout", "show"])).out;
  assert.match(shown, /EMERGENCY, awaiting approval/);
  assert.match(shown, /approvals: 0 of 1, because an emergency takes two people/);
  assert.match(shown, /2026-11-28 19:00 UTC {2}ada {2}start-emergency: attack/);

  const other = await runCli(["rollout", "approve", rollout.id, "--plan", "sha256:other"]);
  assert.equal(other.code, 1);
  // What somebody says yes to is what they were shown: the plan with its rules, and its digest to repeat.
  rollout.spec!.allowCoverageLoss = true;
  const unsaid = await runCli(["rollout", "approve", rollout.id]);
  assert.equal(unsaid.code, 1);
  assert.match(unsaid.out, /ALLOWS COVERAGE LOSS[^]*plan sha256:[^]* {2}\+ Exec into a pod/);
  assert.match(unsaid.talk, new RegExp(`Nothing was approved[^]*--plan ${rollout.planDigest}`));
  assert.equal(rollout.state, RolloutState.AWAITING_APPROVAL);
  fleet.addCluster("eu-2", { region: "eu" });
  assert.match((await runCli(["rollout", "show"])).out, /THE PLAN HAS CHANGED since [^]*eu-2/);
  const done = await runCli(["rollout", "approve", rollout.id, "--plan", rollout.planDigest]);
  assert.match(done.out, new RegExp(`Approved plan ${rollout.planDigest} of ${rollout.id}`));
  assert.notEqual(rollout.state, RolloutState.AWAITING_APPROVAL);
});

test("the plan that somebody has to approve is not said to have changed while it is the same, in tables and in JSON", async (t) => {
  const { fleet } = await newFleet(t);
  // What is on the wire says neither that a gate is off nor a limit in full, and its time is over by now.
  const gates = ["--no-gate", "health", "--gate", "drops=0.1234%"];
  await runCli(["rollout", "rules", "--region", "eu", "--emergency", "--reason", "attack", ...gates]);
  const [rollout] = fleet.rollouts.all;
  assert.ok(rollout?.spec);
  for (const spec of [rollout.spec, fleet.rollouts.asked.get(rollout.id)]) {
    spec!.startAt = timestampFromMs(Date.parse("2026-01-01T00:00:00Z"));
  }
  const { id, planDigest } = rollout;
  const shown = (await runCli(["rollout", "show", id])).out;
  assert.match(shown, new RegExp(`plan ${planDigest}[^]*judged by proof, drops 0\\.123%`));
  assert.doesNotMatch(shown, /CHANGED|cannot be made/);
  const json = await runCli(["rollout", "approve", id, "-o", "json"]);
  assert.equal(json.code, 1);
  const { plan, rollout: printed } = JSON.parse(json.out);
  assert.deepEqual([plan.digest, printed.planDigest, plan.diffs.length], [planDigest, planDigest, 1]);

  // One that is paused because its plan changed has not begun either: its new plan is what a resume takes.
  fleet.addCluster("eu-2", { region: "eu" });
  rollout.state = RolloutState.PAUSED;
  rollout.pending = true;
  const paused = (await runCli(["rollout", "show", id])).out;
  assert.match(paused, /THE PLAN HAS CHANGED since [^]*resume takes the new one[^]*eu-2/);
  const watched = await runCli(["rollout", "watch", id]);
  assert.match(watched.talk, /rollout resume ro_\w+ {3}to take it, or: fleetctl rollout abort/);
});

test("a rejection ends the rollout", async (t) => {
  const { fleet } = await newFleet(t);
  await runCli("rollout rules --region eu --emergency --reason attack".split(" "));
  const [rollout] = fleet.rollouts.all;
  const { out } = await runCli(["rollout", "approve", rollout?.id ?? "", "--reject", "--reason", "no"]);
  assert.match(out, /Rejected ro_\w+: it has ended/);
  assert.equal(rollout?.state, RolloutState.ABORTED);
});

test("freeze on, show and off say who, until when and why, and refuse what says nothing", async (t) => {
  await newFleet(t);
  assert.equal((await runCli(["freeze", "on"])).code, 2);
  assert.equal((await runCli(["freeze", "off"])).code, 1);
  assert.equal((await runCli(["freeze", "show"])).out, "The fleet is not frozen.\n");
  const until = ["--until", "2027-01-04T08:00+01:00"];
  const on = await runCli(["freeze", "on", "--reason", "holidays", ...until]);
  assert.match(on.out, /^Frozen since .* UTC by test, until 2027-01-04 07:00 UTC: holidays\n$/);
  assert.match((await runCli(["freeze", "show"])).out, /^Frozen since .*: holidays\n$/);
  assert.match((await runCli(["freeze", "off"])).out, /^No longer frozen: .*lifted by test/);
  assert.match((await runCli(["freeze", "show"])).out, /not frozen\.\n {2}before: .*holidays\n$/);
});
