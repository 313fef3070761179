import assert from "node:assert/strict";
import { test } from "node:test";
import type { V1DaemonSet, V1Node, V1Pod, V1PodSpec, V1Taint } from "@kubernetes/client-node";
import { auditLogOf } from "./audit-log.ts";
import { permissionsFor, permissionsToBeScraped, permissionsToJoin } from "./permissions.ts";
import { judge, type Facts, type Wanted } from "./preflight.ts";

/** A kube-apiserver as kubeadm makes it. */
function apiServer(flags: readonly string[], mounts: Readonly<Record<string, string>> = {}): V1Pod {
  const names = Object.keys(mounts).map((mountPath, index) => ({ name: `v${index}`, mountPath }));
  return {
    spec: {
      containers: [{ name: "kube-apiserver", command: ["kube-apiserver", ...flags], volumeMounts: names }],
      volumes: names.map(({ name, mountPath }) => ({ name, hostPath: { path: mounts[mountPath] ?? "" } })),
    },
  };
}
const policy = "--audit-policy-file=/etc/kubernetes/audit-policy.yaml";
const logs = { "/var/log/kubernetes/audit": "/var/log/kubernetes/audit" };
const good: Facts = {
  context: "eu",
  version: "v1.34.2",
  clusterUid: "uid-1",
  denied: [],
  controlPlane: ["cp-1"],
  providerId: "",
  apiServers: [apiServer([policy, "--audit-log-path=/var/log/kubernetes/audit/audit.log"], logs)],
  namespace: undefined,
  granted: [],
  lostNamespaces: [],
  neighbours: [],
  hasServiceMonitors: false,
  unmonitored: [],
  join: "token",
  nodes: [],
  before: { falco: [], fluentBit: [] },
};
const wanted: Wanted = {
  cluster: "eu-1",
  namespace: "falconry",
  image: `agent@sha256:${"0".repeat(64)}`,
  auditLog: undefined,
};

test("a kubeadm cluster with an audit log has nothing to say, and the log is found by itself", () => {
  const { findings, auditLog } = judge(good, wanted);
  assert.deepEqual(
    findings.filter(({ level }) => level !== "ok"),
    [],
  );
  assert.equal(auditLog, "/var/log/kubernetes/audit/audit.log");
});

const [first] = permissionsFor("falconry");
assert.ok(first !== undefined);
const given = {
  isOurs: false,
  isEnding: false,
  cluster: undefined,
  enforces: undefined,
  agentOf: undefined,
  joinsBy: undefined,
};
const role = "node-role.kubernetes.io/control-plane";
function node(name: string, taints: readonly V1Taint[] = [], ready = "True"): V1Node {
  return {
    metadata: { name, labels: { [role]: "" } },
    spec: { taints: [{ key: role, effect: "NoSchedule" }, ...taints] },
    status: { conditions: [{ type: "Ready", status: ready }] },
  };
}
const stops: readonly [string, Partial<Facts>, RegExp, RegExp][] = [
  ["is too old", { version: "v1.21.4" }, /v1\.21\.4.* older than v1\.25/, /by hand/],
  ["has an odd version", { version: "weekly" }, /older than/, /by hand/],
  [
    "does not let its user list nodes",
    { denied: [first] },
    /may not list nodes in all namespaces/,
    /--context/,
  ],
  ["is EKS", { controlPlane: [], version: "v1.33.5-eks-1a2b3c" }, /managed \(EKS\)/, /provider/],
  ["is GKE", { controlPlane: [], version: "v1.33.5-gke.1080000" }, /managed \(GKE\)/, /provider/],
  ["looks like AKS", { controlPlane: [], providerId: "azure:///x" }, /perhaps AKS/, /provider/],
  [
    "has no node with a control-plane label",
    { controlPlane: [] },
    /No node has a control-plane label,/,
    /kubectl --context \S+ label node/,
  ],
  [
    "writes no audit log",
    { apiServers: [apiServer([])] },
    /without --audit-log-path/,
    /fleetctl cluster audit-setup/,
  ],
  [
    "has a taint that agents do not tolerate on a control-plane node",
    { nodes: [node("cp-1"), node("cp-2", [{ key: "dedicated", value: "etcd", effect: "NoSchedule" }])] },
    /Agents do not run on control-plane nodes: cp-2 \(the taint dedicated=etcd:NoSchedule\)/,
    /kubectl --context \S+ taint node/,
  ],
  [
    "is still deleting the namespace",
    { namespace: { ...given, isOurs: true, isEnding: true } },
    /"falconry" is being deleted/,
    /says what keeps it/,
  ],
  [
    "sends its audit log to a webhook alone",
    { apiServers: [apiServer([policy, "--audit-webhook-config-file=/etc/kubernetes/webhook.yaml"])] },
    /sends its audit log to a webhook and writes no file/,
    /audit-setup --apply .* agents on the host alone/,
  ],
  ["hides its kube-apiserver", { apiServers: [] }, /shows no pod of kube-apiserver/, /--audit-log FILE/],
  [
    "writes different logs on its nodes",
    { apiServers: [...good.apiServers, apiServer([policy, "--audit-log-path=/x/a.log"], { "/x": "/y" })] },
    /different audit logs: .*audit\.log, \/y\/a\.log/,
    /same file/,
  ],
  [
    "has the agent of another name",
    { namespace: { ...given, isOurs: true, cluster: "eu-9", agentOf: "eu-9" } },
    /holds the agent of "eu-9"/,
    /offboard eu-9/,
  ],
  [
    "has a strict namespace of that name",
    { namespace: { ...given, enforces: "restricted" } },
    /enforces the pod security profile "restricted"/,
    /--namespace/,
  ],
];
for (const [what, change, detail, next] of stops) {
  test(`a cluster that ${what} is not onboarded: the check says why and what to do`, () => {
    const stop = judge({ ...good, ...change }, wanted).findings.filter(({ level }) => level === "stop");
    assert.match(stop.map((each) => each.detail).join("\n"), detail);
    assert.match(stop.flatMap((each) => each.next).join("\n"), next);
  });
}

test("a control-plane node that is not ready is told of, and does not keep the others' agents away", () => {
  const unreachable = [{ key: "node.kubernetes.io/unreachable", effect: "NoExecute" }];
  const nodes = [node("cp-1"), node("cp-2", unreachable, "Unknown")];
  assert.match(found({ ...good, nodes }, "nodes"), /^warning: not ready, .*: cp-2$/);
  assert.equal(found({ ...good, nodes: [node("cp-1")] }, "nodes"), "undefined: undefined");
});

test("who may make no ServiceMonitor is told that there will be none, and may onboard", () => {
  const unmonitored = permissionsToBeScraped("falconry");
  assert.match(
    found({ ...good, unmonitored }, "permissions"),
    /^warning: .*no ServiceMonitor is made or changed without: .*create servicemonitors\.monitoring\.coreos\.com in namespace falconry/,
  );
});

test("everything that is wrong is told at once", () => {
  const facts = { ...good, denied: [first], version: "v1.20.0", apiServers: [] };
  const stops = judge(facts, wanted).findings.filter(({ level }) => level === "stop");
  assert.deepEqual(
    stops.map(({ check }) => check),
    ["API reached", "permissions", "audit log"],
  );
});

test("what only makes failures harder to explain stops nothing, and neither do neighbours or a moving image", () => {
  const denied = permissionsFor("falconry").filter(({ isOptional }) => isOptional);
  const facts = { ...good, denied, neighbours: ["falco in namespace falco"] };
  const { findings } = judge(facts, { ...wanted, image: "agent:latest" });
  assert.deepEqual(
    findings.filter(({ level }) => level !== "ok").map(({ check, level }) => [check, level]),
    [
      ["permissions", "warning"],
      ["image", "warning"],
      ["neighbours", "warning"],
    ],
  );
});

const taints = [{ key: "node-role.kubernetes.io/control-plane", effect: "NoSchedule" }];
const tolerations = [{ key: "node-role.kubernetes.io/control-plane", operator: "Exists" }];

/** A program whose pods have all of it mounted, beside a control plane that is tainted as kubeadm taints it. */
function beside(program: "falco" | "fluentBit", spec: Partial<V1PodSpec>, numberReady = 1): Facts {
  const place = { namespace: "observers", daemonSet: "watcher", selector: { app: "watcher" } };
  const volumeMounts = [
    { name: "falconry", mountPath: "/f" },
    { name: "logs", mountPath: "/var/log" },
    { name: "data", mountPath: "/var/lib/fluent-bit" },
  ];
  const volumes = [
    { name: "falconry", secret: { secretName: "falconry-fluent-bit" } },
    { name: "logs", hostPath: { path: "/var/log" } },
    { name: "data", hostPath: { path: "/var/lib/fluent-bit" } },
  ];
  const containers = [{ name: "watcher", args: ["-Y", "-c", "/f/fluent-bit.conf"], volumeMounts }];
  const template = { spec: { containers, volumes, ...spec } };
  const status = { desiredNumberScheduled: 3, numberReady } as NonNullable<V1DaemonSet["status"]>;
  const daemonSet = { spec: { selector: { matchLabels: place.selector }, template }, status };
  return {
    ...good,
    nodes: [{ metadata: { name: "cp-1" }, spec: { taints } }],
    [program]: { place, daemonSet },
  };
}

const found = (facts: Facts, check: string) => {
  const [finding] = judge(facts, wanted).findings.filter((each) => each.check === check);
  return `${finding?.level}: ${finding?.detail}`;
};

test("Fluent Bit whose pods stay off the control plane is refused, because nobody would read the audit log", () => {
  assert.match(
    found(beside("fluentBit", {}), "Fluent Bit"),
    /^stop: .*do not run on control-plane nodes: cp-1 \(the taint node-role\.kubernetes\.io\/control-plane:NoSchedule\)/,
  );
  assert.match(found(beside("fluentBit", { tolerations }), "Fluent Bit"), /^ok: .*on 3 nodes$/);
  assert.match(
    found(beside("fluentBit", { tolerations }, 0), "Fluent Bit"),
    /^warning: .*not ready on any node: at first they wait/,
  );
});

test("Falco that is off the control plane is told, and stops nothing; one that is ready nowhere runs no rules", () => {
  assert.match(found(beside("falco", {}), "Falco"), /^warning: .*control-plane nodes: cp-1 .*does not see/);
  assert.match(found(beside("falco", { tolerations }), "Falco"), /^ok: /);
  assert.match(found(beside("falco", { tolerations }, 0), "Falco"), /^stop: .*are not ready on any node/);
});

test("a Falco that nobody sends records is told to see no audit events, until it is said where they go", () => {
  const facts = beside("falco", { tolerations });
  assert.match(
    found(facts, "Falco's records"),
    /^warning: .*rules of source k8s_audit see no events; --falco-records-url/,
  );
  const falcoRecords = "http://falco-k8saudit:9765/k8s-audit";
  assert.equal(found({ ...facts, falcoRecords }, "Falco's records"), `ok: ${falcoRecords}`);
});

test("a path that a person gives counts, and where kube-apiserver says otherwise that is told", () => {
  const { findings, auditLog } = judge(good, { ...wanted, auditLog: "/data/audit.log" });
  assert.equal(auditLog, "/data/audit.log");
  assert.match(
    findings.find(({ check }) => check === "audit log")?.detail ?? "",
    /kube-apiserver says \/var/,
  );
});

const paths: readonly [string, V1Pod, string | RegExp][] = [
  [
    "as two words, in a directory that is elsewhere on the node",
    apiServer([policy, "--audit-log-path", "/logs/k/audit.log"], { "/logs/": "/data/logs" }),
    "/data/logs/k/audit.log",
  ],
  [
    "by the deepest mount",
    apiServer([policy, "--audit-log-path=/a/b/c.log"], { "/a": "/wrong", "/a/b": "/right" }),
    "/right/c.log",
  ],
  [
    "by a mount of the file itself",
    apiServer([policy, "--audit-log-path=/a/c.log"], { "/a/c.log": "/host/c.log" }),
    "/host/c.log",
  ],
  [
    "not by a mount whose name only begins alike",
    apiServer([policy, "--audit-log-path=/ab/c"], { "/a": "/x" }),
    /inside/,
  ],
  ["not when it is standard output", apiServer([policy, "--audit-log-path=-"]), /standard output/],
  [
    "not without a policy",
    apiServer(["--audit-log-path=/a/b"], { "/a": "/a" }),
    /without --audit-policy-file/,
  ],
];
for (const [how, pod, want] of paths) {
  test(`the audit log on the node is found ${how}`, () => {
    const log = auditLogOf(pod);
    if (typeof want === "string") assert.deepEqual(log, { kind: "file", path: want });
    else assert.match(log.kind === "none" ? log.why : log.path, want);
  });
}

test("server-side apply needs both create and patch for each kind that is applied", () => {
  const all = [
    ...permissionsFor("falconry"),
    ...permissionsToBeScraped("falconry"),
    ...permissionsToJoin("falconry", "token"),
  ];
  const pairs = all.filter(({ verb }) => verb === "create" || verb === "patch");
  const byResource = Map.groupBy(pairs, ({ resource }) => resource);
  for (const [resource, verbs] of byResource) assert.equal(verbs.length, 2, resource);
  assert.ok(byResource.has("servicemonitors"));
});

test("a namespace that agents respond in and that is gone stops the run before it changes anything, with what to give", () => {
  const responses = { actions: ["webhook", "label"], namespaces: ["shop", "web"], perHour: 10 } as const;
  const judged = (lostNamespaces: readonly string[], namespaces: readonly string[] = responses.namespaces) =>
    judge(
      { ...good, lostNamespaces },
      { ...wanted, responses: { ...responses, namespaces } },
    ).findings.filter(({ level }) => level === "stop");
  const [some] = judged(["shop"]);
  assert.equal(some?.detail, "Agents shall respond in namespaces that are not there: shop");
  assert.match(some.next.join("\n"), /^--allow-response webhook,label --response-namespace web {3}/);
  assert.match(judged(["shop"], ["shop"])[0]?.next[0] ?? "", /^--allow-response none/);
  assert.deepEqual(judged([]), []);
});

test("a directory of Fluent Bit's is refused where no Fluent Bit ships: nobody would look there", () => {
  const judged = (fluentBitData: string | null | undefined) =>
    judge(good, { ...wanted, given: { fluentBitData } }).findings.find(({ check }) => check === "Fluent Bit");
  assert.equal(judged("/var/lib/fb")?.level, "stop");
  assert.match(judged("/var/lib/fb")?.detail ?? "", /--fluent-bit-data \/var\/lib\/fb says where/);
  assert.equal(judged(null), undefined);
  assert.equal(judged(undefined), undefined);
});
