import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { V1ContainerStatus, V1DaemonSet, V1Node, V1Pod } from "@kubernetes/client-node";
import type { FakeApiServer } from "./api-server.ts";
import { ImagePulls } from "./image-pulls.ts";
import { updateTo, type Stored } from "./managed-fields.ts";
import { finishNamespaces } from "./namespaces.ts";
import { startContainer, StartError, tailOf, type Running } from "./node-process.ts";
import { builtIn, type Resource } from "./resources.ts";
import { requestToken } from "./token-request.ts";

const resource = (kind: string): Resource => {
  const found = builtIn.find((each) => each.kind === kind);
  if (found === undefined) throw new Error(`${kind} is not served`);
  return found;
};
const [pods, daemonSets, nodes, events] = ["Pod", "DaemonSet", "Node", "Event"].map(resource) as [
  Resource,
  Resource,
  Resource,
  Resource,
];
const [secrets, configMaps, namespaces] = [resource("Secret"), resource("ConfigMap"), resource("Namespace")];

/** What goes wrong on the nodes. */
export interface Faults {
  /** Images that no registry has. */
  readonly missingImages: readonly string[];
  /** Why admission makes no pod; undefined lets them through. */
  podsRefused?: string | undefined;
  /** How long the DaemonSet controller waits after the first refusal; twice as long after each further one. */
  readonly retryMs?: number | undefined;
  /** Nodes whose kubelets do nothing any more. */
  readonly lostNodes?: readonly string[];
}

/** When a DaemonSet whose pod was refused is looked at again; a change of it is looked at at once. */
interface Backoff {
  readonly generation: number | undefined;
  readonly atMs: number;
  readonly nextMs: number;
}

interface PodState {
  readonly running: Running | undefined;
  readonly restarts: number;
  readonly lastExit: number | undefined;
  isReady?: boolean;
  isProbed?: boolean;
}

const tickMs = 500;

/**
 * The DaemonSet controller and the kubelets of a cluster: a pod for each node that the DaemonSet's affinity lets in, its
 * container as a real process from the pod's spec, its state and events back in the API. Started again when it ends.
 */
export class Nodes {
  readonly #server: FakeApiServer;
  readonly #dir: string;
  readonly #faults: Faults;
  readonly #pods = new Map<string, PodState>();
  readonly #backoffs = new Map<string, Backoff>();
  readonly #pulls = new ImagePulls();
  #timer: NodeJS.Timeout | undefined;

  constructor(server: FakeApiServer, dir: string, faults: Faults) {
    this.#server = server;
    this.#dir = dir;
    this.#faults = faults;
  }

  /** Where a node's root is on this machine. */
  rootOf(node: string): string {
    return join(this.#dir, "nodes", node);
  }

  start(): void {
    this.#timer = setInterval(() => this.#tick(), tickMs);
  }

  /** Ends every container. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all([...this.#pods.keys()].map((name) => this.#end(name)));
  }

  logOf(namespace: string, pod: string): string {
    return tailOf(join(this.#podDir(`${namespace}/${pod}`), "log"), 100);
  }

  get #store() {
    return this.#server.store;
  }

  #tick(): void {
    const wanted = new Set<string>();
    for (const stored of this.#store.list(daemonSets)) {
      const set = stored as unknown as V1DaemonSet;
      const at = this.#store.list(nodes).filter((node) => lets(set, node));
      let made = 0;
      for (const node of at) {
        const pod = this.#podFor(set, node.metadata.name);
        if (pod === undefined) continue;
        made += 1;
        wanted.add(`${pod.metadata?.namespace}/${pod.metadata?.name}`);
        if (!this.#isLost(node.metadata.name)) this.#run(pod);
      }
      this.#sayOf(stored, at.length, made);
    }
    for (const stored of this.#store.list(pods)) {
      const { namespace = "", name } = stored.metadata;
      if (wanted.has(`${namespace}/${name}`) || stored.metadata["ownerReferences"] === undefined) continue;
      if (this.#isLost((stored as unknown as V1Pod).spec?.nodeName ?? "")) {
        // Only its kubelet could say that it ended.
        const deletionTimestamp = new Date().toISOString().replace(/\.\d+/, "");
        const metadata = { deletionTimestamp, ...stored.metadata };
        this.#store.put(pods, updateTo(stored, { ...stored, metadata }, "kube-controller-manager"));
        continue;
      }
      this.#store.remove(pods, namespace, name);
      void this.#end(`${namespace}/${name}`);
    }
    finishNamespaces(this.#store, namespaces);
  }

  #isLost(node: string): boolean {
    return this.#faults.lostNodes?.includes(node) === true;
  }

  /** The pod of a DaemonSet on a node, made when it is not there. Undefined when it may not be made. */
  #podFor(set: V1DaemonSet, node: string): V1Pod | undefined {
    const { name = "", namespace = "", uid = "" } = set.metadata ?? {};
    const template = set.spec?.template;
    const revision = createHash("sha256").update(JSON.stringify(template)).digest("hex").slice(0, 5);
    const podName = `${name}-${revision}-${node}`;
    const there = this.#store.find(pods, namespace, podName);
    if (there !== undefined) return there as unknown as V1Pod;
    const backoff = this.#backoffs.get(uid);
    const isWaiting =
      backoff?.generation === set.metadata?.generation && performance.now() < (backoff?.atMs ?? 0);
    if (isWaiting) return undefined;
    if (this.#faults.podsRefused !== undefined) {
      this.#backOff(set, backoff);
      this.#event(
        "DaemonSet",
        namespace,
        name,
        "Warning",
        "FailedCreate",
        `Error creating: ${this.#faults.podsRefused}`,
      );
      return undefined;
    }
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        labels: template?.metadata?.labels,
        annotations: template?.metadata?.annotations,
        name: podName,
        namespace,
        ownerReferences: [{ apiVersion: "apps/v1", kind: "DaemonSet", name, uid, controller: true }],
      },
      spec: Object.assign({}, template?.spec, { nodeName: node }),
    };
    return this.#store.put(pods, updateTo(undefined, pod, "kube-controller-manager")) as unknown as V1Pod;
  }

  #backOff({ metadata }: V1DaemonSet, before: Backoff | undefined): void {
    const { uid = "", generation } = metadata ?? {};
    const firstMs = this.#faults.retryMs ?? tickMs;
    const waitMs = before?.generation === generation ? (before?.nextMs ?? firstMs) : firstMs;
    this.#backoffs.set(uid, { generation, atMs: performance.now() + waitMs, nextMs: waitMs * 2 });
  }

  #run(pod: V1Pod): void {
    const key = `${pod.metadata?.namespace}/${pod.metadata?.name}`;
    const state = this.#pods.get(key);
    const child = state?.running?.child;
    const isAlive = child !== undefined && child.exitCode === null && child.signalCode === null;
    const [container] = pod.spec?.containers ?? [];
    if (isAlive) {
      if (state !== undefined) void probe(state, container?.readinessProbe?.exec?.command ?? []);
      return this.#say(pod, { running: {} }, state, state?.isReady === true);
    }
    const pulled = this.#pull(pod, key, container?.image ?? "");
    if (pulled !== undefined) return this.#say(pod, { waiting: pulled }, state, false);
    const restarts = state?.restarts ?? 0;
    const lastExit = child?.exitCode ?? state?.lastExit;
    if (state !== undefined && restarts >= 2) {
      this.#podEvent(pod, "BackOff", "Back-off restarting failed container agent");
      const message = "back-off 40s restarting failed container=agent";
      this.#pods.set(key, { ...state, lastExit: lastExit ?? undefined });
      return this.#say(pod, { waiting: { reason: "CrashLoopBackOff", message } }, this.#pods.get(key), false);
    }
    try {
      const running = this.#startIn(pod, key);
      this.#pods.set(key, {
        running,
        restarts: state === undefined ? 0 : restarts + 1,
        lastExit: lastExit ?? undefined,
      });
      this.#podEvent(pod, "Started", "Started container agent", "Normal");
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      this.#podEvent(pod, error.reason, error.message);
      const reason = error.reason === "FailedMount" ? "ContainerCreating" : error.reason;
      this.#say(pod, { waiting: { reason, message: error.message } }, state, false);
    }
  }

  /** Why a container waits for its image; undefined when it is there. */
  #pull(pod: V1Pod, key: string, image: string): { reason: string; message: string } | undefined {
    const isMissing = () => this.#faults.missingImages.includes(image);
    switch (this.#pulls.pull(key, image, isMissing, performance.now())) {
      case "pulled":
        return undefined;
      case "failed":
        this.#podEvent(pod, "Failed", `Failed to pull image "${image}": not found`);
        return { reason: "ErrImagePull", message: "not found" };
      case "waits":
        return {
          reason: "ImagePullBackOff",
          message: `Back-off pulling image "${image}": ErrImagePull: not found`,
        };
    }
  }

  #startIn(pod: V1Pod, key: string): Running {
    const { namespace = "" } = pod.metadata ?? {};
    const podDir = this.#podDir(key);
    mkdirSync(podDir, { recursive: true });
    return startContainer(pod, this.rootOf(pod.spec?.nodeName ?? ""), podDir, {
      secret: (name) => this.#store.find(secrets, namespace, name),
      configMap: (name) => this.#store.find(configMaps, namespace, name),
      token: (audience, seconds) => this.#tokenFor(pod, audience, seconds),
    });
  }

  #tokenFor(pod: V1Pod, audience: string, seconds = 3600): string {
    const { namespace = "", name = "" } = pod.metadata ?? {};
    const about = { namespace, account: pod.spec?.serviceAccountName ?? "default" };
    const wish = { audiences: [audience], expirationSeconds: seconds, boundObjectRef: { kind: "Pod", name } };
    return requestToken(this.#store, this.#server.issuer, about, wish).token;
  }

  #podDir(key: string): string {
    return join(this.#dir, "pods", key.replace("/", "_"));
  }

  #say(pod: V1Pod, state: V1ContainerStatus["state"], known: PodState | undefined, ready: boolean): void {
    const { name = "", namespace = "" } = pod.metadata ?? {};
    const live = this.#store.find(pods, namespace, name);
    if (live === undefined) return;
    const lastExit = known?.lastExit;
    const status = {
      phase: state?.running === undefined ? "Pending" : "Running",
      containerStatuses: [
        {
          name: "agent",
          image: pod.spec?.containers[0]?.image ?? "",
          imageID: "",
          ready,
          restartCount: known?.restarts ?? 0,
          state,
          ...(lastExit === undefined
            ? {}
            : { lastState: { terminated: { exitCode: lastExit, reason: "Error" } } }),
        },
      ],
    };
    this.#store.put(pods, updateTo(live, { ...live, status }, "kubelet"));
  }

  /** What the controller says of a DaemonSet, unless whoever put it there has said so. */
  #sayOf(set: Stored, desired: number, made: number): void {
    const { numberReady } = (set["status"] ?? {}) as { readonly numberReady?: number };
    if (numberReady !== undefined) return;
    const observedGeneration = Number(set.metadata["generation"] ?? 0);
    const status = { observedGeneration, desiredNumberScheduled: desired, updatedNumberScheduled: made };
    this.#store.put(daemonSets, updateTo(set, { ...set, status }, "kube-controller-manager"));
  }

  #podEvent(pod: V1Pod, reason: string, message: string, type = "Warning"): void {
    this.#event("Pod", pod.metadata?.namespace ?? "", pod.metadata?.name ?? "", type, reason, message);
  }

  /** One event for each object and reason, counted. */
  #event(kind: string, namespace: string, of: string, type: string, reason: string, message: string): void {
    const name = `${of}.${reason.toLowerCase()}`;
    const live = this.#store.find(events, namespace, name);
    // A count that never stands still would push everything else out of the history of changes.
    if (Number(live?.["count"] ?? 0) >= 3) return;
    const event = {
      apiVersion: "v1",
      kind: "Event",
      metadata: { name, namespace },
      involvedObject: { kind, namespace, name: of },
      type,
      reason,
      message,
      count: Number(live?.["count"] ?? 0) + 1,
      lastTimestamp: new Date().toISOString().replace(/\.\d+/, ""),
    };
    this.#store.put(events, updateTo(live, event, "kubelet"));
  }

  async #end(key: string): Promise<void> {
    const child = this.#pods.get(key)?.running?.child;
    this.#pods.delete(key);
    this.#pulls.forget(key);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
    await ended;
    clearTimeout(timer);
  }
}

/** Asks a container whether it is ready, one question at a time. */
async function probe(state: PodState, command: readonly string[]): Promise<void> {
  if (state.isProbed === true || state.isReady === true) return;
  state.isProbed = true;
  state.isReady = (await state.running?.exec(command)) === true;
  state.isProbed = false;
}

/** Whether a DaemonSet's node affinity and the node's taints let its pod in; terms are alternatives. */
function lets(set: V1DaemonSet, node: Stored): boolean {
  const labels = (node.metadata["labels"] ?? {}) as Record<string, string>;
  const { affinity, tolerations = [] } = set.spec?.template.spec ?? {};
  const { taints = [] } = (node as unknown as V1Node).spec ?? {};
  const isKept = taints.some(
    ({ key, effect }) =>
      effect !== "PreferNoSchedule" &&
      // The controller gives its pods tolerations of what comes and goes with how a node fares.
      !key.startsWith("node.kubernetes.io/") &&
      !tolerations.some(
        (each) =>
          (each.key === undefined || each.key === key) &&
          (each.effect === undefined || each.effect === effect) &&
          each.operator === "Exists",
      ),
  );
  if (isKept) return false;
  const terms = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  if (terms === undefined) return true;
  return terms.some(({ matchExpressions = [] }) =>
    matchExpressions.every(({ key, operator }) => operator === "Exists" && Object.hasOwn(labels, key)),
  );
}
