import assert from "node:assert/strict";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { parse } from "yaml";
import { AlertSchema } from "#proto/fleet/v1/alert";
import {
  AgentSchema,
  AssignmentSchema,
  AttemptSchema,
  ClusterHealth,
  RateSeriesSchema,
  RatesSchema,
} from "#proto/fleet/v1/cluster";
import { BundleKind } from "#proto/fleet/v1/common";
import { spkiPin } from "#trust";
import { X509Certificate } from "node:crypto";
import { type FakeFleet, serveFleet } from "../test/support/fake-fleet.ts";
import { runCli, setEnv, temporaryDirectory, useContext } from "../test/support/run-cli.ts";

/** A fleet with clusters eu-1, eu-2 and us-1 and a context for it. */
async function smallFleet(t: TestContext): Promise<FakeFleet> {
  const { fleet, context } = await serveFleet(t);
  await useContext(t, context);
  fleet.addCluster("eu-1", { region: "eu", team: "payments" });
  fleet.addCluster("eu-2", { region: "eu" });
  fleet.addCluster("us-1", { region: "us" });
  return fleet;
}

const names = (json: string): string[] =>
  JSON.parse(json).clusters.map((cluster: { name: string }) => cluster.name);

test("cluster list narrows by region, label and name, all together", async (t) => {
  await smallFleet(t);
  const list = async (...flags: string[]) =>
    names((await runCli(["cluster", "list", "-o", "json", ...flags])).out);
  assert.deepEqual(await list(), ["eu-1", "eu-2", "us-1"]);
  assert.deepEqual(await list("--region", "eu"), ["eu-1", "eu-2"]);
  assert.deepEqual(await list("--region", "eu,us", "--region", "tr"), ["eu-1", "eu-2", "us-1"]);
  assert.deepEqual(await list("--region", "eu", "-l", "!team"), ["eu-2"]);
  assert.deepEqual(await list("-l", "team=payments", "-l", "region notin (us)"), ["eu-1"]);
  assert.deepEqual(await list("--cluster", "us-1"), ["us-1"]);
  setEnv(t, "FLEETCTL_REGION", "us,tr");
  assert.deepEqual(await list(), ["us-1"], "flags come from the environment too");
});

test("cluster list follows every page", async (t) => {
  const fleet = await smallFleet(t);
  fleet.pageMax = 1;
  assert.deepEqual(names((await runCli(["cluster", "list", "-o", "json"])).out), ["eu-1", "eu-2", "us-1"]);
});

test("cluster list sorts as the server does, over all pages", async (t) => {
  const fleet = await smallFleet(t);
  fleet.pageMax = 2;
  const newest = await runCli(["cluster", "list", "-o", "json", "--sort", "newest"]);
  assert.deepEqual(names(newest.out), ["us-1", "eu-2", "eu-1"]);
});

test("cluster list says on stderr that nothing matches, and stdout stays empty for scripts", async (t) => {
  await smallFleet(t);
  const { code, out, talk } = await runCli(["cluster", "list", "--region", "xx"]);
  assert.deepEqual([code, out], [0, ""]);
  assert.match(talk, /No cluster matches region=xx/);
});

test("-o yaml and -o json hold the same", async (t) => {
  await smallFleet(t);
  const json = await runCli(["cluster", "list", "-o", "json"]);
  const yaml = await runCli(["cluster", "list", "-o", "yaml"]);
  assert.deepEqual(parse(yaml.out), JSON.parse(json.out));
});

test("cluster show tells why an agent refused a bundle and what it runs meanwhile", async (t) => {
  const fleet = await smallFleet(t);
  const cluster = fleet.cluster("eu-1");
  const bundle = fleet.addBundle(BundleKind.RULES, "starter", "1.1.0");
  cluster.health = ClusterHealth.DEGRADED;
  cluster.healthReason = "agent node-1 refused starter@1.1.0";
  cluster.assignment = create(AssignmentSchema, { generation: 7n, rules: bundle, rolloutId: "ro_1" });
  cluster.agents = [
    create(AgentSchema, {
      id: "ag_1",
      name: "node-1",
      transport: "stream",
      observedGeneration: 7n,
      attempts: [
        create(AttemptSchema, {
          bundle,
          generation: 7n,
          phase: "rejected",
          reason: "trust/hash-mismatch",
          detail: "evil \u001b[31mdetail",
          at: timestampFromMs(Date.now() - 5000),
        }),
      ],
    }),
  ];
  const { out } = await runCli(["cluster", "show", "eu-1"]);
  assert.match(out, /health: +degraded \(agent node-1 refused starter@1\.1\.0\)/);
  assert.match(out, /assigned: +generation 7: starter@1\.1\.0, by rollout ro_1/);
  assert.match(out, /starter@1\.1\.0 +7 +rejected +\d+s +trust\/hash-mismatch: evil \\u001b\[31mdetail/);
  assert.ok(!out.includes("\u001b"), "nothing from outside steers the terminal");
});

test("cluster label sets and removes, and passes on the server's refusal", async (t) => {
  const fleet = await smallFleet(t);
  const done = await runCli(["cluster", "label", "eu-1", "team-", "environment=prod"]);
  assert.equal(done.out, "eu-1: environment=prod,region=eu\n");
  assert.deepEqual(fleet.cluster("eu-1").labels, { region: "eu", environment: "prod" });
  const refused = await runCli(["cluster", "label", "eu-1", "region-"]);
  assert.equal(refused.code, 1);
  assert.match(refused.talk, /Label "region" cannot be removed/);
});

test("cluster retire takes a cluster out of the list; --retired brings it back into view", async (t) => {
  await smallFleet(t);
  assert.equal((await runCli(["cluster", "retire", "us-1"])).code, 0);
  assert.deepEqual(names((await runCli(["cluster", "list", "-o", "json"])).out), ["eu-1", "eu-2"]);
  assert.match((await runCli(["cluster", "list", "--retired"])).out, /us-1 +us +retired/);
});

test("token create prints the join string alone on stdout and the talk on stderr", async (t) => {
  const fleet = await smallFleet(t);
  const { out, talk } = await runCli(
    "token create --region eu --team payments --label tier=1,owner=ada --ttl 15m --uses 3 --cluster eu-9".split(
      " ",
    ),
  );
  assert.match(out, /^falconry:\/\/\S+\n$/);
  assert.match(talk, /Token jt_0: 3 uses, 15m left, labels owner=ada,region=eu,team=payments,tier=1/);
  const [token] = fleet.joinTokens;
  assert.deepEqual(token?.labels, { region: "eu", team: "payments", tier: "1", owner: "ada" });
  assert.deepEqual([token?.usesMax, token?.clusterName], [3, "eu-9"]);
  const twice = await runCli("token create --region eu --label region=us".split(" "));
  assert.equal(twice.code, 2);
  assert.match(twice.talk, /"region" is given by --label and by --region/);
});

test("token list shows which tokens can still be used, and token revoke ends one", async (t) => {
  await smallFleet(t);
  await runCli(["token", "create", "--region", "eu"]);
  assert.match((await runCli(["token", "list"])).out, /jt_0 +usable +0\/1 +1h +region=eu/);
  assert.match((await runCli(["token", "revoke", "jt_0"])).out, /Revoked jt_0\. It was never used\./);
  assert.match((await runCli(["token", "list"])).out, /jt_0 +revoked/);
});

test("token api create prints the secret alone; list never shows it; revoke ends it", async (t) => {
  await smallFleet(t);
  const made = await runCli(["token", "api", "create", "ci", "--role", "operator", "--ttl", "90d"]);
  assert.equal(made.out, "at_0.s3cret\n");
  const listed = await runCli(["token", "api", "list"]);
  assert.match(listed.out, /at_0 +ci +operator +the whole fleet +usable +90d/);
  assert.ok(!listed.out.includes("s3cret"));
  await runCli(["token", "api", "revoke", "at_0"]);
  assert.match((await runCli(["token", "api", "list"])).out, /revoked/);
});

function raise(fleet: FakeFleet, cluster: string, rule: string): void {
  fleet.raise(
    create(AlertSchema, {
      id: `al_${fleet.alerts.length}`,
      clusterName: cluster,
      rule,
      priority: "Critical",
      time: timestampFromMs(Date.UTC(2026, 0, 2, 3, 4, 5)),
      output: `something at ${cluster}`,
    }),
  );
}

test("alerts list filters by rule and cluster, and says when there are more", async (t) => {
  const fleet = await smallFleet(t);
  raise(fleet, "eu-1", "Exec");
  raise(fleet, "us-1", "Exec");
  raise(fleet, "us-1", "Secret");
  assert.match(
    (await runCli("alerts list --region us --rule Exec".split(" "))).out,
    /03:04:05.000Z +us-1 +Critical +Exec +something at us-1\n$/,
  );
  const short = await runCli("alerts list --limit 2 -o json".split(" "));
  assert.equal(JSON.parse(short.out).alerts.length, 2);
});

test("alerts stats counts by rule with shares of the whole", async (t) => {
  const fleet = await smallFleet(t);
  for (const rule of ["Exec", "Exec", "Exec", "Secret"]) raise(fleet, "eu-1", rule);
  const { out, talk } = await runCli("alerts stats --since 1d".split(" "));
  assert.match(out, /Exec +3 +75\.0%/);
  assert.match(talk, /4 alerts in all/);
});

test("alerts tail prints alerts as they arrive, a line of JSON each, and ends after --limit", async (t) => {
  const fleet = await smallFleet(t);
  const tail = runCli("alerts tail -o json --limit 2".split(" "));
  while (fleet.tailCount === 0) await new Promise((resolve) => setImmediate(resolve));
  raise(fleet, "eu-1", "Exec");
  raise(fleet, "eu-2", "Secret");
  const { code, out } = await tail;
  assert.equal(code, 0);
  const rules = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line).rule);
  assert.deepEqual(rules, ["Exec", "Secret"]);
});

test("alerts tail outlives a server that drains, says so, and prints what is told again once", async (t) => {
  const fleet = await smallFleet(t);
  const tail = runCli("alerts tail -o json --limit 2 --since 1h".split(" "));
  const asked = async (count: number) => {
    const isAsked = () => fleet.tails.length === count && fleet.tailCount > 0;
    while (!isAsked()) await new Promise((resolve) => setImmediate(resolve));
  };
  await asked(1);
  raise(fleet, "eu-1", "Exec");
  fleet.drain();
  await asked(2);
  const [told] = fleet.alerts;
  assert.ok(told !== undefined);
  fleet.raise(told);
  raise(fleet, "eu-2", "Secret");
  const { code, out, talk } = await tail;
  assert.equal(code, 0);
  const rules = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line).rule);
  assert.deepEqual(rules, ["Exec", "Secret"]);
  assert.match(talk, /^The server went away; detection does not need this watch[^]*The server is back/);
  assert.ok(fleet.tails[0]?.filter?.since !== undefined);
  assert.equal(fleet.tails[1]?.place, "1", "it goes on where it was");
});

test("alerts tail says at once that no server is there, and not that one went away", async (t) => {
  const served = await serveFleet(t);
  await useContext(t, served.context);
  await served.stop();
  const { code, talk } = await runCli(["alerts", "tail"]);
  assert.equal(code, 3);
  assert.doesNotMatch(talk, /went away|Trying again/);
});

test("alerts tail ends in good order when it is interrupted", async (t) => {
  const fleet = await smallFleet(t);
  const controller = new AbortController();
  const tail = runCli(["alerts", "tail"], { interrupt: controller.signal });
  while (fleet.tailCount === 0) await new Promise((resolve) => setImmediate(resolve));
  controller.abort();
  assert.deepEqual(await tail, { code: 0, out: "", talk: "" });
});

test("top --once shows the newest minute that says something, per second of what it covers", async (t) => {
  const fleet = await smallFleet(t);
  const minute = timestampFromMs(Date.UTC(2026, 0, 1, 10, 0));
  const rates = create(RatesSchema, {
    minute,
    events: 1200n,
    bytes: 1_800_000n,
    alerts: 3n,
    seconds: 30,
    lagMs: 250n,
    detectionUs: 2400n,
  });
  const justBegun = create(RatesSchema, { minute, events: 9n, seconds: 2 });
  fleet.rates.push(create(RateSeriesSchema, { clusterName: "eu-1", rates: [rates, justBegun] }));
  fleet.rates.push(create(RateSeriesSchema, { clusterName: "eu-2" }));
  const { out } = await runCli("top --once --region eu".split(" "));
  assert.match(out, /eu-1 +40 +60kB +6 +250ms +0 +0 +2\.0us\/event/);
  assert.match(out, /eu-2 +- +- +-/);
});

test("top on a terminal shows health beside the figures, sorts by keys, and ends with q", async (t) => {
  const fleet = await smallFleet(t);
  const minute = timestampFromMs(Date.UTC(2026, 0, 1, 10, 0));
  const rates = (events: bigint, lagMs: bigint) => [
    create(RatesSchema, { minute, events, seconds: 60, lagMs }),
  ];
  fleet.rates.push(create(RateSeriesSchema, { clusterName: "eu-1", rates: rates(1200n, 1n) }));
  fleet.rates.push(create(RateSeriesSchema, { clusterName: "eu-2", rates: rates(60n, 9000n) }));
  let press: (key: string) => void = () => {};
  const lastOf = (all: string) => all.slice(all.lastIndexOf("\u001b[J"));
  const { code, out } = await runCli("top --region eu".split(" "), {
    terminal: true,
    onKeys: (each) => {
      press = each;
      // Somebody is faster than the server.
      press("r");
      press("r");
    },
    onOut: (all) => {
      const frame = lastOf(all);
      assert.doesNotMatch(frame, /No cluster matches/, "before it was known");
      if (frame.includes("by events") && frame.includes("eu-2")) setImmediate(() => press("l"));
      else if (frame.includes("by lag")) setImmediate(() => press("q"));
    },
  });
  assert.equal(code, 0);
  assert.match(out, /eu-1 +\S+ +20 [^]*eu-2 +\S+ +1 [^]*by events/);
  assert.match(lastOf(out), /eu-2 [^]*eu-1 [^]*by lag/);
});

test("login verifies server, CA and token, stores them for the owner only, and makes them current", async (t) => {
  const { fleet, context, tls } = await serveFleet(t);
  fleet.addCluster("eu-1", { region: "eu" });
  const file = join(await temporaryDirectory(t), "contexts.json");
  setEnv(t, "FLEETCTL_CONFIG", file);
  const pin = spkiPin(new X509Certificate(tls.ca).raw);
  const args = ["login", "--name", "here", "--server", context.server, "--ca-pin", pin];
  const { code, out, talk } = await runCli(args, { input: `${fleet.token}\n` });
  assert.equal(code, 0, talk);
  assert.match(out, /as context here.*You see 1 cluster\./);
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.deepEqual(JSON.parse(await readFile(file, "utf8")).contexts.here, {
    server: context.server,
    ca: tls.ca,
    token: fleet.token,
  });
  assert.match((await runCli(["context", "list"])).out, /^\* +here/m);
  assert.match((await runCli(["context", "show"])).out, new RegExp(`CA pin: +${pin}`));
});

test("login with another pin than the server's CA has names both and stores nothing", async (t) => {
  const { context, tls } = await serveFleet(t);
  const file = join(await temporaryDirectory(t), "contexts.json");
  setEnv(t, "FLEETCTL_CONFIG", file);
  const wrong = `sha256:${"0".repeat(64)}`;
  const { code, talk } = await runCli(["login", "--server", context.server, "--ca-pin", wrong], {
    input: "at_1.x",
  });
  assert.equal(code, 1);
  assert.ok(talk.includes(wrong) && talk.includes(spkiPin(new X509Certificate(tls.ca).raw)), talk);
  await assert.rejects(stat(file), /ENOENT/);
});

test("login with a token that the server refuses stores nothing", async (t) => {
  const { context, tls } = await serveFleet(t);
  const directory = await temporaryDirectory(t);
  const file = join(directory, "contexts.json");
  await writeFile(join(directory, "ca.pem"), tls.ca);
  setEnv(t, "FLEETCTL_CONFIG", file);
  const args = ["login", "--server", context.server, "--ca", join(directory, "ca.pem")];
  const { code, talk } = await runCli(args, { input: "at_1.wrong" });
  assert.equal(code, 1);
  assert.match(talk, /does not accept the token/);
  await assert.rejects(stat(file), /ENOENT/);
  const empty = await runCli(args, { input: "" });
  assert.equal(empty.code, 2);
  assert.match(empty.talk, /There is no API token in standard input/);
});

test("context use changes whom commands talk to", async (t) => {
  const { context } = await serveFleet(t);
  const file = await useContext(t, context);
  const stored = JSON.parse(await readFile(file, "utf8"));
  stored.contexts.other = { ...context, server: "https://localhost:1" };
  await writeFile(file, JSON.stringify(stored));
  assert.match((await runCli(["context", "use", "other"])).out, /Commands talk to other/);
  assert.equal((await runCli(["cluster", "list"])).code, 3);
  assert.equal((await runCli(["cluster", "list", "--context", "test"])).code, 0);
  assert.equal((await runCli(["context", "use", "nope"])).code, 2);
});
