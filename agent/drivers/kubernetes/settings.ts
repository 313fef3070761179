import { isAbsolute } from "node:path";
import { textOf } from "../read-setting.ts";
import type { Env } from "../read-setting.ts";
import type { KubeSettings } from "./kube-api.ts";
import type { LeaseSettings } from "./lease.ts";
import type { ObjectSettings } from "./object-place.ts";
import type { PodsSettings } from "./pods.ts";

/** A program that runs as pods of a DaemonSet, and what they have mounted. */
export interface PodsWorld {
  readonly kube: KubeSettings;
  readonly object: ObjectSettings;
  readonly lease: LeaseSettings;
  readonly pods: PodsSettings;
}

/** Names of settings that say where such a program is. */
export interface PodsNames {
  readonly object: string;
  readonly pods: string;
  readonly daemonSet: string;
}

/** What a program's pods have in common, unless settings say otherwise. */
export interface PodsUsual {
  readonly kind: ObjectSettings["kind"];
  readonly key: string;
  readonly port: number;
  /** The DaemonSet; the service is called falconry-NAME. */
  readonly name: string;
}

const accountDir = "/var/run/secrets/kubernetes.io/serviceaccount";

/** Reads where the pods are, and adds everything that is wrong. Undefined when the program does not run as pods. */
export function readPodsWorld(
  env: Env,
  names: PodsNames,
  usual: PodsUsual,
  problems: string[],
): PodsWorld | undefined {
  const named = textOf(env, names.object);
  if (named === undefined) return undefined;
  const [, namespace = "", name = ""] =
    /^([a-z0-9][a-z0-9-]{0,62})\/([a-z0-9][a-z0-9.-]{0,252})$/.exec(named) ?? [];
  if (name === "") problems.push(`${names.object} is "${named}": give NAMESPACE/NAME of a ${usual.kind}`);
  const daemonSet = textOf(env, names.daemonSet) ?? usual.name;
  if (!/^[a-z0-9][a-z0-9.-]{0,252}$/.test(daemonSet)) {
    problems.push(`${names.daemonSet} is "${daemonSet}": give the name of a DaemonSet in the same namespace`);
  }
  const at = textOf(env, names.pods) ?? `falconry-${usual.name}.${namespace}.svc:${usual.port}`;
  const [, host = "", port = ""] = /^([A-Za-z0-9][A-Za-z0-9.-]{0,252}):(\d{1,5})$/.exec(at) ?? [];
  if (host === "" || Number(port) < 1 || Number(port) > 65_535) {
    problems.push(`${names.pods} is "${at}": give HOST:PORT of a headless service`);
  }
  return {
    kube: readKube(env, problems),
    object: { kind: usual.kind, namespace, name, key: usual.key },
    lease: { namespace, name, holder: holderOf(env, problems) },
    pods: { host, port: Number(port), namespace, daemonSet },
  };
}

function holderOf(env: Env, problems: string[]): string {
  const holder = textOf(env, "FALCONRY_NODE");
  if (holder === undefined) {
    problems.push(
      "FALCONRY_NODE is not set: agents of a cluster have to know each other apart to write one object",
    );
  }
  return holder ?? "";
}

/** Kubernetes tells every pod where its API is. */
function readKube(env: Env, problems: string[]): KubeSettings {
  const [host, port] = [
    textOf(env, "KUBERNETES_SERVICE_HOST"),
    textOf(env, "KUBERNETES_SERVICE_PORT") ?? "443",
  ];
  const at = host?.includes(":") === true ? `[${host}]` : host;
  const text = `https://${at}:${port}`;
  if (host === undefined || !URL.canParse(text)) {
    problems.push("KUBERNETES_SERVICE_HOST is not set: only a pod of the cluster can write its objects");
  }
  const dir = textOf(env, "FALCONRY_KUBE_ACCOUNT_DIR") ?? accountDir;
  if (!isAbsolute(dir)) problems.push(`FALCONRY_KUBE_ACCOUNT_DIR is "${dir}": give an absolute path`);
  return { url: new URL(URL.canParse(text) ? text : "https://localhost"), accountDir: dir };
}
