/** The driver against Falcos that run as pods of two nodes, with a kube-apiserver and kubelets of our own. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { TestContext } from "node:test";
import { startFalco } from "../../../test/support/falco/falco-process.ts";
import type { FalcoProcess } from "../../../test/support/falco/falco-process.ts";
import { freePort } from "../../../test/support/free-ports.ts";
import { startProgramPods } from "../../../test/support/kubernetes/program-pods.ts";
import type { ProgramPods } from "../../../test/support/kubernetes/program-pods.ts";
import { allowsBy, falcoRules } from "../../../test/support/kubernetes/rbac.ts";
import { facts } from "../../pipeline/testing/bundles.ts";
import { until } from "../../pipeline/testing/until.ts";
import type { DriverResult } from "../driver.ts";
import { falcoWorld } from "../keep-with-programs.ts";
import { readDriverSettings } from "../settings.ts";
import { Falco } from "./falco.ts";
import { rulesFileName } from "./settings.ts";

const object = "falconry-falco-rules";
const good = (name: string): string => `- rule: ${name}
  desc: Something was started.
  condition: evt.type = execve
  output: started %proc.name
  priority: WARNING
`;
const bad = good("Bad").replace("evt.type = execve", "evt.type = execve and no.such_field = 1");

/** For what is refused: nobody has to wait long for it. */
const hasty = { FALCONRY_FALCO_PROOF_SECONDS: "4" };

let cluster: ProgramPods;
let falcos: readonly FalcoProcess[] = [];
let port = 0;
/** What the service's name leads to. */
let ready: readonly string[] = ["127.0.0.1", "127.0.0.2"];

before(async (t) => {
  const context = t as TestContext;
  cluster = await startProgramPods(context, {
    namespace: "falco",
    kind: "ConfigMap",
    object,
    daemonSet: "falco",
    nodes: 2,
  });
  cluster.allow(allowsBy("falco", falcoRules));
  port = await freePort();
  falcos = await Promise.all(ready.map((host) => startFalco(context, { web: { host, port } })));
  for (const { rulesDir } of falcos) cluster.mount(rulesDir);
});

/** The driver of one node's agent. */
function driverOf(t: TestContext, node = "cp-1", more: Readonly<Record<string, string>> = {}) {
  const dir = mkdtempSync(join(tmpdir(), "falconry-driver-"));
  const problems: string[] = [];
  const { falco: settings } = readDriverSettings(
    {
      ...cluster.env,
      FALCONRY_NODE: node,
      FALCONRY_RULES_DRIVER: "falco",
      FALCONRY_FALCO_CONFIGMAP: `falco/${object}`,
      FALCONRY_FALCO_PODS: `falconry-falco.falco.svc:${port}`,
      FALCONRY_FALCO_ALERTS_LISTEN: "0.0.0.0:2801",
      FALCONRY_FALCO_PROOF_SECONDS: "20",
      ...more,
    },
    problems,
  );
  assert.ok(settings && problems.length === 0, problems.join("; "));
  const resolve = async (host: string) => {
    assert.equal(host, "falconry-falco.falco.svc");
    return ready;
  };
  const driver = new Falco(settings, falcoWorld(settings, resolve), {
    candidate: join(dir, "candidate.yaml"),
    render: async ({ source }) => ({
      ok: true,
      digest: source.digest,
      files: [{ name: "rules.yaml", content: source.path }],
    }),
    onProblem: () => {},
    onLook: () => {},
  });
  t.after(() => {
    driver.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  /** Falcos that load what came before do not answer: that is tried again, as an agent does. */
  const apply = async (content: string, isKnown = false): Promise<DriverResult> => {
    const source = { path: content, digest: digestOf(content) };
    for (;;) {
      const result = await driver.apply({ source, facts, isKnown });
      if (reasonOf(result) !== "away falco/away" || !falcos.every((each) => each.isRunning())) return result;
      await pause(50);
    }
  };
  return { driver, apply };
}

const digestOf = (content: string) =>
  `sha256:${Buffer.from(content).toString("hex").slice(0, 64).padEnd(64, "0")}`;
const reasonOf = (result: DriverResult) => (result.ok === true ? "proved" : `${result.ok} ${result.reason}`);
const detailOf = (result: DriverResult) => (result.ok === true ? "" : result.detail);
const inCluster = () => {
  const data = cluster.find("ConfigMap", object)?.["data"] as Record<string, string> | undefined;
  return data?.[rulesFileName] ?? "";
};

test("rules are proved by the hash that the Falco of each node serves, and the next ones take their place", async (t) => {
  const { apply, driver } = driverOf(t);
  assert.equal(reasonOf(await apply(good("First"))), "proved");
  assert.equal(reasonOf(await apply(good("Second"))), "proved");
  assert.ok(inCluster().includes("rule: Second") && !inCluster().includes("rule: First"));
  assert.equal(driver.report().digest, digestOf(good("Second")));
  const owners = cluster.find("ConfigMap", object)?.metadata.managedFields?.map(({ manager }) => manager);
  assert.deepEqual(owners, ["falconry-agent"]);
});

test("rules that Falco refuses at its reload are taken back, on every node", async (t) => {
  assert.equal(reasonOf(await driverOf(t).apply(good("Kept"))), "proved");
  const refused = await driverOf(t, "cp-1", hasty).apply(bad);
  assert.equal(reasonOf(refused), "false falco/kept-old");
  assert.match(
    detailOf(refused),
    /ConfigMap falco\/falconry-falco-rules: http:\/\/127\.0\.0\.1:\d+ shows \w+ .*127\.0\.0\.2:\d+ shows/,
  );
  assert.ok(inCluster().includes("rule: Kept"));
  // A Falco that is just loading may miss what is put there in that moment, so nothing new comes before all have them.
  assert.equal(reasonOf(await driverOf(t).apply(good("Kept"), true)), "proved");
});

test("one node whose kubelet brings nothing proves nothing for the others", async (t) => {
  const everywhere = await driverOf(t).apply(good("Everywhere"));
  assert.equal(reasonOf(everywhere), "proved", detailOf(everywhere));
  cluster.sync(false);
  t.after(() => cluster.sync(true));
  const refused = await driverOf(t, "cp-1", hasty).apply(good("Nowhere"));
  assert.equal(reasonOf(refused), "false falco/kept-old");
  assert.ok(inCluster().includes("rule: Everywhere"));
});

test("a node without a Falco holds up new rules, takes nothing from those that run, and is told", async (t) => {
  const { apply, driver } = driverOf(t);
  await apply(good("Ran on both"));
  const all = ready;
  t.after(() => (ready = all));
  ready = all.slice(0, 1);
  await until("it is told", () => driver.report().notes.has("driver/nodes"));
  assert.match(
    driver.report().notes.get("driver/nodes") ?? "",
    /answers on 1 of 2 nodes: 1 of the 2 nodes of DaemonSet/,
  );
  assert.equal(driver.report().fault, undefined);
  const away = await driver.apply({
    source: { path: good("New"), digest: digestOf("new") },
    facts,
    isKnown: false,
  });
  assert.equal(reasonOf(away), "away falco/away");
  assert.ok(inCluster().includes("rule: Ran on both"));
  const half = driverOf(t, "cp-1", { FALCONRY_FALCO_NODES_PERCENT: "50" });
  assert.equal(reasonOf(await half.apply(good("On one"))), "proved");
});

test("of two agents one writes, and the other proves what that one wrote", async (t) => {
  const [first, second] = [driverOf(t, "cp-1"), driverOf(t, "cp-2")];
  assert.equal(reasonOf(await first.apply(good("By the first"))), "proved");
  assert.equal(reasonOf(await second.apply(good("By the first"))), "proved");
  const other = await second.apply(good("By the second"));
  assert.equal(reasonOf(other), "away falco/other-writer");
  assert.match(detailOf(other), /is written by the agent "cp-1"/);
  assert.ok(inCluster().includes("rule: By the first"));
});

test("rules that two agents try at once are refused by both, and what ran before comes back, not they", async (t) => {
  const [first, second, third] = ["cp-1", "cp-2", "cp-3"].map((node) => driverOf(t, node, hasty));
  assert.ok(first && second && third);
  for (const { apply } of [first, second]) assert.equal(reasonOf(await apply(good("Before"))), "proved");
  const tries = [first.apply(bad)];
  await until("the first has put them there", () => inCluster().includes("rule: Bad"));
  // The third has just been started, and knows of nothing that ran before.
  tries.push(second.apply(bad), third.apply(bad));
  const reasons = (await Promise.all(tries)).map(reasonOf);
  // Whoever looks while the Falcos load what was put back sees none of them.
  for (const reason of reasons) assert.match(reason, /^false falco\/(?:kept-old|died)$/);
  assert.ok(inCluster().includes("rule: Before"));
});

test("an agent that is started anew and has nothing to write counts for all once no other one does", async (t) => {
  assert.equal(reasonOf(await driverOf(t, "cp-1").apply(good("Same"))), "proved");
  const free = () => cluster.put({ ...cluster.find("Lease", object), spec: {} });
  free();
  const anew = driverOf(t, "cp-2");
  assert.equal(reasonOf(await anew.apply(good("Same"), true)), "proved");
  const holder = () => {
    const { holderIdentity } = (cluster.find("Lease", object)?.["spec"] ?? {}) as { holderIdentity?: string };
    return holderIdentity;
  };
  await until("it has the lease", () => holder() === "cp-2");
  anew.driver.stop();
  free();
});

test("what somebody else wrote is a conflict that names them, and is never taken by force", async (t) => {
  const { apply, driver } = driverOf(t);
  await apply(good("Ours"));
  const live = cluster.find("ConfigMap", object);
  cluster.put({ ...live, data: { [rulesFileName]: good("Theirs") } }, "kubectl-edit");
  await until("it is a fault", () => driver.report().fault?.includes("any more") === true);
  const conflict = await apply(good("Ours"), true);
  assert.equal(reasonOf(conflict), "away falco/conflict");
  assert.match(detailOf(conflict), /conflict with "kubectl-edit": \.data\.falconry_rules\.yaml/);
  const theirs = cluster.find("ConfigMap", object);
  cluster.put({ ...theirs, data: {} }, "kubectl-edit");
  assert.equal(reasonOf(await apply(good("Ours"), true)), "proved");
  assert.ok(inCluster().includes("rule: Ours"));
});

test("rules that no ConfigMap can hold are refused before anything is written, with what to do", async (t) => {
  const { apply } = driverOf(t);
  const asked = cluster.api.requests.length;
  const large = await apply(`${good("Large")}# ${"x".repeat(1024 * 1024)}\n`);
  assert.equal(reasonOf(large), "false falco/too-large");
  assert.match(detailOf(large), /can hold 1048576 bytes, and this bundle has \d+\. Take out/);
  assert.deepEqual(
    cluster.api.requests.slice(asked).filter((each) => !each.startsWith("GET")),
    [],
  );
});

test("an agent without its Role, or without the objects, says what to run", async (t) => {
  const { apply } = driverOf(t);
  cluster.allow(({ resource }) => resource === "daemonsets");
  const forbidden = await apply(good("Any"));
  cluster.allow(allowsBy("falco", falcoRules));
  assert.equal(reasonOf(forbidden), "away falco/forbidden");
  assert.match(detailOf(forbidden), /run fleetctl cluster onboard with --driver again.*is forbidden: User/);
  const elsewhere = driverOf(t, "cp-1", { FALCONRY_FALCO_CONFIGMAP: "falco/other" });
  cluster.allow(() => true);
  t.after(() => cluster.allow(allowsBy("falco", falcoRules)));
  assert.equal(reasonOf(await elsewhere.apply(good("Any"))), "away falco/no-object");
});
