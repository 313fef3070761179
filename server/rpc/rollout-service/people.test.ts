import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Client } from "@connectrpc/connect";
import { sql } from "../../store/drizzle.ts";
import { AuditService } from "#proto/fleet/v1/audit";
import { BundleKind, Requirement_Operator } from "#proto/fleet/v1/common";
import { FreezeService } from "#proto/fleet/v1/freeze";
import { RolloutService, RolloutState, type Rollout } from "#proto/fleet/v1/rollout";
import { type RolloutSpecSchema } from "#proto/fleet/v1/rollout_spec";
import { TokenService } from "#proto/fleet/v1/token";

import { startSimAgent } from "../../../test/support/sim-agent.ts";
import type { Scope } from "../../domain/scope.ts";
import { startTestServer, type TestServer } from "../../testing.ts";
import { startTestFleet, until, type TestFleet } from "../agent-service/fixture.ts";

type Rollouts = Client<typeof RolloutService>;
type Spec = Exclude<MessageInitShape<typeof RolloutSpecSchema>, { $typeName: string }>;

const rules: Spec = { kind: BundleKind.RULES, bundle: "starter@1.1.0" };
const always = { FALCONRY_APPROVAL_CLUSTERS: "0" };
const labelled = (key: string, value: string) => ({
  requirements: [{ key, operator: Requirement_Operator.IN, values: [value] }],
});

async function join(t: TestContext, fleet: TestFleet, name: string, labels: Record<string, string> = {}) {
  const agent = startSimAgent(await fleet.enrol(name, { labels }));
  t.after(() => agent.kill());
  await agent.connected;
}

async function started(rollouts: Rollouts, spec: Spec): Promise<Rollout> {
  const { rollout } = await rollouts.startRollout({ spec });
  assert.ok(rollout);
  return rollout;
}

async function reaches(rollouts: Rollouts, rolloutId: string, state: RolloutState): Promise<Rollout> {
  let last: Rollout | undefined;
  return until(`rollout ${rolloutId} is in state ${state}`, async () => {
    last = (await rollouts.getRollout({ rolloutId })).rollout;
    return last?.state === state && last;
  }).catch((error: unknown) => {
    throw new Error(`It is in state ${last?.state}: ${last?.because}`, { cause: error });
  });
}

async function refusal(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    const { code, rawMessage } = ConnectError.from(error);
    return `${Code[code]} ${rawMessage}`;
  }
  return "accepted";
}

const word = ({ id, planDigest }: Rollout, reason = "") => ({ rolloutId: id, planDigest, reason });

async function auditOf(at: TestServer, target: string): Promise<string[]> {
  const { entries } = await (await at.client(AuditService)).listAudit({ filter: { targets: [target] } });
  return entries.map(({ method, outcome }) => `${method} ${outcome}`).toReversed();
}

test("a rollout that takes a second person begins by the word of another one only, and all of it is written down", async (t) => {
  const fleet = await startTestFleet(t, 2, { env: always });
  await join(t, fleet, "eu-1", { team: "pay" });
  await join(t, fleet, "us-1", { team: "web" });
  const operator = await fleet.at.client(RolloutService, "operator");
  const admin = await fleet.at.client(RolloutService);
  const approver = await fleet.at.client(RolloutService, "approver");

  const { plan } = await operator.planRollout({ spec: rules });
  assert.match(plan?.approval?.why ?? "", /reaches 2 clusters/);
  const rollout = await started(operator, rules);
  assert.deepEqual([rollout.state, rollout.pending], [RolloutState.AWAITING_APPROVAL, true]);
  assert.equal(rollout.approval?.needed, 1);
  assert.match(
    await refusal(operator.approveRollout(word(rollout))),
    /^PermissionDenied .*takes .* role approver/,
  );
  assert.match(
    await refusal(operator.resumeRollout({ rolloutId: rollout.id, generation: rollout.generation })),
    /^FailedPrecondition/,
    "nobody gets round it by resuming",
  );

  // The same person by another token: by its name, by who made it, and by who was made.
  const tokens = await fleet.at.client(TokenService);
  const made = async (name: string) => (await tokens.createApiToken({ name, role: "approver" })).secret;
  const namesake = fleet.at.bearing(RolloutService, await made("test operator"));
  assert.match(await refusal(namesake.approveRollout(word(rollout))), /^PermissionDenied .*your name, too/);
  const own = await started(admin, { ...rules, selector: labelled("team", "web") });
  assert.match(await refusal(admin.approveRollout(word(own))), /^PermissionDenied You started it/);
  const ofAdmin = fleet.at.bearing(RolloutService, await made("somebody"));
  assert.match(await refusal(ofAdmin.approveRollout(word(own))), /^PermissionDenied Your token was made by/);

  const scope = [{ key: "team", operator: "in", values: ["pay"] }] as unknown as Scope;
  const partly = await fleet.at.client(RolloutService, "approver", scope);
  assert.match(await refusal(partly.approveRollout(word(rollout))), /^PermissionDenied .*beyond the scope/);
  assert.match(await refusal(partly.approveRollout(word(own))), /^NotFound/);
  // Whoever may look at its plan looks at that of the rollout, whosever clusters are theirs.
  const hidden = partly.planRollout({ rolloutId: rollout.id });
  assert.match(await refusal(hidden), /^PermissionDenied .*beyond the scope/);
  assert.match(await refusal(partly.planRollout({ rolloutId: own.id })), /^NotFound/);
  const starter = await fleet.at.client(RolloutService, "operator", scope);
  const narrow = await started(starter, { ...rules, gates: [{ name: "health", off: true }] });
  const { plan: same } = await approver.planRollout({ rolloutId: narrow.id });
  assert.deepEqual([same?.digest, narrow.pending], [narrow.planDigest, true]);
  assert.deepEqual(
    same?.waves.flatMap(({ clusters }) => clusters.map(({ clusterName }) => clusterName)),
    ["eu-1"],
  );
  await starter.abortRollout({ rolloutId: narrow.id, generation: narrow.generation });
  const other = { ...word(rollout), planDigest: own.planDigest };
  assert.match(await refusal(approver.approveRollout(other)), /^Aborted .*not sha256/);

  await approver.approveRollout(word(rollout, "reviewed"));
  const done = await reaches(operator, rollout.id, RolloutState.SUCCEEDED);
  assert.equal(done.pending, false);
  assert.match(
    await refusal(approver.planRollout({ rolloutId: rollout.id })),
    /^FailedPrecondition .* is succeeded: only one that has not begun/,
  );
  assert.deepEqual(
    done.history.map(({ who, what }) => [who, what]),
    [
      ["test operator", "start"],
      ["test approver", "approve"],
      ["", "begin"],
      ["", "last-wave-done"],
    ],
  );
  assert.equal(done.history[1]?.why, "reviewed");
  const audited = await auditOf(fleet.at, rollout.id);
  assert.ok(audited.includes("RolloutService/ApproveRollout ok"), audited.join());
  assert.ok(audited.includes("RolloutService/Pending ok"), audited.join());
  assert.ok(audited.includes("RolloutService/ApproveRollout permission_denied"), audited.join());

  // The one that waited held no cluster. Its plan is of another fleet by now, so nobody approves that.
  assert.match(
    await refusal(approver.approveRollout(word(own))),
    /^Aborted Nothing was approved: the plan changed/,
  );
  const paused = await reaches(admin, own.id, RolloutState.PAUSED);
  await admin.abortRollout({ rolloutId: own.id, generation: paused.generation });
});

test("an approval is for one plan: when a cluster joins, a new plan takes a new word, and the old one counts no more", async (t) => {
  const fleet = await startTestFleet(t, 2, { env: always });
  await join(t, fleet, "eu-1");
  const operator = await fleet.at.client(RolloutService, "operator");
  const approver = await fleet.at.client(RolloutService, "approver");
  const soon = { ...rules, startAt: timestampFromMs(Date.now() + 3_000) };
  const first = await started(operator, soon);
  await approver.approveRollout(word(first));
  await reaches(operator, first.id, RolloutState.SCHEDULED);
  await join(t, fleet, "eu-2");
  const paused = await reaches(operator, first.id, RolloutState.PAUSED);
  assert.match(paused.because, /the plan changed: new in it: eu-2; the plan is sha256:.* now/);

  const target = { rolloutId: first.id, generation: paused.generation };
  const wrong = { ...target, planDigest: first.planDigest };
  assert.match(
    await refusal(operator.resumeRollout(wrong)),
    /^Aborted The plan of rollout .* now, not sha256/,
  );
  const planDigest = /the plan is (sha256:\w+) now/.exec(paused.because)?.[1] ?? "";
  // Its time is over, which is no reason not to look at what a resume would take.
  const { plan } = await approver.planRollout({ rolloutId: first.id });
  assert.deepEqual([plan?.digest, paused.pending], [planDigest, true]);
  const { rollout: anew } = await operator.resumeRollout({ ...target, planDigest });
  assert.ok(anew);
  assert.equal(anew.state, RolloutState.AWAITING_APPROVAL);
  assert.notEqual(anew.planDigest, first.planDigest);
  assert.deepEqual(anew.approval?.given, []);
  assert.match(await refusal(approver.approveRollout(word(first))), /^Aborted/);
  await approver.approveRollout(word(anew));
  const done = await reaches(operator, first.id, RolloutState.SUCCEEDED);
  assert.equal(done.waves.flatMap((wave) => wave.clusters).length, 2);
});

test("an approval that lapses before the rollout begins is asked for again; a rejection ends it", async (t) => {
  const fleet = await startTestFleet(t, 2, { env: { FALCONRY_APPROVAL_LABELS: "environment=prod" } });
  await join(t, fleet, "eu-1", { environment: "prod" });
  const operator = await fleet.at.client(RolloutService, "operator");
  const approver = await fleet.at.client(RolloutService, "approver");
  const rollout = await started(operator, { ...rules, startAt: timestampFromMs(Date.now() + 3_600_000) });
  assert.match(rollout.because, /environment=prod/);
  await approver.approveRollout(word(rollout));
  const scheduled = await reaches(operator, rollout.id, RolloutState.SCHEDULED);
  assert.match(scheduled.because, /approved by test approver; begins 20.* UTC/);
  await fleet.at.db.execute(sql`update rollout_approvals set lapses_at = now()`);
  const asked = await reaches(operator, rollout.id, RolloutState.AWAITING_APPROVAL);
  assert.match(asked.because, /an approval lapsed/);
  assert.deepEqual(asked.approval?.given, []);
  await approver.rejectRollout(word(asked, "not today"));
  const ended = await reaches(operator, rollout.id, RolloutState.ABORTED);
  assert.deepEqual([ended.because, ended.pending], ["rejected by test approver: not today", false]);
});

test("with two servers a freeze on one holds waves on the other, what goes back goes back, and one approval begins one rollout once", async (t) => {
  const fleet = await startTestFleet(t, 2);
  const beside = await startTestServer(t, { beside: fleet.at });
  for (const name of ["eu-1", "eu-2"]) await join(t, fleet, name);
  const [here, there] = [await fleet.at.client(RolloutService), await beside.client(RolloutService)];
  const freezes = await beside.client(FreezeService, "operator");
  const first = await started(here, { ...rules, bundle: "starter@1.0.0" });
  const done = await reaches(there, first.id, RolloutState.SUCCEEDED);

  assert.match(await refusal(freezes.setFreeze({})), /^InvalidArgument reason: is missing/);
  const late = timestampFromMs(Date.now() + 3_600_000);
  await freezes.setFreeze({ reason: "incident 4711", until: late });
  const held = await started(here, rules);
  const waiting = await until("it says why it waits", async () => {
    const { rollout } = await there.getRollout({ rolloutId: held.id });
    return rollout?.because.includes("frozen") && rollout;
  });
  assert.equal(waiting.state, RolloutState.RUNNING);
  assert.match(
    waiting.because,
    /"canary eu" does not begin: the fleet is frozen by test operator \(incident 4711\), until 20/,
  );
  const { rows } = await fleet.at.db.execute(
    sql`select 1 from rollout_clusters where rollout_id = ${held.id} and state <> 'waiting'`,
  );
  assert.equal(rows.length, 0);

  // An emergency takes two people, and then neither freeze nor soak.
  await here.abortRollout({ rolloutId: held.id, generation: waiting.generation });
  const emergency = { ...rules, emergency: true, canary: 9, soakSeconds: 600 };
  assert.match(await refusal(here.startRollout({ spec: emergency })), /reason: is missing/);
  const urgent = await started(here, { ...emergency, reason: "stops an attack" });
  assert.equal(urgent.state, RolloutState.AWAITING_APPROVAL);
  assert.deepEqual([urgent.spec?.canary, urgent.spec?.soakSeconds], [1, 0]);
  const approvers = await Promise.all([fleet.at, beside].map((at) => at.client(RolloutService, "approver")));
  await Promise.all(approvers.map((approver) => approver.approveRollout(word(urgent))));
  const ran = await reaches(there, urgent.id, RolloutState.SUCCEEDED);
  assert.equal(ran.history.filter(({ what }) => what === "begin").length, 1);
  assert.equal(ran.history[0]?.what, "start-emergency");

  // Still frozen: going back is always allowed.
  await there.undoRollout({ rolloutId: urgent.id, generation: ran.generation });
  await reaches(here, urgent.id, RolloutState.ROLLED_BACK);
  assert.equal(done.state, RolloutState.SUCCEEDED);

  const again = await started(here, rules);
  await freezes.liftFreeze({});
  await reaches(here, again.id, RolloutState.SUCCEEDED);
  assert.match(await refusal(freezes.liftFreeze({})), /^FailedPrecondition The fleet is not frozen/);
  const { freeze, past } = await freezes.getFreeze({});
  assert.equal(freeze, undefined);
  assert.deepEqual(
    past.map(({ reason, liftedBy }) => [reason, liftedBy]),
    [["incident 4711", "test operator"]],
  );
  assert.deepEqual(await auditOf(fleet.at, "fleet"), [
    "FreezeService/SetFreeze ok",
    "FreezeService/LiftFreeze ok",
  ]);
});

test("outside of its window no wave begins, and the rollout says when the window opens next", async (t) => {
  const fleet = await startTestFleet(t);
  await join(t, fleet, "eu-1");
  const rollouts = await fleet.at.client(RolloutService, "operator");
  const hour = (ahead: number) => String((new Date().getUTCHours() + ahead) % 24).padStart(2, "0");
  const closed = `daily ${hour(3)}:00-${hour(4)}:00 UTC`;
  const { plan } = await rollouts.planRollout({ spec: { ...rules, windows: [closed] } });
  assert.match(plan?.held ?? "", /its window opens next 20/);
  const held = await started(rollouts, { ...rules, windows: [closed] });
  const waiting = await until("it says that it waits for its window", async () => {
    const { rollout } = await rollouts.getRollout({ rolloutId: held.id });
    return rollout?.because.includes("window") && rollout;
  });
  assert.match(
    waiting.because,
    new RegExp(`"canary eu" does not begin: its window opens next .* ${hour(3)}:00 UTC `),
  );
  await rollouts.abortRollout({ rolloutId: held.id, generation: waiting.generation });
  const open = await started(rollouts, { ...rules, windows: ["daily 00:00-24:00 Europe/Berlin"] });
  await reaches(rollouts, open.id, RolloutState.SUCCEEDED);
  const bad = { ...rules, windows: ["Mon 9-17 Berlin"], startAt: timestampFromMs(0) };
  assert.match(
    await refusal(rollouts.startRollout({ spec: bad })),
    /^InvalidArgument windows\[0\]: .*write DAYS/,
  );
  const past = { ...rules, startAt: timestampFromMs(0) };
  assert.match(
    await refusal(rollouts.startRollout({ spec: past })),
    /^InvalidArgument spec.start_at: is over/,
  );
});
