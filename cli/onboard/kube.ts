import * as k8s from "@kubernetes/client-node";
import { misused, refused } from "../failure.ts";
import { withDeadline } from "./kube-deadline.ts";
import { contentsOf } from "./kube-contents.ts";
import { explainKube, refusalOf } from "./kube-error.ts";
import type { Permission } from "./plan/permissions.ts";
import { fieldManager } from "./plan/settings.ts";
import type { Contents } from "./plan/strangers.ts";

/** The API of one cluster, as far as onboarding needs it. Every call throws a failure that says what to do. */
export interface Kube {
  readonly context: string;
  readonly server: string;
  version(): Promise<string>;
  may(permission: Permission): Promise<boolean>;
  /** Undefined for an object that is not there. */
  find<T extends k8s.KubernetesObject>(
    apiVersion: string,
    kind: string,
    name: string,
    namespace?: string,
  ): Promise<T | undefined>;
  nodes(labelSelector: string, limit: number): Promise<readonly k8s.V1Node[]>;
  /** At most `limit` pods, of one namespace or, without it, of all. */
  pods(labelSelector: string, limit: number, namespace?: string): Promise<readonly k8s.V1Pod[]>;
  /** What the cluster tells of a pod, oldest first. */
  events(namespace: string, pod: string): Promise<readonly k8s.CoreV1Event[]>;
  logTail(namespace: string, pod: string, lines: number): Promise<string>;
  /** Everything that is in a namespace, as far as the user may see it. */
  contents(namespace: string): Promise<Contents>;
  /** Who signs the cluster's service-account tokens, and the public keys, as JSON. */
  issuer(): Promise<{ readonly issuer: string; readonly jwks: string }>;
  /** Asks for a config map that is not there: harmless, and a request that audit policies write down. */
  canary(namespace: string, name: string): Promise<Canary>;
  /** Whether the cluster knows a custom resource of that group. */
  serves(group: string, version: string): Promise<boolean>;
  apply(object: k8s.KubernetesObject): Promise<void>;
  /** False when it was gone already. */
  remove(object: k8s.KubernetesObject): Promise<boolean>;
}

/** How kube-apiserver answered. */
export interface Canary {
  readonly code: number;
  /** Under which it writes the request down; undefined when something in between took the header away. */
  readonly auditId: string | undefined;
}

const logBytesMax = 64 * 1024;

/** Opens the cluster of a context of the kubeconfig; without a name, of the current one. */
export function openKube(context: string | undefined): Kube {
  const config = loadConfig(context);
  const place = {
    context: config.getCurrentContext(),
    server: config.getCurrentCluster()?.server ?? "nowhere",
  };
  const call = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await withDeadline(work);
    } catch (error) {
      throw explainKube(error, place);
    }
  };
  const core = config.makeApiClient(k8s.CoreV1Api);
  const objects = k8s.KubernetesObjectApi.makeApiClient(config);
  return {
    ...place,
    ...reading(core, call),
    ...working(objects, call),
    version: async () => (await call(config.makeApiClient(k8s.VersionApi).getCode())).gitVersion,
    issuer: () => issuerOf(config, call),
    async contents(namespace) {
      try {
        return await contentsOf(config, objects, namespace);
      } catch (error) {
        throw explainKube(error, place);
      }
    },
    canary: (namespace, name) => call(canaryOf(core, namespace, name)),
    async may(permission) {
      const body = {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SelfSubjectAccessReview",
        spec: attributesOf(permission),
      };
      const reviews = config.makeApiClient(k8s.AuthorizationV1Api);
      return (await call(reviews.createSelfSubjectAccessReview({ body }))).status?.allowed === true;
    },
    find: <T extends k8s.KubernetesObject>(
      apiVersion: string,
      kind: string,
      name: string,
      namespace?: string,
    ) => {
      const metadata = { name, ...(namespace === undefined ? {} : { namespace }) };
      return call(orUndefined(objects.read<T>({ apiVersion, kind, metadata })));
    },
    async serves(group, version) {
      const custom = config.makeApiClient(k8s.CustomObjectsApi);
      return (await call(orUndefined(custom.getAPIResources({ group, version })))) !== undefined;
    },
  };
}

function attributesOf({ verb, group, resource, subresource, namespace, path }: Permission) {
  if (path !== undefined) return { nonResourceAttributes: { verb, path } };
  return {
    resourceAttributes: {
      verb,
      group,
      resource,
      ...(subresource === undefined ? {} : { subresource }),
      ...(namespace === undefined ? {} : { namespace }),
    },
  };
}

/** That it is not there, or may not be seen, is the answer that is expected. */
async function canaryOf(core: k8s.CoreV1Api, namespace: string, name: string): Promise<Canary> {
  try {
    await core.readNamespacedConfigMap({ namespace, name });
  } catch (error) {
    if (!(error instanceof k8s.ApiException) || ![403, 404].includes(error.code)) throw error;
    return { code: error.code, auditId: error.headers["audit-id"] };
  }
  throw refused(`There is a config map ${name} in namespace ${namespace}, which nobody should have made`);
}

/** From kube-apiserver itself, and not from where its discovery document leads. */
async function issuerOf(config: k8s.KubeConfig, call: Call) {
  const found: unknown = await call(
    config.makeApiClient(k8s.WellKnownApi).getServiceAccountIssuerOpenIDConfiguration(),
  );
  const keys: unknown = await call(config.makeApiClient(k8s.OpenidApi).getServiceAccountIssuerOpenIDKeyset());
  // The client hands JSON over as an object where the API declares a text.
  const document = (typeof found === "string" ? JSON.parse(found) : found) as { issuer?: unknown } | null;
  const issuer = document?.issuer;
  if (typeof issuer !== "string") {
    throw refused(
      "The cluster's /.well-known/openid-configuration names no issuer of service-account tokens",
    );
  }
  return { issuer, jwks: typeof keys === "string" ? keys : JSON.stringify(keys) };
}

type Call = <T>(work: Promise<T>) => Promise<T>;

function reading(core: k8s.CoreV1Api, call: Call): Pick<Kube, "nodes" | "pods" | "events" | "logTail"> {
  return {
    nodes: async (labelSelector, limit) => (await call(core.listNode({ labelSelector, limit }))).items,
    pods: async (labelSelector, limit, namespace) =>
      (
        await call(
          namespace === undefined
            ? core.listPodForAllNamespaces({ labelSelector, limit })
            : core.listNamespacedPod({ namespace, labelSelector, limit }),
        )
      ).items,
    async events(namespace, pod) {
      const fieldSelector = `involvedObject.name=${pod}`;
      const { items } = await call(core.listNamespacedEvent({ namespace, fieldSelector, limit: 100 }));
      const at = (event: k8s.CoreV1Event) =>
        (event.lastTimestamp ?? event.metadata.creationTimestamp)?.getTime() ?? 0;
      return items.toSorted((a, b) => at(a) - at(b));
    },
    async logTail(namespace, name, tailLines) {
      return call(core.readNamespacedPodLog({ namespace, name, tailLines, limitBytes: logBytesMax }));
    },
  };
}

function working(objects: k8s.KubernetesObjectApi, call: Call): Pick<Kube, "apply" | "remove"> {
  return {
    async apply(object) {
      await call(
        objects.patch(object, undefined, undefined, fieldManager, false, k8s.PatchStrategy.ServerSideApply),
      );
    },
    async remove(object) {
      const removed = objects.delete(object, undefined, undefined, undefined, undefined, "Background");
      return (await call(orUndefined(removed))) !== undefined;
    },
  };
}

/** The client opens a connection for each call; one command asks one cluster, so they may share theirs. */
class SharingConfig extends k8s.KubeConfig {
  #dispatcher: ReturnType<k8s.RequestContext["getDispatcher"]>;

  override async applySecurityAuthentication(context: k8s.RequestContext): Promise<void> {
    await super.applySecurityAuthentication(context);
    this.#dispatcher ??= context.getDispatcher();
    if (this.#dispatcher !== undefined) context.setDispatcher(this.#dispatcher);
  }
}

function loadConfig(context: string | undefined): k8s.KubeConfig {
  const config = new SharingConfig();
  const where = process.env["KUBECONFIG"] ?? "~/.kube/config";
  try {
    config.loadFromDefault();
  } catch (error) {
    throw misused(
      `The kubeconfig ${where} cannot be read: ${(error as Error).message}`,
      "kubectl config view   reads the same file",
    );
  }
  const names = config.getContexts().map(({ name }) => name);
  const wanted = context ?? config.getCurrentContext();
  if (!names.includes(wanted)) {
    throw misused(
      `There is no context "${wanted}" in the kubeconfig ${where}: it holds ${names.slice(0, 20).join(", ") || "none"}`,
      "kubectl config get-contexts",
    );
  }
  config.setCurrentContext(wanted);
  const cluster = config.getCurrentCluster();
  if (cluster?.skipTLSVerify === true) {
    throw misused(
      `Context "${wanted}" does not verify who answers (insecure-skip-tls-verify), and the join string must not go to a stranger`,
      `kubectl config set-cluster ${cluster.name} --insecure-skip-tls-verify=false --certificate-authority=FILE`,
    );
  }
  return config;
}

async function orUndefined<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (refusalOf(error)?.code === 404) return undefined;
    throw error;
  }
}
