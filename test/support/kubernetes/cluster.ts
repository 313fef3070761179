import { appendFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { setEnv } from "../run-cli.ts";
import { startApiServer, type FakeApiServer, type ServerOptions } from "./api-server.ts";
import { updateTo, type Stored } from "./managed-fields.ts";
import { Nodes, type Faults } from "./nodes.ts";
import { builtIn } from "./resources.ts";

const auditLog = "/var/log/kubernetes/audit/audit.log";
const controlPlane = "node-role.kubernetes.io/control-plane";

/** What a cluster is made of, and what goes wrong in it. */
export interface ClusterOptions extends ServerOptions, Partial<Faults> {
  /** Names of the control-plane nodes; one, `cp-1`, if not given. */
  readonly controlPlane?: readonly string[];
  /** Flags of kube-apiserver; those that make it write an audit log, if not given. */
  readonly flags?: readonly string[];
}

/** A cluster as kubeadm leaves it behind, with kubelets that start real processes. */
export interface FakeCluster {
  readonly api: FakeApiServer;
  readonly nodes: Nodes;
  readonly faults: { missingImages: string[]; podsRefused: string | undefined };
  /** A node is heard of no more: its pods stay as they are. */
  loseNode(name: string): void;
  /** Puts a taint on a node. */
  taint(name: string, taint: object): void;
  /** Writes events to the audit log of a node, as kube-apiserver would. */
  audit(node: string, count: number): void;
  /** An object; undefined when it is not there. */
  find(kind: string, namespace: string, name: string): Stored | undefined;
  /** Names of the pods of a namespace. */
  pods(namespace: string): readonly string[];
  /** Puts an object there, as somebody else would. */
  put(object: object, manager?: string): void;
  /** One more node of the control plane. */
  addControlPlane(name: string): void;
}

/** Starts a cluster, and points `KUBECONFIG` at it until the test ends. Its only context is called `fake`. */
export async function startCluster(t: TestContext, options: ClusterOptions = {}): Promise<FakeCluster> {
  const dir = mkdtempSync(join(tmpdir(), "falconry-cluster-"));
  const { podsRefused, retryMs, missingImages = [] } = options;
  const lostNodes: string[] = [];
  const faults = { missingImages: [...missingImages], podsRefused, retryMs, lostNodes };
  let kubelets: Nodes | undefined;
  const [first] = options.controlPlane ?? ["cp-1"];
  const write = (node: string, events: readonly object[]) => {
    const file = join(dir, "nodes", node, auditLog);
    if (existsSync(dirname(file))) {
      appendFileSync(file, events.map((each) => `${JSON.stringify(each)}\n`).join(""));
    }
  };
  const api = await startApiServer(t, {
    logOf: (namespace, pod) => kubelets?.logOf(namespace, pod) ?? "",
    audited: (event) => {
      if (first !== undefined) write(first, [event]);
    },
    ...options,
  });
  const nodes = new Nodes(api, dir, faults);
  kubelets = nodes;
  const resourceOf = (kind: string) => {
    const found = [...builtIn, ...(options.served ?? [])].find((each) => each.kind === kind);
    if (found === undefined) throw new Error(`${kind} is not served`);
    return found;
  };
  const put = (object: object, manager = "kubeadm") => {
    const stored = object as Stored;
    const resource = resourceOf(stored.kind);
    const live = api.store.find(resource, stored.metadata.namespace ?? "", stored.metadata.name);
    api.store.put(resource, updateTo(live, stored, manager));
  };
  for (const name of ["default", "kube-system"]) {
    put({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
  }
  put(nodeOf("worker-1", {}));
  const tainted = (name: string, taint: object, status?: object) => {
    const live = api.store.find(resourceOf("Node"), "", name);
    const { taints = [], ...spec } = (live?.["spec"] ?? {}) as { taints?: readonly object[] };
    put({ ...live, spec: { ...spec, taints: [...taints, taint] }, status: status ?? live?.["status"] });
  };
  const flags = options.flags ?? [
    `--audit-log-path=${auditLog}`,
    "--audit-policy-file=/etc/kubernetes/audit.yaml",
  ];
  const addControlPlane = (name: string) => {
    mkdirSync(join(nodes.rootOf(name), dirname(auditLog)), { recursive: true });
    put(apiServerOn(name, flags));
    put(nodeOf(name, { [controlPlane]: "" }, [{ key: controlPlane, effect: "NoSchedule" }]));
  };
  for (const name of options.controlPlane ?? ["cp-1"]) addControlPlane(name);
  setEnv(t, "KUBECONFIG", api.kubeconfig);
  nodes.start();
  t.after(async () => {
    await nodes.stop();
    rmSync(dir, { recursive: true, force: true });
  });
  return {
    api,
    nodes,
    faults,
    put,
    addControlPlane,
    taint: (name, taint) => tainted(name, taint),
    loseNode(name) {
      lostNodes.push(name);
      const key = "node.kubernetes.io/unreachable";
      tainted(name, { key, effect: "NoExecute" }, { conditions: [readiness("Unknown")] });
    },
    pods: (namespace) => api.store.list(resourceOf("Pod"), namespace).map(({ metadata }) => metadata.name),
    find: (kind, namespace, name) => api.store.find(resourceOf(kind), namespace, name),
    audit: (node, count) => write(node, Array.from({ length: count }, auditEvent)),
  };
}

function nodeOf(
  name: string,
  labels: Readonly<Record<string, string>>,
  taints: readonly object[] = [],
): object {
  const conditions = [readiness("True")];
  return {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name, labels },
    spec: { taints },
    status: { conditions },
  };
}

function readiness(status: "True" | "Unknown"): object {
  const reason = status === "True" ? "KubeletReady" : "NodeStatusUnknown";
  const message =
    status === "True" ? "kubelet is posting ready status" : "Kubelet stopped posting node status.";
  return { type: "Ready", status, reason, message };
}

/** The mirror of a static pod. */
function apiServerOn(node: string, flags: readonly string[]): object {
  const directory = dirname(auditLog);
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: `kube-apiserver-${node}`,
      namespace: "kube-system",
      labels: { component: "kube-apiserver", tier: "control-plane" },
    },
    spec: {
      nodeName: node,
      containers: [
        {
          name: "kube-apiserver",
          command: ["kube-apiserver", ...flags],
          volumeMounts: [{ name: "audit", mountPath: directory }],
        },
      ],
      volumes: [{ name: "audit", hostPath: { path: directory } }],
    },
  };
}

function auditEvent(): object {
  return {
    kind: "Event",
    apiVersion: "audit.k8s.io/v1",
    level: "Metadata",
    auditID: crypto.randomUUID(),
    stage: "ResponseComplete",
    requestURI: "/api/v1/nodes",
    verb: "list",
    user: { username: "system:node:worker-1", groups: ["system:nodes"] },
    sourceIPs: ["10.0.0.7"],
    objectRef: { resource: "nodes", apiVersion: "v1" },
    responseStatus: { code: 200 },
    stageTimestamp: new Date().toISOString(),
  };
}
