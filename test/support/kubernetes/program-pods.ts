import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { parse } from "yaml";
import { startApiServer } from "./api-server.ts";
import type { FakeApiServer } from "./api-server.ts";
import type { Access } from "./api.ts";
import { updateTo, type Stored } from "./managed-fields.ts";
import { Mounted } from "./mounted.ts";
import { builtIn } from "./resources.ts";

/** A cluster in which a DaemonSet's pods have an object mounted, and an agent that may do what a Role says. */
export interface ProgramPods {
  readonly api: FakeApiServer;
  /** What Kubernetes tells a pod of itself. */
  readonly env: Readonly<Record<string, string>>;
  /** What the agent may do from now on. */
  allow(may: (access: Access) => boolean): void;
  /** Puts an object there, as somebody else would. */
  put(object: object, manager?: string): void;
  find(kind: string, name: string): Stored | undefined;
  /** Has a kubelet mount the object in a folder. */
  mount(dir: string): void;
  /** What kubelets bring to their pods; false: nothing, for now. */
  sync(isOn: boolean): void;
}

export interface ProgramPodsOptions {
  readonly namespace: string;
  readonly kind: "ConfigMap" | "Secret";
  readonly object: string;
  readonly daemonSet: string;
  readonly nodes: number;
}

/** Starts it with the objects that onboarding makes: the one to be mounted is empty, and nobody has the lease. */
export async function startProgramPods(t: TestContext, options: ProgramPodsOptions): Promise<ProgramPods> {
  const { namespace, kind, object, daemonSet, nodes } = options;
  let may: (access: Access) => boolean = () => true;
  const api = await startApiServer(t, {
    user: "system:serviceaccount:falconry:falconry-agent",
    allows: (access) => may(access),
  });
  const resourceOf = (wanted: string) => {
    const found = builtIn.find((each) => each.kind === wanted);
    if (found === undefined) throw new Error(`${wanted} is not served`);
    return found;
  };
  const find = (wanted: string, name: string) => api.store.find(resourceOf(wanted), namespace, name);
  const put = (given: object, manager = "fleetctl") => {
    const stored = given as Stored;
    const resource = resourceOf(stored.kind);
    const live = api.store.find(resource, stored.metadata.namespace ?? "", stored.metadata.name);
    api.store.put(resource, updateTo(live, stored, manager));
  };
  put({ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } });
  put({ apiVersion: "v1", kind, metadata: { namespace, name: object } });
  put({ apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { namespace, name: object } });
  const status = { desiredNumberScheduled: nodes };
  put({ apiVersion: "apps/v1", kind: "DaemonSet", metadata: { namespace, name: daemonSet }, status });

  const dir = mkdtempSync(join(tmpdir(), "falconry-account-"));
  const config = parse(readFileSync(api.kubeconfig, "utf8")) as {
    readonly users: readonly { readonly user: { readonly token: string } }[];
    readonly clusters: readonly { readonly cluster: Readonly<Record<string, string>> }[];
  };
  writeFileSync(join(dir, "token"), `${config.users[0]?.user.token}\n`);
  const ca = config.clusters[0]?.cluster["certificate-authority-data"] ?? "";
  writeFileSync(join(dir, "ca.crt"), Buffer.from(ca, "base64"));

  const mounts: Mounted[] = [];
  let isOn = true;
  const bring = () => {
    const data = (find(kind, object)?.["data"] ?? {}) as Readonly<Record<string, string>>;
    const plain = Object.entries(data).map(([key, value]) => [
      key,
      kind === "Secret" ? Buffer.from(value, "base64").toString() : value,
    ]);
    if (isOn) for (const each of mounts) each.sync(Object.fromEntries(plain) as Record<string, string>);
  };
  const stop = api.store.watch(0, () => setTimeout(bring, 50));
  t.after(() => {
    stop();
    rmSync(dir, { recursive: true, force: true });
  });
  const url = new URL(api.url);
  return {
    api,
    env: {
      KUBERNETES_SERVICE_HOST: url.hostname,
      KUBERNETES_SERVICE_PORT: url.port,
      FALCONRY_KUBE_ACCOUNT_DIR: dir,
    },
    allow: (next) => (may = next),
    put,
    find,
    mount(at) {
      mounts.push(new Mounted(at));
      bring();
    },
    sync(next) {
      isOn = next;
      bring();
    },
  };
}
