import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { test, type TestContext } from "node:test";
import { create } from "@bufbuild/protobuf";
import { AgentSchema, AssignmentSchema, AttemptSchema } from "#proto/fleet/v1/cluster";
import { BundleKind } from "#proto/fleet/v1/common";
import type { FakeCluster } from "../../test/support/kubernetes/cluster.ts";
import { builtIn, serviceMonitors } from "../../test/support/kubernetes/resources.ts";
import { ApiError } from "../../test/support/kubernetes/status.ts";
import { command, image, onboard, world } from "../../test/support/onboard-world.ts";
import { runCli } from "../../test/support/run-cli.ts";
import { until } from "../local/until.ts";

/** What was changed in the cluster from outside. */
const writes = ({ api }: FakeCluster) =>
  api.requests.filter((line) => !line.startsWith("GET ") && !line.includes("selfsubjectaccessreviews"));

test("onboard --dry-run says what it would apply, and changes neither the cluster nor the fleet", async (t) => {
  const { fleet, cluster } = await world(t);
  const { code, out, talk } = await onboard("--dry-run");
  assert.equal(code, 0, talk);
  assert.match(out, /Would apply:\n {2}Namespace falconry\n/);
  assert.match(out, /DaemonSet falconry-agent/);
  assert.deepEqual(writes(cluster), []);
  assert.deepEqual(fleet.joinTokens, []);
});

test("onboard --print gives manifests that hold the join string, says so, and applies nothing", async (t) => {
  const { fleet, cluster } = await world(t);
  const { code, out, talk } = await onboard("--print", "--team", "payments");
  assert.equal(code, 0, talk);
  assert.match(out, /^# This holds a secret/);
  assert.match(out, /kind: DaemonSet/);
  assert.match(talk, /holds a secret/);
  assert.deepEqual(writes(cluster), []);
  const [token] = fleet.joinTokens;
  assert.deepEqual(token?.labels, { region: "eu", team: "payments" });
  assert.equal(token?.clusterName, "eu-1");
  assert.equal(token?.clusterUid, cluster.find("Namespace", "", "kube-system")?.metadata.uid);
  assert.equal(token?.usesMax, 1);
});

test("onboard names every permission that is missing, and nothing was changed", async (t) => {
  const { fleet, cluster } = await world(t, {
    allows: ({ verb, resource }) => verb !== "create" || !["daemonsets", "secrets"].includes(resource),
  });
  const { code, talk } = await onboard();
  assert.equal(code, 1);
  assert.match(
    talk,
    /may not create daemonsets.apps in namespace falconry; create secrets in namespace falconry/,
  );
  assert.match(talk, /Nothing was changed/);
  assert.deepEqual(writes(cluster), []);
  assert.deepEqual(fleet.joinTokens, []);
});

test("onboard finds no control-plane node, says why that matters, and nothing was changed", async (t) => {
  const { cluster } = await world(t, { controlPlane: [] });
  const { code, talk } = await onboard();
  assert.equal(code, 1);
  assert.match(talk, /No node has a control-plane label, and an agent has to run where/);
  assert.deepEqual(writes(cluster), []);
});

test("onboard refuses a region that is another than the cluster's, before it makes a token", async (t) => {
  const { fleet, cluster } = await world(t);
  const known = fleet.addCluster("eu-1", { region: "us" });
  known.uid = cluster.find("Namespace", "", "kube-system")?.metadata.uid ?? "";
  const { code, talk } = await onboard();
  assert.equal(code, 1);
  assert.match(talk, /"eu-1" is in region us, not in eu/);
  assert.match(talk, /fleetctl cluster label eu-1 region=eu/);
  assert.deepEqual(fleet.joinTokens, []);
  assert.deepEqual(writes(cluster), []);
});

test("onboard does not take the name of another cluster", async (t) => {
  const { fleet } = await world(t);
  fleet.addCluster("eu-1", { region: "eu" }).uid = "another";
  const { code, talk } = await onboard();
  assert.equal(code, 1);
  assert.match(talk, /"eu-1" is another cluster: the fleet knows it by UID another/);
});

test("who may do everything in a namespace that is there may onboard into it, without rights to namespaces or to ServiceMonitors", async (t) => {
  const { cluster } = await world(t, {
    served: [...builtIn, serviceMonitors],
    allows: ({ verb, resource }) =>
      verb === "get" || verb === "list" || !["namespaces", "servicemonitors"].includes(resource),
  });
  const absent = await onboard("--dry-run");
  assert.match(
    absent.talk,
    /FAIL permissions .*may not create namespaces in all namespaces; patch namespaces/,
  );
  cluster.put({ apiVersion: "v1", kind: "Namespace", metadata: { name: "falconry" } });
  const { code, talk, out } = await onboard("--dry-run");
  assert.equal(code, 0, talk);
  assert.match(
    talk,
    /warn permissions .*no ServiceMonitor is made or changed without: create servicemonitors/,
  );
  assert.doesNotMatch(out, /ServiceMonitor|Namespace/);
});

test("a region that no other cluster is in is told of, because it may be mistyped", async (t) => {
  const { fleet } = await world(t);
  const first = await onboard("--dry-run");
  assert.doesNotMatch(first.talk, /no other cluster/, "the first cluster of a fleet is alone anywhere");
  fleet.addCluster("us-1", { region: "us" });
  fleet.addCluster("ap-1", { region: "ap" });
  const { code, talk } = await onboard("--dry-run");
  assert.equal(code, 0, talk);
  assert.match(talk, /warn place in the fleet .*no other cluster is in region eu; regions: ap, us/);
});

test("a server that the cluster cannot reach is told from the agent's own log, with what to look at; who stops waiting sees the log, too", async (t) => {
  const { cluster } = await world(t);
  const says = async (what: RegExp) => {
    const [pod = ""] = cluster.pods("falconry");
    return what.test(cluster.nodes.logOf("falconry", pod));
  };
  const patience = new AbortController();
  let doRun = false;
  const looking = setInterval(() => {
    if (doRun) void says(/enrolment has to wait/).then((isSaid) => isSaid && patience.abort());
  }, 200);
  t.after(() => clearInterval(looking));
  const stopped = await runCli([...command, "--wait", "4m"], {
    onTalk: (all) => (doRun = /ok {3}agents run/.test(all)),
    interrupt: patience.signal,
  });
  assert.equal(stopped.code, 130);
  assert.match(stopped.talk, /FAIL agents enrolled .*Interrupted while waiting for the agents to enrol/);
  assert.match(stopped.talk, /log: .*enrolment has to wait/);
  // The pod runs, so that the whole of a short wait is for its enrolment.
  const { code, talk } = await onboard("--wait", "3s");
  assert.equal(code, 1);
  assert.match(talk, /ok {3}agents run/);
  assert.match(talk, /log: .*enrolment has to wait/);
  assert.match(
    talk,
    /FAIL agents enrolled .*Waited \d s in vain for the agents to enrol; last seen: not connected: cp-1\n[^]*try: Can the nodes reach the server at localhost:1\? [^]*try: --server-network ADDRESS\/BITS/,
  );
});

/** A cluster whose agent runs with a token, and goes on asking for a server: without one it would end, and its pod with it. */
async function worldWithPod(t: TestContext): ReturnType<typeof world> {
  const { fleet, cluster } = await world(t, { missingImages: [image] });
  await onboard();
  cluster.faults.missingImages.length = 0;
  await until("the pod to run", 60_000, () => {
    const pods = cluster.pods("falconry").map((name) => cluster.find("Pod", "falconry", name));
    const seen = JSON.stringify(pods.map((pod) => pod?.["status"]));
    return Promise.resolve(seen.includes('"state":{"running"') ? { done: true } : { seen });
  });
  return { fleet, cluster };
}

test("a cluster that is connected already gets no new token, and a second run changes no object", async (t) => {
  const { fleet, cluster } = await worldWithPod(t);
  const known = fleet.addCluster("eu-1", { region: "eu" });
  known.uid = cluster.find("Namespace", "", "kube-system")?.metadata.uid ?? "";
  known.agents = [create(AgentSchema, { name: "cp-1", transport: "stream" })];
  const versions = () =>
    ["ServiceAccount", "ConfigMap", "NetworkPolicy", "DaemonSet", "PodDisruptionBudget"].map(
      (kind) => cluster.find(kind, "falconry", "falconry-agent")?.metadata.resourceVersion,
    );
  const before = versions();
  const { code, talk } = await onboard("--wait", "4m");
  assert.equal(code, 0, talk);
  assert.deepEqual(versions(), before);
  assert.equal(fleet.joinTokens.length, 1);
  assert.match(talk, /nothing is assigned yet/);
  assert.match(talk, /fleetctl rollout shipper --cluster eu-1/);
});

test("the agents' proofs and their first event are waited for, and what they refuse is told meanwhile", async (t) => {
  const { fleet, cluster } = await worldWithPod(t);
  const known = fleet.addCluster("eu-1", { region: "eu" });
  known.uid = cluster.find("Namespace", "", "kube-system")?.metadata.uid ?? "";
  const shipper = fleet.addBundle(BundleKind.SHIPPER, "audit", "1.0.0");
  const attempt = create(AttemptSchema, { reason: "shipper/not-allowed", detail: "it may not read there" });
  known.agents = [create(AgentSchema, { name: "cp-1", transport: "stream", attempts: [attempt] })];
  known.assignment = create(AssignmentSchema, { generation: 1n, shipper });
  const patience = new AbortController();
  const onTalk = (all: string) => /not proved yet/.test(all) && patience.abort();
  const { code, talk } = await runCli([...command, "--wait", "4m"], { interrupt: patience.signal, onTalk });
  assert.equal(code, 130, talk);
  assert.match(talk, /FAIL assigned bundles proved/);
  assert.match(talk, /not proved yet: audit@1\.0\.0; cp-1: shipper\/not-allowed: it may not read there/);
});

test("a kube-apiserver that is away for a moment does not end the wait", async (t) => {
  let cluster: FakeCluster | undefined;
  let blips = 3;
  const away = () => {
    blips -= 1;
    throw new ApiError(503, "ServiceUnavailable", "etcdserver: leader changed");
  };
  const waits = () => cluster?.find("PodDisruptionBudget", "falconry", "falconry-agent") !== undefined;
  ({ cluster } = await world(t, {
    missingImages: [image],
    allows: ({ resource }) => (resource === "pods" && blips > 0 && waits() ? away() : true),
  }));
  const { talk } = await onboard();
  assert.equal(blips, 0);
  assert.match(talk, /\.\.\. .*failed: etcdserver: leader changed/);
  assert.match(talk, /FAIL agents run .*ImagePullBackOff/);
});

test("a context that does not verify who answers is refused: the join string must not go to a stranger", async (t) => {
  const { cluster } = await world(t);
  const trusting = (await readFile(cluster.api.kubeconfig, "utf8")).replace(
    /certificate-authority-data: .*/,
    "insecure-skip-tls-verify: true",
  );
  await writeFile(cluster.api.kubeconfig, trusting);
  const { code, talk } = await onboard();
  assert.equal(code, 2);
  assert.match(talk, /does not verify who answers/);
  assert.deepEqual(cluster.api.requests, []);
});

test("a cluster that vouches gets no token and no Secret: its keys are registered, and again it goes on as it joined", async (t) => {
  const { fleet, cluster } = await world(t, { missingImages: [image] });
  const { talk } = await onboard("--join", "kubernetes", "--team", "payments");
  assert.match(
    talk,
    /ok {3}issuer trusted .*is_0: https:\/\/kubernetes.default.*, 1 key, this name and UID alone/,
  );
  assert.deepEqual(fleet.joinTokens, []);
  const [trusted] = fleet.issuers.all;
  const uid = cluster.find("Namespace", "", "kube-system")?.metadata.uid ?? "";
  assert.deepEqual([trusted?.clusterName, trusted?.clusterUid], ["eu-1", uid]);
  assert.deepEqual({ ...trusted?.labels }, { region: "eu", team: "payments" });
  assert.equal(trusted?.subject, "system:serviceaccount:falconry:falconry-agent");
  assert.equal(cluster.find("Secret", "falconry", "falconry-join"), undefined);
  const daemonSet = JSON.stringify(cluster.find("DaemonSet", "falconry", "falconry-agent"));
  assert.match(daemonSet, /"serviceAccountToken":\{"audience":"falconry:default"/);
  // Without the flag, and with an agent that is connected: nothing is registered or changed.
  const known = fleet.addCluster("eu-1", { region: "eu", team: "payments" });
  known.uid = uid;
  known.agents = [create(AgentSchema, { name: "cp-1", transport: "stream" })];
  const before = cluster.find("DaemonSet", "falconry", "falconry-agent")?.metadata.resourceVersion;
  const again = await onboard("--team", "payments", "--wait", "1s");
  assert.match(again.talk, /ok {3}issuer trusted .*as it was registered/);
  assert.equal(fleet.issuers.all.length, 1);
  assert.equal(cluster.find("DaemonSet", "falconry", "falconry-agent")?.metadata.resourceVersion, before);
  const printed = await onboard("--team", "payments", "--print");
  assert.doesNotMatch(printed.out + printed.talk, /holds a secret|kind: Secret/);
  const gone = await runCli(["cluster", "offboard", "eu-1"]);
  assert.match(gone.talk, /ok {3}issuers distrusted .*is_0/);
  assert.notEqual(trusted.revokedAt, undefined);
});

test("who may not read the cluster's keys is told before anything is registered, and no secret has to be writable", async (t) => {
  const { fleet } = await world(t, {
    allows: ({ path, resource }) => path === undefined && resource !== "secrets",
  });
  const { code, talk } = await onboard("--join", "kubernetes", "--dry-run");
  assert.equal(code, 1);
  assert.match(talk, /may not get \/.well-known\/openid-configuration; get \/openid\/v1\/jwks\n/);
  assert.deepEqual(fleet.issuers.all, []);
});

test("an issuer is trusted from a kubeconfig or from a file, listed, and distrusted", async (t) => {
  const { fleet, cluster } = await world(t);
  const trusting = ["cluster", "trust-issuer", "eu-1", "--region", "eu"];
  const made = await runCli([...trusting, "--context", "fake"]);
  assert.equal(made.code, 0, made.talk);
  assert.match(made.out, /^falconry:\/\/localhost:1\?ca=sha256:\S+\n$/);
  assert.match(made.talk, /service-account token for "falconry:default"/);
  const file = `${cluster.api.kubeconfig}.jwks`;
  await writeFile(file, cluster.api.issuer.jwks);
  const own = ["--jwks", file, "--issuer", "https://issuer.example.com", "--cluster-uid", "uid-1"];
  assert.equal((await runCli([...trusting, ...own])).code, 0);
  const listed = await runCli(["cluster", "list-issuers", "-o", "wide"]);
  assert.match(listed.out, /is_1 +eu-1 +https:\/\/issuer\.example\.com +region=eu/);
  assert.doesNotMatch(listed.out, /is_0/);
  const ended = await runCli(["cluster", "distrust-issuer", "is_1"]);
  assert.match(ended.out, /eu-1 vouches for nobody by is_1 any more/);
  assert.notEqual(fleet.issuers.all[0]?.revokedAt, undefined);
  await writeFile(file, '{"keys":[{"kid":"k","kty":"oct","k":"c2VjcmV0"}]}');
  const secret = await runCli([...trusting, ...own]);
  assert.equal(secret.code, 1);
  assert.match(secret.talk, /has keys that agents cannot join by: .*is secret/);
});

test("where Prometheus Operator is, its namespace is let in and a ServiceMonitor is made", async (t) => {
  let may = true;
  const { cluster } = await world(t, {
    served: [...builtIn, serviceMonitors],
    missingImages: [image],
    allows: ({ verb, resource }) => may || verb === "get" || resource !== "servicemonitors",
  });
  await onboard("--metrics-namespace", "prometheus");
  const found = (kind: string) => cluster.find(kind, "falconry", "falconry-agent");
  assert.notEqual(found("ServiceMonitor"), undefined);
  assert.match(JSON.stringify(found("NetworkPolicy")), /"kubernetes.io\/metadata.name":"prometheus"/);
  const made = () => [
    found("NetworkPolicy")?.["spec"],
    found("ConfigMap")?.["data"],
    found("DaemonSet")?.["spec"],
  ];
  const before = made();
  may = false;
  // Whether the node tries its image again meanwhile is not the point.
  const again = await onboard("--wait", "5s");
  assert.match(again.talk, /ok {3}objects applied/);
  assert.deepEqual(made(), before, "a later run by somebody without that right takes no metrics away");
});

const misuses: readonly [string, readonly string[], RegExp][] = [
  [
    "an unknown context",
    ["--image", image, "--context", "other"],
    /There is no context "other" in the kubeconfig .*: it holds fake/,
  ],
  [
    "a namespace with capitals",
    ["--image", image, "--namespace", "Falconry"],
    /The namespace "Falconry" cannot be used/,
  ],
  [
    "an audit log that is no path",
    ["--image", image, "--audit-log", "audit.log"],
    /--audit-log "audit.log" cannot be used/,
  ],
  [
    "a destination without a port",
    ["--image", image, "--destination", "logs"],
    /--destination "logs" is not HOST:PORT/,
  ],
  [
    "a place of Falco's records without Falco",
    ["--image", image, "--falco-records-url", "http://falco:9765/k8s-audit"],
    /--falco-records-url says where Falco takes records, and rules do not run there/,
  ],
  [
    "a place of Falco's records over TLS",
    ["--image", image, "--driver", "falco", "--falco-records-url", "https://falco/k8s-audit"],
    /--falco-records-url "https:\/\/falco\/k8s-audit" cannot be used/,
  ],
  ["an image with a blank", ["--image", "a b"], /--image "a b" is no image/],
];
test("onboard with a flag that makes no sense ends with code 2 and says how it goes", async (t) => {
  await world(t);
  for (const [what, flags, said] of misuses) {
    const { code, talk } = await runCli(["cluster", "onboard", "eu-1", "--region", "eu", ...flags]);
    assert.equal(code, 2, `${what}: ${talk}`);
    assert.match(talk, said, what);
  }
  const { code, talk } = await runCli(["cluster", "onboard", "eu-1", "--region", "eu"]);
  assert.equal(code, 2);
  assert.match(talk, /Which image\? Nothing says so/);
});
