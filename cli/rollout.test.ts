import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { AgentSchema } from "#proto/fleet/v1/cluster";
import { BundleKind } from "#proto/fleet/v1/common";
import { GateState, GateVerdictSchema } from "#proto/fleet/v1/gate";
import { RolloutState } from "#proto/fleet/v1/rollout";
import { type ServedFleet, serveFleet } from "../test/support/fake-fleet.ts";
import { runCli, spawnCli, useContext } from "../test/support/run-cli.ts";

/** Clusters eu-1, eu-2, eu-3 and us-1 that run nothing, and a rules bundle. */
async function newFleet(t: TestContext): Promise<ServedFleet & { readonly config: string }> {
  const served = await serveFleet(t);
  const config = await useContext(t, served.context);
  for (const name of ["eu-1", "eu-2", "eu-3"]) served.fleet.addCluster(name, { region: "eu" });
  served.fleet.addCluster("us-1", { region: "us" });
  served.fleet.addBundle(BundleKind.RULES, "starter", "1.0.0");
  return { ...served, config };
}

/** Waits for something that the fake fleet shows, so that no test sleeps. */
async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!condition()) {
    assert.ok(Date.now() < end, "it did not happen in 10 s");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const runs = (served: ServedFleet, name: string) => served.fleet.cluster(name).running[0]?.bundle?.version;

test("rollout rules --region eu moves the eu clusters and no other, and says so line by line", async (t) => {
  const served = await newFleet(t);
  served.fleet.rollouts.held.add("eu-3");
  let seen = "";
  const done = runCli("rollout rules --region eu --watch".split(" "), { onOut: (all) => (seen = all) });
  await until(() => /wave 2\/2 eu 1 of 1: 1\/2 proved, waiting for eu-3 \(applying, 0s\)/.test(seen));
  served.fleet.rollouts.release("eu-3");
  const { code, out } = await done;
  assert.equal(code, 0);
  assert.match(out, /: succeeded, 3\/3 proved\n$/);
  assert.deepEqual(
    ["eu-1", "eu-2", "eu-3", "us-1"].map((name) => runs(served, name)),
    ["1.0.0", "1.0.0", "1.0.0", undefined],
  );
});

test("rollout rules ends with 1 and names cluster, reason and ways out when it does not succeed", async (t) => {
  const served = await newFleet(t);
  served.fleet.rollouts.failing.set("eu-2", "trust/hash-mismatch");
  const { code, out, talk } = await runCli("rollout rules --region eu --watch".split(" "));
  assert.equal(code, 1);
  assert.match(out, /: paused, .*; eu-2 failed: more than 0 allowed/);
  assert.match(talk, /Rollout ro_\w+ is paused: eu-2 failed/);
  assert.match(talk, /try: fleetctl rollout resume ro_/);
  assert.match((await runCli(["rollout", "show"])).out, /eu-2 +failed +trust\/hash-mismatch/);
});

test("rollout rules --dry-run changes nothing, and --plan runs exactly what it showed or refuses", async (t) => {
  const served = await newFleet(t);
  const dry = await runCli("rollout rules --region eu --dry-run -o json".split(" "));
  const plan = JSON.parse(dry.out);
  assert.equal(plan.waves.length, 2);
  assert.equal(served.fleet.rollouts.all.length, 0);
  const text = await runCli("rollout rules --region eu --dry-run".split(" "));
  assert.match(text.out, /wave 2\/2 eu 1 of 1: eu-2 \(nothing\), eu-3 \(nothing\)/);
  assert.match(text.out, / {2}\+ Exec into a pod\n {2}~ Secret read\n/);
  served.fleet.addCluster("eu-4", { region: "eu" });
  const stale = await runCli(["rollout", "rules", "--region", "eu", "--plan", plan.digest, "--watch"]);
  assert.equal(stale.code, 1);
  assert.match(stale.talk, /The fleet changed since the dry run/);
  assert.equal(served.fleet.rollouts.all.length, 0);
  const { digest } = JSON.parse((await runCli("rollout rules --region eu --dry-run -o json".split(" "))).out);
  assert.equal((await runCli(["rollout", "rules", "--region", "eu", "--plan", digest, "--watch"])).code, 0);
});

test("rollout rules sends every flag to the server as its contract has it", async (t) => {
  const served = await newFleet(t);
  await runCli(
    "rollout rules --region eu --bundle starter@1.0.0 --canary 2 --growth 4 --region-order eu,us --max-failures 3 --soak 1m --deadline 2h --on-failure rollback --no-watch".split(
      " ",
    ),
  );
  const spec = served.fleet.rollouts.all[0]?.spec;
  assert.deepEqual(
    [
      spec?.bundle,
      spec?.canary,
      spec?.growth,
      spec?.regionOrder,
      spec?.maxFailures,
      spec?.soakSeconds,
      spec?.deadlineSeconds,
    ],
    ["starter@1.0.0", 2, 4, ["eu", "us"], 3, 60, 7200],
  );
  assert.equal(spec?.onFailure, 2);
});

test("rollout rules sends gates with their limits, those that are off too, and shows what they said", async (t) => {
  const served = await newFleet(t);
  served.fleet.rollouts.held.add("eu-1");
  await runCli(
    "rollout rules --region eu --gate alerts=2x,lag --no-gate cost --gate new-alerts=20/h --no-watch".split(
      " ",
    ),
  );
  const [rollout] = served.fleet.rollouts.all;
  assert.deepEqual(
    served.fleet.rollouts.asked
      .get(rollout?.id ?? "")
      ?.gates.map(({ name, limit, off }) => [name, limit, off]),
    [
      ["alerts", "2x", false],
      ["lag", "", false],
      ["new-alerts", "20/h", false],
      ["cost", "", true],
    ],
  );
  rollout?.waves[0]?.gates.push(
    create(GateVerdictSchema, {
      gate: "lag",
      state: GateState.HOLDS,
      measured: "1s",
      limit: "30s",
      words: "keeps up",
    }),
    create(GateVerdictSchema, {
      gate: "alerts",
      state: GateState.FAILS,
      measured: "9x",
      limit: "2x",
      words: "too many",
    }),
  );
  const { out } = await runCli(["rollout", "show"]);
  assert.match(out, /gates that hold: lag\n/);
  assert.match(out, /gate alerts fails: 9x \(limit 2x\) too many\n/);
  assert.match(out, /WAVE +GATE +STATE +MEASURED +LIMIT +WHY\n1 canary eu +lag +holds +1s +30s +keeps up/);
  const both = await runCli("rollout rules --region eu --gate lag --no-gate lag --no-watch".split(" "));
  assert.deepEqual([both.code, /both name "lag"/.test(both.talk)], [2, true]);
});

const refusals: [line: string, message: RegExp, next: RegExp][] = [
  ["rollout rules --region xx", /No cluster matches/, /try: fleetctl cluster list .*region=xx/],
  [
    "rollout rules --all --bundle nope",
    /There is no bundle "nope"/,
    /try: fleetctl bundle list --kind rules/,
  ],
  ["rollout show ro_nope", /There is no rollout "ro_nope"/, /^/],
  ["rollout show", /There has been no rollout yet/, /try: fleetctl rollout rules/],
];
for (const [line, message, next] of refusals) {
  test(`fleetctl ${line}: is refused with a next step`, async (t) => {
    await newFleet(t);
    const { code, talk } = await runCli(line.split(" "));
    assert.equal(code, 1);
    assert.match(talk, message);
    assert.match(talk, next);
  });
}

test("a rollout does not start on the whole fleet because somebody forgot a selector", async (t) => {
  await newFleet(t);
  const { code, talk } = await runCli(["rollout", "rules"]);
  assert.equal(code, 2);
  assert.match(talk, /Which clusters\? Nothing says so/);
  assert.match(talk, /try: --all/);
  assert.equal((await runCli(["rollout", "list", "-o", "json"])).out.includes("ro_"), false);
});

test("pause, resume, abort and undo act on the generation that was read, or refuse on the one that was given", async (t) => {
  const served = await newFleet(t);
  served.fleet.rollouts.held.add("eu-2");
  const started = await runCli("rollout rules --region eu --no-watch -o json".split(" "));
  const { id } = JSON.parse(started.out);
  await until(() => served.fleet.rollouts.find(id).wave === 1);
  const stale = await runCli(["rollout", "pause", id, "--generation", "0"]);
  assert.equal(stale.code, 1);
  assert.match(stale.talk, /The rollout is at generation \d+, not 0/);
  assert.match((await runCli(["rollout", "pause", id])).out, /Paused ro_/);
  assert.equal((await runCli(["rollout", "pause", id])).code, 1, "it does not run any more");
  assert.match((await runCli(["rollout", "resume", id])).out, /Resumed/);
  assert.match((await runCli(["rollout", "abort", id])).out, /Aborted/);
  assert.equal(served.fleet.rollouts.find(id).state, RolloutState.ABORTED);
  const undone = await runCli(["rollout", "undo", id, "--watch"]);
  assert.equal(undone.code, 0, undone.talk);
  assert.match(undone.out, /rolled back/);
  assert.match((await runCli(["rollout", "list"])).out, /ro_\w+ +rules +starter@1\.0\.0 +rolled-back/);
});

test("rollout watch outlives a server that goes away and comes back", async (t) => {
  const served = await newFleet(t);
  served.fleet.rollouts.held.add("eu-3");
  const started = await runCli("rollout rules --region eu --no-watch -o json".split(" "));
  const { id } = JSON.parse(started.out);
  const watch = runCli(["rollout", "watch", id]);
  await until(() => served.fleet.rollouts.watchCount === 1);
  await served.stop();
  await until(() => served.fleet.rollouts.watchCount === 0);
  served.fleet.rollouts.release("eu-3");
  await served.start();
  const { code, out, talk } = await watch;
  assert.equal(code, 0, talk);
  assert.match(out, /succeeded, 3\/3 proved\n$/);
  assert.match(talk, /The server went away; the rollout does not need this watch/);
});

test("rollout watch that is interrupted says that the rollout goes on, and ends with 130", async (t) => {
  const served = await newFleet(t);
  served.fleet.rollouts.held.add("eu-3");
  const controller = new AbortController();
  const watch = runCli("rollout rules --region eu --watch".split(" "), { interrupt: controller.signal });
  await until(() => served.fleet.rollouts.watchCount === 1);
  controller.abort();
  const { code, talk } = await watch;
  assert.equal(code, 130);
  assert.match(talk, /The rollout goes on\. To look again: fleetctl rollout watch ro_/);
  assert.doesNotMatch(talk, /^fleetctl: /m, "whoever pressed Ctrl-C knows that");
});

test("rollout watch on a terminal redraws one picture instead of scrolling", async (t) => {
  const served = await newFleet(t);
  served.fleet.rollouts.held.add("eu-3");
  let seen = "";
  const watch = runCli("rollout rules --region eu".split(" "), {
    terminal: true,
    onOut: (all) => (seen = all),
  });
  await until(() => seen.includes("waiting for eu-3 (applying"));
  served.fleet.rollouts.release("eu-3");
  const { code, out } = await watch;
  assert.equal(code, 0);
  const frames = out.split("\u001b[J").slice(1);
  assert.ok(frames.length >= 2);
  for (const frame of frames) assert.equal(frame.split("\n").length, frames[0]?.split("\n").length);
  assert.match(frames.at(-1) ?? "", /succeeded, 3\/3 proved[\s\S]*\[############\] 2\/2 proved/);
});

test("rollout watch -o json gives the last picture only, and the exit code", async (t) => {
  const served = await newFleet(t);
  const { code, out } = await spawnCli("rollout rules --region eu --watch -o json".split(" "), {
    env: { FLEETCTL_CONFIG: served.config },
  });
  assert.equal(code, 0);
  assert.equal(JSON.parse(out).state, "ROLLOUT_STATE_SUCCEEDED");
});

test("rollout rules --shadow asks for the shadow, and rollout shadow show tells what would change, per rule", async (t) => {
  const served = await newFleet(t);
  const { code } = await runCli("rollout rules --region eu --shadow 30m --then go --no-watch".split(" "));
  assert.equal(code, 0);
  const spec = served.fleet.rollouts.all[0]?.spec;
  assert.deepEqual([spec?.shadowSeconds, spec?.shadowThenGo], [1800, true]);
  const shown = await runCli("rollout shadow show".split(" "));
  assert.equal(shown.code, 0);
  assert.match(shown.out, /RULE +NOW +THEN +NEW +GONE +CLUSTERS\nExec into a pod +4 +6 +3 +1 +2/);
  assert.match(shown.out, /new Exec into a pod on eu-1 at .*: ka\.user\.name=alice/);
  assert.match((await runCli(["rollout", "show"])).out, /shadow until .*: 2 of 2 agents evaluated/);
  assert.equal((await runCli("rollout rules --region eu --then go".split(" "))).code, 2);
});

test("rollout watch -o json gives a line for each thing that is new, and the state at the end", async (t) => {
  const served = await newFleet(t);
  served.fleet.rollouts.held.add("eu-3");
  const started = await runCli("rollout rules --region eu --no-watch -o json".split(" "));
  let seen = "";
  const watch = runCli(["rollout", "watch", JSON.parse(started.out).id, "-o", "json"], {
    onOut: (all) => (seen = all),
  });
  await until(() => seen.includes('"cluster":"eu-3"'));
  served.fleet.rollouts.release("eu-3");
  const { code, out } = await watch;
  assert.equal(code, 0);
  const news = out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const ofHeld = news.filter(({ cluster }) => cluster === "eu-3").map(({ from, to }) => [from, to]);
  assert.deepEqual(ofHeld, [
    ["waiting", "assigned"],
    ["assigned", "proved"],
  ]);
  assert.equal(news.at(-1)?.["event"], "state");
  assert.equal(news.at(-1)?.["state"], "succeeded");
});

test("rollout explain names the cluster that holds it up, and the command to type", async (t) => {
  const served = await newFleet(t);
  served.fleet.rollouts.held.add("eu-3");
  const started = await runCli("rollout rules --region eu --no-watch -o json".split(" "));
  const { id } = JSON.parse(started.out);
  await until(() => served.fleet.rollouts.find(id).wave === 1);
  const { code, out, talk } = await runCli(["rollout", "explain"]);
  assert.equal(code, 0, talk);
  assert.match(
    out.replaceAll("\n", " "),
    /It waits for eu-3, which got the bundle \ds ago and has not proved it: applying/,
  );
  assert.match(talk, /fleetctl cluster show eu-3/);
  const json = JSON.parse((await runCli(["rollout", "explain", id, "-o", "json"])).out);
  assert.deepEqual([json.state, json.heldUpBy], ["running", ["eu-3"]]);
});

test("rollout show and cluster show tell the refusal of an agent with the end of its log", async (t) => {
  const served = await newFleet(t);
  const bundle = served.fleet.releases.bundles[0]?.ref;
  assert.ok(bundle);
  served.fleet.rollouts.failing.set("eu-2", 'agent "node-1" went back by itself: soak/crash-loop');
  const attempt = {
    bundle,
    generation: 7n,
    phase: "rolled-back",
    reason: "soak/crash-loop",
    detail: "The pipeline died 3 times within its soak",
    logTail: "12:00 died: out of memory\n12:01 died: \u001b[2Jout of memory",
  };
  served.fleet.cluster("eu-2").agents.push(create(AgentSchema, { name: "node-1", attempts: [attempt] }));
  await runCli("rollout rules --region eu --watch".split(" "));
  const { out } = await runCli(["rollout", "show"]);
  assert.match(out, /rolled-back by eu-2, agent node-1, generation 7/);
  assert.match(
    out,
    / {2}soak\/crash-loop: The pipeline died 3 times within its soak\n {4}\| 12:00 died: out of memory\n/,
  );
  const shown = await runCli(["cluster", "show", "eu-2"]);
  assert.match(shown.out, /log before starter@1\.0\.0 was rolled-back/);
  assert.match(shown.out, /\| 12:01 died: \\u001b\[2Jout of memory/);
  const why = await runCli(["rollout", "explain"]);
  assert.match(
    why.out.replaceAll("\n", " "),
    /eu-2 failed: agent "node-1" went back by itself: soak\/crash-loop; it was never heard of/,
  );
});
