/** A team that owns its layer: a real server, a real agent and the command line, from the delegation to its end. */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { newHome, shipper, startAgentFleet, until } from "../../agent/testing.ts";
import { AlertService } from "#proto/fleet/v1/alert";
import { ClusterService } from "#proto/fleet/v1/cluster";
import { BundleKind } from "#proto/fleet/v1/common";
import { TrustService } from "#proto/fleet/v1/trust";
import { encodeKeyFile } from "#trust";
import { runCli, temporaryDirectory, useContext } from "../support/run-cli.ts";

const ownRule = `- rule: "payments: listed"
  desc: Somebody listed something.
  condition: ka.verb = list
  output: listed by %ka.user.name
  priority: NOTICE
  source: k8s_audit
`;
const tuned = (priority: string) =>
  `- rule: Exec into pod\n  priority: ${priority}\n  override: { priority: replace }\n`;

/** A fleet with one cluster of team payments, trust folders of the platform and of the team, and the layer's folder. */
async function desk(t: TestContext) {
  const fleet = await startAgentFleet(t);
  const { at, offline } = fleet;
  await useContext(t, { server: at.baseUrl, ca: at.ca, token: await at.token("admin") });
  const dir = await temporaryDirectory(t);
  const path = (name: string) => join(dir, name);
  for (const folder of ["platform", "thief", "payments", "cards"]) mkdirSync(path(folder));
  writeFileSync(path("platform/targets.key.json"), encodeKeyFile(offline.targets, undefined));
  const { metadata } = await (await at.client(TrustService)).getMetadata({ role: "root" });
  writeFileSync(path("platform/root.json"), metadata);
  const run = async (code: number, ...argv: readonly string[]) => {
    const result = await runCli(argv);
    assert.equal(result.code, code, `fleetctl ${argv.join(" ")}\n${result.out}${result.talk}`);
    return argv.includes("json") ? result.out : result.out + result.talk;
  };
  const clusters = await at.client(ClusterService);
  const cluster = async () => (await clusters.getCluster({ cluster: "eu-1" })).cluster;
  const layer = async () => {
    const running = (await cluster())?.running.find(({ bundle }) => bundle?.kind === BundleKind.LAYER);
    return running === undefined ? "none" : `${running.bundle?.name}@${running.bundle?.version}`;
  };
  const alerts = await at.client(AlertService);
  const priorityOf = (auditId: string) =>
    until(`the alert of ${auditId}`, async () => {
      const found = (await alerts.listAlerts({})).alerts.find((alert) => alert.auditId === auditId);
      return found === undefined ? undefined : `${found.rule}: ${found.priority}`;
    });
  return { fleet, run, path, clusters, cluster, layer, priorityOf };
}

/** The rollout that a command started, which has to succeed. */
const idOf = (json: string) => (JSON.parse(json) as { readonly id: string }).id;

test(
  "a team releases its layer with its own key, from the delegation to the alert, and loses it again",
  { timeout: 280_000 },
  async (t) => {
    const { fleet, run, path, clusters, cluster, layer, priorityOf } = await desk(t);
    const home = newHome(t, await fleet.joinString(), { FALCONRY_CLUSTER_UID: "uid-eu-1" });
    await home.start();
    await fleet.release(shipper("1.0.0", "[SERVICE]\n  backtest_ring on\n"));
    for (const [kind, bundle] of [
      ["rules", "starter@1.0.0"],
      ["shipper", "default@1.0.0"],
    ] as const) {
      await fleet.assign(kind, bundle);
      await until(`${kind} run`, async () => (await fleet.proved(kind)) !== undefined);
    }
    home.exec("before");
    assert.equal(await priorityOf("before"), "Exec into pod: Warning");
    const targets = path("targets.json");
    const signing = ["--dir", path("platform"), "--out", targets];
    const push = (version: string, content: string, code = 0, from = "payments", name = "payments") => {
      const folder = path(`${name}-${version}`);
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, "rules.yaml"), content);
      const what = ["--kind", "layer", "--name", name, "--version", version];
      return run(code, "bundle", "push", folder, ...what, "--sign", "--dir", path(from));
    };
    const rollOut = (version: string) =>
      run(0, "rollout", "rules", "--layer", `payments@${version}`, "--watch", "-o", "json").then(idOf);

    await t.test("the platform gives two layers to two teams, each with a key of its own", async () => {
      for (const name of ["payments", "cards"]) {
        await run(0, "trust", "new-signer", `layer-${name}`, "--dir", path(name), "--insecure-plain-keys");
        const key = path(`${name}/layer-${name}.pub.pem`);
        const terms = ["--level", "team", "-l", `team=${name}`, "--prefix", name, "--tune", "*"];
        await run(0, "trust", "delegate", name, "--key", key, ...terms, ...signing);
        await run(0, "bundle", "push", "--targets", targets);
      }
    });

    await t.test("a cluster that the layer is not confined to is never chosen for it", async () => {
      await push("1.0.0", ownRule + tuned("ERROR"));
      const refused = await run(1, "rollout", "rules", "--layer", "payments@1.0.0", "--all", "--dry-run");
      assert.match(refused, /No cluster matches the selector/);
    });

    let first = "";
    await t.test("its release is rolled out and proved, and changes what is alerted", async () => {
      await clusters.labelCluster({ cluster: "eu-1", set: { team: "payments" } });
      await until("the agent has the label", () => home.current().labels["team"] === "payments");
      const plan = await run(0, "rollout", "rules", "--layer", "payments@1.0.0", "--dry-run");
      assert.match(plan, /payments: listed/, "what the layer brings");
      assert.match(plan, /Exec into pod/, "and what it changes");
      first = await rollOut("1.0.0");
      assert.equal(await layer(), "payments@1.0.0");
      home.exec("tuned");
      assert.equal(await priorityOf("tuned"), "Exec into pod: Error");
      home.list("own");
      assert.equal(await priorityOf("own"), "payments: listed: Notice");
      assert.equal(
        (await cluster())?.running.find(({ bundle }) => bundle?.kind === BundleKind.RULES)?.bundle?.version,
        "1.0.0",
      );
      const rendered = await run(0, "rules", "render", "--cluster", "eu-1");
      assert.match(rendered, /layers, the later wins: payments@1\.0\.0 \(team=payments\)/);
      assert.match(
        rendered,
        /priority: ERROR +# layers\/payments@1\.0\.0\/rules\.yaml:\d+, in place of rules\.yaml:5/,
      );
      assert.match(await run(0, "cluster", "show", "eu-1"), /layer payments@1\.0\.0/);
    });

    await t.test(
      "a plan of another bundle says what becomes of the layer, and agents try it with the layer",
      async () => {
        const folder = path("next");
        mkdirSync(folder);
        writeFileSync(join(folder, "rules.yaml"), ownRule.replace('"payments: listed"', "Listed"));
        const named = ["--kind", "rules", "--name", "starter", "--version", "2.0.0"];
        await run(0, "bundle", "push", folder, ...named, "--sign", "--dir", path("platform"));
        const bundle = ["--bundle", "starter@2.0.0", "--all"];
        const plan = await run(0, "rollout", "rules", ...bundle, "--dry-run");
        assert.match(plan, /starter@1\.0\.0 -> starter@2\.0\.0 with payments@1\.0\.0 on 1 cluster/);
        assert.match(plan, /agents would leave out the layer payments@1\.0\.0: .*Exec into pod/);
        const tried = await run(0, "rules", "backtest", ...bundle, "--since", "1h");
        assert.match(tried, /layer\/left-out: Without layers that would not pass: payments/);
      },
    );

    await t.test(
      "a release is tried beside what runs, and over what has passed, before it is rolled out",
      async () => {
        await push("1.0.1", tuned("ERROR"));
        const over = await run(0, "rules", "backtest", "--layer", "payments@1.0.1", "--all", "--since", "1h");
        assert.match(over, /payments: listed +1 +0 +0 +1/, "the rule that it no longer brings");
        const shadow = ["--shadow", "1h", "--allow-coverage-loss", "-o", "json"];
        const id = idOf(await run(0, "rollout", "rules", "--layer", "payments@1.0.1", ...shadow));
        let n = 0;
        await until("the agent compared", async () => {
          home.list(`shadow-${(n += 1)}`);
          return /payments: listed/.test(await run(0, "rollout", "shadow", "show", id));
        });
        assert.match(await run(0, "rollout", "shadow", "show", id), /payments: listed +(\d+) +0 +0 +\1/);
        await run(0, "rollout", "abort", id);
        assert.equal(await layer(), "payments@1.0.0", "nothing was assigned");
      },
    );

    await t.test("undo goes to the release of before, and of the first one to none", async () => {
      await run(0, "rollout", "undo", first, "--watch");
      assert.equal(await layer(), "none");
      await push("1.1.0", tuned("CRITICAL"));
      await rollOut("1.1.0");
      await push("1.2.0", tuned("ALERT"));
      const last = await rollOut("1.2.0");
      assert.equal(await layer(), "payments@1.2.0");
      const undone = await run(0, "rollout", "undo", last, "--watch");
      assert.match(undone, /1 cluster proved what they ran before/);
      assert.equal(await layer(), "payments@1.1.0");
      home.exec("undone");
      assert.equal(await priorityOf("undone"), "Exec into pod: Critical");
    });

    await t.test("a release beyond the terms is refused before anybody runs it", async () => {
      assert.match(
        await push("6.6.6", "- rule: Exec into pod\n  enabled: false\n", 1),
        /it would be left out: .*not list it under "replace" \(layer\/beyond-terms\)/,
      );
    });

    await t.test("who stole the team's key can sign no other layer with it, and no bundle", async () => {
      copyFileSync(path("payments/layer-payments.key.json"), path("thief/layer-cards.key.json"));
      copyFileSync(path("payments/layer-payments.key.json"), path("thief/targets.key.json"));
      assert.match(await push("6.6.6", ownRule, 1, "thief", "cards"), /may sign: .*\(trust\/unknown-key\)/);
      const folder = path("cards-6.6.6");
      const bundle = ["--kind", "rules", "--name", "starter", "--version", "6.6.6", "--sign"];
      assert.match(
        await run(1, "bundle", "push", folder, ...bundle, "--dir", path("thief")),
        /trust\/unknown-key/,
      );
    });

    await t.test("a layer that is taken back goes, and the rules under it go on", async () => {
      await push("1.3.0", tuned("ALERT"));
      const soaking = ["--layer", "payments@1.3.0", "--soak", "1h", "-o", "json"];
      const stopped = idOf(await run(0, "rollout", "rules", ...soaking));
      await until("it soaks", async () => (await layer()) === "payments@1.3.0");
      await run(0, "trust", "revoke-layer", "payments", ...signing);
      await run(0, "bundle", "push", "--targets", targets);
      await until("the layer is gone", async () => (await layer()) === "none");
      await until("its rollout stopped and says why", async () =>
        /paused[^]*the layer payments was taken back/.test(await run(0, "rollout", "show", stopped)),
      );
      home.exec("after");
      assert.equal(await priorityOf("after"), "Exec into pod: Warning");
      const again = await run(1, "rollout", "rules", "--layer", "payments@1.0.0", "--dry-run");
      assert.match(again, /trust\/not-delegated/);
      assert.doesNotMatch(await run(0, "cluster", "show", "eu-1"), /layer payments/);
    });
  },
);
