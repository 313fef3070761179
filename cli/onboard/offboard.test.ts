import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { KubeConfig, KubernetesObjectApi } from "@kubernetes/client-node";
import { serveFleet } from "../../test/support/fake-fleet.ts";
import {
  startCluster,
  type ClusterOptions,
  type FakeCluster,
} from "../../test/support/kubernetes/cluster.ts";
import { builtIn, serviceMonitors } from "../../test/support/kubernetes/resources.ts";
import { runCli, useContext } from "../../test/support/run-cli.ts";
import { until } from "../local/until.ts";

const image = "images.example.com/falconry-agent:1";

/** A cluster that was onboarded as far as its image could not be pulled. */
async function onboarded(t: TestContext, options: ClusterOptions = {}) {
  const { fleet, context } = await serveFleet(t);
  await useContext(t, context);
  const cluster = await startCluster(t, { missingImages: [image], ...options });
  await runCli(["cluster", "onboard", "eu-1", "--region", "eu", "--image", image]);
  const known = fleet.addCluster("eu-1", { region: "eu" });
  known.uid = cluster.find("Namespace", "", "kube-system")?.metadata.uid ?? "";
  return { fleet, cluster, known };
}
const offboard = (...more: readonly string[]) => runCli(["cluster", "offboard", "eu-1", ...more]);
/** As somebody who works in the cluster would. */
async function kubeRemove({ api }: FakeCluster, kind: string, name: string): Promise<void> {
  const config = new KubeConfig();
  config.loadFromFile(api.kubeconfig);
  const groups: Readonly<Record<string, string>> = {
    CronJob: "batch/v1",
    Widget: "example.com/v1",
    Role: "rbac.authorization.k8s.io/v1",
  };
  const apiVersion = groups[kind] ?? "v1";
  const object = { apiVersion, kind, metadata: { name, namespace: "falconry" } };
  await KubernetesObjectApi.makeApiClient(config).delete(object);
}

test("offboard removes what onboard made, revokes its token and retires the identity; again it finds nothing", async (t) => {
  const { fleet, cluster, known } = await onboarded(t);
  const { code, talk } = await offboard();
  assert.equal(code, 0, talk);
  for (const kind of ["DaemonSet", "ConfigMap", "NetworkPolicy", "PodDisruptionBudget", "ServiceAccount"]) {
    assert.equal(cluster.find(kind, "falconry", "falconry-agent"), undefined, kind);
  }
  assert.equal(cluster.find("Secret", "falconry", "falconry-join"), undefined);
  assert.equal(cluster.find("Namespace", "", "falconry"), undefined);
  assert.notEqual(known.retiredAt, undefined);
  assert.notEqual(fleet.joinTokens[0]?.revokedAt, undefined);
  const again = await offboard();
  assert.equal(again.code, 0, again.talk);
  assert.match(again.talk, /objects removed .*there were none/);
});

test("a namespace that holds what others made stays, with all of it, whatever kind it is, and is said to", async (t) => {
  const widgets = {
    group: "example.com",
    version: "v1",
    kind: "Widget",
    plural: "widgets",
    namespaced: true,
  };
  // As two custom resources may: one kind, two names.
  const gadgets = { ...widgets, plural: "gadgets" };
  let mayList = true;
  const { cluster } = await onboarded(t, {
    served: [...builtIn, widgets, gadgets],
    allows: ({ verb, resource }) => verb !== "list" || resource !== "widgets" || mayList,
  });
  // What each namespace has, and what goes with something else of it, keeps none.
  const metadata = (name: string, more: object = {}) => ({ name, namespace: "falconry", ...more });
  const ownerReferences = [{ apiVersion: "apps/v1", kind: "DaemonSet", name: "falconry-agent", uid: "1" }];
  cluster.put({ apiVersion: "v1", kind: "ConfigMap", metadata: metadata("kube-root-ca.crt") });
  cluster.put({ apiVersion: "v1", kind: "ServiceAccount", metadata: metadata("default") });
  cluster.put({ apiVersion: "v1", kind: "Secret", metadata: metadata("of-the-agent", { ownerReferences }) });
  const strangers = [
    ["batch/v1", "CronJob", "backup"],
    ["example.com/v1", "Widget", "w"],
    ["rbac.authorization.k8s.io/v1", "Role", "reader"],
    ["v1", "ConfigMap", "note"],
    ["v1", "ServiceAccount", "robot"],
  ] as const;
  for (const [apiVersion, kind, name] of strangers) {
    cluster.put({ apiVersion, kind, metadata: metadata(name) });
  }
  const { store } = cluster.api;
  store.put(gadgets, { apiVersion: "example.com/v1", kind: "Widget", metadata: metadata("of-gadgets") });
  const { code, talk } = await offboard();
  assert.equal(code, 0, talk);
  assert.match(talk, /warn namespace .*"falconry" stays: it holds .*, which fleetctl did not make/);
  assert.match(talk, /stays: .*Widget of-gadgets/);
  store.remove(gadgets, "falconry", "of-gadgets");
  for (const [, kind, name] of strangers) {
    assert.match(talk, new RegExp(`stays: .*${kind} ${name}`));
    assert.notEqual(cluster.find(kind, "falconry", name), undefined, kind);
    await kubeRemove(cluster, kind, name);
  }
  assert.doesNotMatch(talk, /kube-root-ca|ServiceAccount default|of-the-agent/);
  assert.equal(cluster.find("DaemonSet", "falconry", "falconry-agent"), undefined);
  mayList = false;
  const claims = builtIn.find(({ kind }) => kind === "PersistentVolumeClaim");
  assert.ok(claims !== undefined);
  const many = Array.from({ length: 101 }, (_, index) => `claim-${index}`);
  for (const name of many) {
    cluster.put({ apiVersion: "v1", kind: claims.kind, metadata: metadata(name, { ownerReferences }) });
  }
  const unseen = await offboard();
  for (const name of many) store.remove(claims, "falconry", name);
  assert.match(unseen.talk, /cannot be seen: persistentvolumeclaims of v1: there are more than 100/);
  assert.match(
    unseen.talk,
    /stays: what else is in it cannot be seen: .*widgets of example\.com\/v1: .*forbidden/,
  );
  mayList = true;
  const again = await offboard();
  assert.match(again.talk, /ok {3}namespace .*"falconry" removed/);
  assert.equal(cluster.find("Namespace", "", "falconry"), undefined, "and it was waited for");
});

test("an agent on a node that is away does not keep its cluster's tokens and identity valid", async (t) => {
  const { fleet, cluster, known } = await onboarded(t);
  await until("the pod", 10_000, () => {
    const [pod] = cluster.pods("falconry");
    return Promise.resolve(pod === undefined ? { seen: "none" } : { done: pod });
  });
  cluster.loseNode("cp-1");
  const { code, talk } = await offboard("--wait", "1s");
  assert.equal(code, 0, talk);
  assert.match(
    talk,
    /warn agents gone .*not yet: falconry-agent-\S+ on cp-1\. .*kubectl --context fake -n falconry delete pod --force/,
  );
  assert.notEqual(known.retiredAt, undefined);
  assert.notEqual(fleet.joinTokens[0]?.revokedAt, undefined);
  assert.match(
    talk,
    /warn namespace .*"falconry" is being deleted, and nothing can be onboarded into it until it is gone: Some resources are remaining: pods/,
  );
  const early = await runCli(["cluster", "onboard", "eu-2", "--region", "eu", "--image", image]);
  assert.match(early.talk, /FAIL namespace .*"falconry" is being deleted, and takes nothing new/);
});

test("an object of the agent's name that somebody else made is not removed, and then nothing is", async (t) => {
  const { cluster, known } = await onboarded(t);
  const config = cluster.find("ConfigMap", "falconry", "falconry-agent");
  cluster.put({ ...config, metadata: { name: "falconry-agent", namespace: "falconry" } }, "kubectl");
  const { code, talk } = await offboard();
  assert.equal(code, 1);
  assert.match(talk, /ConfigMap falconry-agent in namespace falconry was not made by fleetctl/);
  assert.notEqual(cluster.find("DaemonSet", "falconry", "falconry-agent"), undefined);
  assert.equal(known.retiredAt, undefined);
});

test("a kubeconfig that leads to another cluster removes nothing and retires nobody", async (t) => {
  const { cluster, known } = await onboarded(t);
  known.uid = "another";
  const { code, talk } = await offboard();
  assert.equal(code, 1);
  assert.match(talk, /leads to another cluster than "eu-1"/);
  assert.match(talk, /fleetctl cluster retire eu-1/);
  assert.notEqual(cluster.find("DaemonSet", "falconry", "falconry-agent"), undefined);
  assert.equal(known.retiredAt, undefined);
});

test("offboard --dry-run lists what it would remove and changes nothing", async (t) => {
  const { cluster, known } = await onboarded(t);
  const { code, out } = await offboard("--dry-run");
  assert.equal(code, 0);
  assert.match(out, /Would remove:\n {2}DaemonSet falconry-agent\n/);
  assert.notEqual(cluster.find("DaemonSet", "falconry", "falconry-agent"), undefined);
  assert.equal(known.retiredAt, undefined);
});

test("a user who may not remove everything is told what is missing, and then nothing is removed", async (t) => {
  const { cluster, known } = await onboarded(t, {
    allows: ({ verb, resource }) =>
      verb !== "delete" || !["networkpolicies", "namespaces"].includes(resource),
  });
  const { code, talk } = await offboard();
  assert.equal(code, 1);
  assert.match(
    talk,
    /FAIL permissions .*Nothing was changed: .*may not delete networkpolicies.networking.k8s.io in namespace falconry; delete namespaces in all namespaces/,
  );
  assert.notEqual(cluster.find("DaemonSet", "falconry", "falconry-agent"), undefined);
  assert.equal(known.retiredAt, undefined);
});

test("who was let onboard without rights to Services and ServiceMonitors is let offboard, and told what may stay", async (t) => {
  const { cluster, known } = await onboarded(t, {
    served: [...builtIn, serviceMonitors],
    allows: ({ resource }) => !["services", "servicemonitors"].includes(resource),
  });
  assert.notEqual(cluster.find("DaemonSet", "falconry", "falconry-agent"), undefined);
  const { code, talk } = await offboard();
  assert.equal(code, 0, talk);
  assert.match(talk, /warn ServiceMonitor falconry-agent stays where it is there: .*may not look/);
  assert.match(
    talk,
    /warn Service falconry-agent stays where it is there, and with it what was made for Falco/,
  );
  assert.match(
    talk,
    /warn namespace .*"falconry" stays: what else is in it cannot be seen: .*servicemonitors/,
  );
  assert.equal(cluster.find("DaemonSet", "falconry", "falconry-agent"), undefined);
  assert.notEqual(known.retiredAt, undefined);
});

test("with rules in Falco onboard makes what that takes where Falco is, keeps it, and offboard takes it away", async (t) => {
  const { cluster } = await onboarded(t);
  const onboard = (...more: readonly string[]) =>
    runCli(["cluster", "onboard", "eu-1", "--region", "eu", "--image", image, ...more]);
  const missing = await onboard("--driver", "falco", "--falco", "security/falco-modern");
  assert.equal(missing.code, 1);
  assert.match(missing.talk, /FAIL Falco .*There is no DaemonSet security\/falco-modern/);

  cluster.put({ apiVersion: "v1", kind: "Namespace", metadata: { name: "security" } }, "kubectl");
  const metadata = { name: "falco-modern", namespace: "security" };
  // Of a node that is not here: its pods are nothing to this test.
  const nodeSelectorTerms = [{ matchExpressions: [{ key: "elsewhere", operator: "Exists" }] }];
  const affinity = {
    nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } },
  };
  const labels = { app: "falco" };
  const putFalco = (selector: object) => {
    const spec = { selector, template: { metadata: { labels }, spec: { affinity, containers: [] } } };
    const status = { desiredNumberScheduled: 3, numberReady: 3 };
    cluster.put({ apiVersion: "apps/v1", kind: "DaemonSet", metadata, spec, status }, "helm");
  };
  putFalco({ matchExpressions: [{ key: "app", operator: "Exists" }] });
  const unfound = await onboard("--driver", "falco", "--falco", "security/falco-modern");
  assert.equal(unfound.code, 1);
  assert.match(unfound.talk, /FAIL Falco .*are selected by more than labels/);
  putFalco({ matchLabels: labels });
  const records = ["--falco-records-url", "http://falco-k8saudit.security.svc:9765/k8s-audit"];
  const made = await onboard("--driver", "falco", "--falco", "security/falco-modern", ...records);
  assert.match(
    made.talk,
    /warn Falco .*DaemonSet security\/falco-modern, on 3 nodes; its pods do not run on control-plane nodes: cp-1/,
  );
  const rules = "falconry-falco-rules";
  const inFalcos = [
    ["ConfigMap", rules],
    ["Lease", rules],
    ["Role", "falconry-agent"],
    ["RoleBinding", "falconry-agent"],
    ["Service", "falconry-falco"],
  ] as const;
  for (const [kind, name] of inFalcos) assert.notEqual(cluster.find(kind, "security", name), undefined, kind);
  const finds = cluster.find("Service", "security", "falconry-falco")?.["spec"];
  assert.deepEqual(
    (finds as { readonly selector: unknown }).selector,
    labels,
    "as the DaemonSet selects them",
  );
  const again = await onboard("--dry-run");
  assert.match(again.out, /Role falconry-agent/, "without --driver it stays as it is");
  assert.match(again.talk, /ok {3}Falco's records .*falco-k8saudit\.security\.svc:9765/, "and so do records");
  const back = await onboard("--dry-run", "--driver", "builtin");
  assert.doesNotMatch(back.out, /Role falconry-agent/);

  const { code, talk } = await offboard();
  assert.equal(code, 0, talk);
  for (const [kind, name] of inFalcos) assert.equal(cluster.find(kind, "security", name), undefined, kind);
  assert.notEqual(cluster.find("DaemonSet", "security", "falco-modern"), undefined);
  assert.equal(cluster.find("Service", "falconry", "falconry-alerts"), undefined);
});

test("a Falco that the rules were moved away from loses what was made for it, at once or, where the user may not, when the cluster leaves", async (t) => {
  let mayRemove = true;
  const { cluster } = await onboarded(t, {
    allows: ({ verb, namespace }) => verb !== "delete" || namespace === "falconry" || mayRemove,
  });
  const again = ["cluster", "onboard", "eu-1", "--region", "eu", "--image", image];
  const onboard = (place: string) =>
    runCli([...again, "--wait", "1s", "--driver", "falco", "--falco", place]);
  for (const namespace of ["a", "b", "c"]) {
    cluster.put({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } }, "kubectl");
    const labels = { app: "falco" };
    const template = { metadata: { labels }, spec: { containers: [{ name: "falco" }] } };
    const spec = { selector: { matchLabels: labels }, template };
    const status = { desiredNumberScheduled: 1, numberReady: 1 };
    const metadata = { name: "falco", namespace };
    cluster.put({ apiVersion: "apps/v1", kind: "DaemonSet", metadata, spec, status }, "helm");
  }
  const kinds = [
    ["ConfigMap", "falconry-falco-rules"],
    ["Lease", "falconry-falco-rules"],
    ["Role", "falconry-agent"],
    ["RoleBinding", "falconry-agent"],
    ["Service", "falconry-falco"],
  ] as const;
  const left = (namespace: string) =>
    kinds.filter(([kind, name]) => cluster.find(kind, namespace, name) !== undefined).length;
  await onboard("a/falco");
  const moved = await onboard("b/falco");
  assert.match(moved.talk, /ok {3}program of before .*Falco a\/falco: what was made for it was removed/);
  assert.deepEqual(["a", "b", "c"].map(left), [0, kinds.length, 0]);
  mayRemove = false;
  const kept = await onboard("c/falco");
  assert.match(kept.talk, /Falco b\/falco: stays for offboard, because .* may not delete/);
  assert.deepEqual(["a", "b", "c"].map(left), [0, kinds.length, kinds.length]);
  mayRemove = true;
  const { code, talk } = await runCli(["cluster", "offboard", "eu-1"]);
  assert.equal(code, 0, talk);
  assert.deepEqual(["a", "b", "c"].map(left), [0, 0, 0]);
});

test("with Fluent Bit beside Falco onboard makes what both take where they are, and offboard takes away both, also after Fluent Bit was given up", async (t) => {
  const { cluster } = await onboarded(t);
  // The image is not there, so that nothing is worth waiting for.
  const onboard = (...more: readonly string[]) =>
    runCli(["cluster", "onboard", "eu-1", "--region", "eu", "--image", image, "--wait", "1s", ...more]);
  for (const name of ["falco", "logging"]) {
    cluster.put({ apiVersion: "v1", kind: "Namespace", metadata: { name } }, "kubectl");
  }
  const put = (name: string, namespace: string, container: object) => {
    const labels = { app: name };
    const volumes = [
      { name: "config", secret: { secretName: "falconry-fluent-bit", optional: true } },
      { name: "node", hostPath: { path: "/var" } },
    ];
    const tolerations = [{ operator: "Exists" }];
    const template = { metadata: { labels }, spec: { volumes, tolerations, containers: [container] } };
    const spec = { selector: { matchLabels: labels }, template };
    const status = { desiredNumberScheduled: 2, numberReady: 2 };
    cluster.put(
      { apiVersion: "apps/v1", kind: "DaemonSet", metadata: { name, namespace }, spec, status },
      "helm",
    );
  };
  put("falco", "falco", { name: "falco" });
  const driver = ["--driver", "fluent-bit", "--fluent-bit", "logging/fb"];
  const missing = await onboard(...driver);
  assert.match(missing.talk, /FAIL Fluent Bit .*There is no DaemonSet logging\/fb/);
  put("fb", "logging", { name: "fluent-bit", args: ["-c", "/own.conf"] });
  const unready = await onboard(...driver);
  assert.equal(unready.code, 1);
  assert.match(
    unready.talk,
    /FAIL Fluent Bit .*have the Secret falconry-fluent-bit not mounted as a directory/,
  );
  assert.equal(cluster.find("Lease", "logging", "falconry-fluent-bit"), undefined);
  const volumeMounts = [
    { name: "config", mountPath: "/fb/falconry" },
    { name: "node", mountPath: "/var/lib/fluent-bit" },
  ];
  put("fb", "logging", {
    name: "fluent-bit",
    args: ["-Y", "-c", "/fb/falconry/fluent-bit.conf"],
    volumeMounts,
  });
  const made = await onboard(...driver);
  assert.match(made.talk, /ok {3}Fluent Bit .*DaemonSet logging\/fb, on 2 nodes/);
  const kinds = ["Secret", "Lease", "Role", "RoleBinding", "Service"];
  const left = () =>
    kinds.filter((kind) => cluster.find(kind, "logging", "falconry-fluent-bit") !== undefined);
  assert.deepEqual(left(), kinds);
  const agent = JSON.stringify(cluster.find("DaemonSet", "falconry", "falconry-agent"));
  assert.match(agent, /"FALCONRY_FLUENT_BIT_CONFIG","value":"\/fb\/falconry\/fluent-bit\.conf"/);
  assert.match(
    (await onboard("--dry-run")).out,
    /Secret falconry-fluent-bit/,
    "without --driver it stays as it is",
  );

  const secret = () => cluster.find("Secret", "logging", "falconry-fluent-bit");
  const written = { "fluent-bit.conf": Buffer.from("[INPUT]\n").toString("base64") };
  cluster.put({ ...secret(), data: written }, "falconry-agent");
  const given = await onboard("--driver", "falco");
  assert.match(
    given.talk,
    /ok {3}program of before .*Fluent Bit logging\/fb: its config ships nothing now, .*kubectl --context fake -n logging rollout restart daemonset\/fb/,
  );
  assert.deepEqual(left(), ["Secret"]);
  const rest = (secret()?.["data"] as Record<string, string> | undefined)?.["fluent-bit.conf"] ?? "";
  assert.match(Buffer.from(rest, "base64").toString(), /Name dummy[^]*Name null/);
  // What is there says nothing of Fluent Bit any more the second time, and there is nothing left to do.
  const later = await onboard("--driver", "falco");
  assert.doesNotMatch(later.talk, /program of before/);
  const shipping = JSON.stringify(cluster.find("DaemonSet", "falconry", "falconry-agent"));
  assert.doesNotMatch(shipping, /FALCONRY_SHIPPER_DRIVER/);
  const bereft =
    /warn Fluent Bit logging\/fb loses its config: .* do not start at all\. First take -c FILE out .*rollout restart daemonset\/fb/;
  const bare = /warn Falco falco\/falco loses the fleet's rules/;
  const planned = await offboard("--dry-run");
  assert.match(planned.talk, bereft);
  assert.match(planned.talk, bare);
  const { code, talk } = await offboard();
  assert.equal(code, 0, talk);
  assert.match(talk, bereft);
  assert.deepEqual(left(), []);
  assert.notEqual(cluster.find("DaemonSet", "logging", "fb"), undefined);
});
