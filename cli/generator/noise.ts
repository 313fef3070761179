import { podRequest, podResponse, settings } from "./bodies.ts";
import type { Account, App, Cast } from "./cast.ts";
import type { ObjectRef, Request } from "./event.ts";
import type { Random } from "./random.ts";

/** One kind of ordinary traffic and how often it happens, relative to the others. */
interface Habit {
  readonly weight: number;
  readonly request: (cast: Cast, random: Random) => Request;
}

/** Something an ordinary, busy cluster does. None of it is worth an alert; the tests hold the starter rules to that. */
export function ordinaryRequest(cast: Cast, random: Random): Request {
  let at = random.next() * weightTotal;
  for (const habit of habits) {
    at -= habit.weight;
    if (at < 0) return habit.request(cast, random);
  }
  return renewLease(cast, random);
}

const habits: readonly Habit[] = [
  { weight: 20, request: renewLease },
  { weight: 7, request: probeHealth },
  { weight: 9, request: updateStatus },
  { weight: 10, request: createPod },
  { weight: 8, request: describePod },
  { weight: 4, request: bindPod },
  { weight: 6, request: reportPod },
  { weight: 7, request: recordEvent },
  { weight: 6, request: updateSlice },
  { weight: 7, request: syncSettings },
  { weight: 5, request: syncDeployment },
  { weight: 4, request: readOwnSecrets },
  { weight: 6, request: scrape },
  { weight: 5, request: watchSomething },
  { weight: 3, request: rollImage },
  { weight: 6, request: lookAround },
  { weight: 2, request: readLog },
  { weight: 1.5, request: discover },
  { weight: 0.5, request: listReleases },
  { weight: 0.5, request: refreshWebhook },
  { weight: 0.5, request: lateSecret },
  { weight: 0.5, request: wrongNamespace },
  { weight: 1, request: mountToken },
];
const weightTotal = habits.reduce((sum, habit) => sum + habit.weight, 0);

function core(namespace: string, resource: string, name?: string, subresource?: string): string {
  const path = `/api/v1/namespaces/${namespace}/${resource}`;
  return [path, name, subresource].filter((part) => part !== undefined).join("/");
}

function grouped(group: string, namespace: string, resource: string, name?: string): string {
  const path = `/apis/${group}/v1/namespaces/${namespace}/${resource}`;
  return name === undefined ? path : `${path}/${name}`;
}

function renewLease(cast: Cast, random: Random): Request {
  const node = random.pick(cast.nodes);
  const holder = random.pick([
    { by: cast.controllerManager, namespace: "kube-system", name: "kube-controller-manager" },
    { by: cast.scheduler, namespace: "kube-system", name: "kube-scheduler" },
    { by: cast.apiserver, namespace: "kube-system", name: `apiserver-${cast.cluster}` },
    { by: node, namespace: "kube-node-lease", name: node.username.slice("system:node:".length) },
    { by: node, namespace: "kube-node-lease", name: node.username.slice("system:node:".length) },
  ]);
  const { by, namespace, name } = holder;
  const object = { resource: "leases", namespace, name, apiGroup: "coordination.k8s.io" };
  const uri = `${grouped("coordination.k8s.io", namespace, "leases", name)}?timeout=5s`;
  return { by, verb: random.pick(["get", "update", "update"]), uri, object, code: 200 };
}

function probeHealth(cast: Cast, random: Random): Request {
  const uri = random.pick(["/readyz", "/livez", "/healthz"]);
  const reason = 'RBAC: allowed by ClusterRoleBinding "system:public-info-viewer"';
  return { by: cast.probe, verb: "get", uri, code: 200, reason };
}

function updateStatus(cast: Cast, random: Random): Request {
  const app = random.pick(cast.apps);
  const [resource, owner, name] = random.pick([
    ["deployments", "deployment-controller", app.name],
    ["replicasets", "replicaset-controller", `${app.name}-${app.hash}`],
  ] as const);
  const uri = `${grouped("apps", app.namespace, resource, name)}/status`;
  const object = { resource, namespace: app.namespace, name, apiGroup: "apps", subresource: "status" };
  const by = cast.controller(owner);
  if (random.chance(0.85)) return { by, verb: "update", uri, object, code: 200 };
  const message = `Operation cannot be fulfilled on ${resource}.apps "${name}": the object has been modified; please apply your changes to the latest version and try again`;
  return { by, verb: "update", uri, object, code: 409, message };
}

function createPod(cast: Cast, random: Random): Request {
  const app = random.pick(cast.apps);
  return {
    by: cast.controller("replicaset-controller"),
    verb: "create",
    uri: core(app.namespace, "pods"),
    object: { resource: "pods", namespace: app.namespace },
    code: 201,
    requestObject: podRequest(app),
    responseObject: podResponse(app, random.pick(app.pods), random),
  };
}

function describePod(cast: Cast, random: Random): Request {
  const app = random.pick(cast.apps);
  const name = random.pick(app.pods);
  const object = { resource: "pods", namespace: app.namespace, name };
  const responseObject = podResponse(app, name, random);
  const by = random.pick(cast.developers);
  return { by, verb: "get", uri: core(app.namespace, "pods", name), object, code: 200, responseObject };
}

function bindPod(cast: Cast, random: Random): Request {
  const app = random.pick(cast.apps);
  const name = random.pick(app.pods);
  const object = { resource: "pods", namespace: app.namespace, name, subresource: "binding" };
  return {
    by: cast.scheduler,
    verb: "create",
    uri: core(app.namespace, "pods", name, "binding"),
    object,
    code: 201,
  };
}

function reportPod(cast: Cast, random: Random): Request {
  const app = random.pick(cast.apps);
  const name = random.pick(app.pods);
  const object = { resource: "pods", namespace: app.namespace, name, subresource: "status" };
  const uri = core(app.namespace, "pods", name, "status");
  return { by: random.pick(cast.nodes), verb: "patch", uri, object, code: 200 };
}

function recordEvent(cast: Cast, random: Random): Request {
  const app = random.pick(cast.apps);
  const by = random.pick([
    cast.scheduler,
    cast.controller("replicaset-controller"),
    cast.controller("deployment-controller"),
    random.pick(cast.nodes),
  ]);
  const name = `${random.pick(app.pods)}.${random.hex(16)}`;
  const object = { resource: "events", namespace: app.namespace, name };
  return { by, verb: "create", uri: core(app.namespace, "events"), object, code: 201 };
}

function updateSlice(cast: Cast, random: Random): Request {
  const app = random.pick(cast.apps);
  const name = `${app.name}-${random.hex(5)}`;
  const object = { resource: "endpointslices", namespace: app.namespace, name, apiGroup: "discovery.k8s.io" };
  const uri = grouped("discovery.k8s.io", app.namespace, "endpointslices", name);
  return { by: cast.controller("endpointslice-controller"), verb: "update", uri, object, code: 200 };
}

function syncSettings(cast: Cast, random: Random): Request {
  const app = random.pick(cast.apps);
  const name = `${app.name}-settings`;
  const uri = core(app.namespace, "configmaps", name);
  const object = { resource: "configmaps", namespace: app.namespace, name };
  const reason = allowedBy("argocd-application-controller", cast.argocd);
  const responseObject = settings(app, random);
  return { by: cast.argocd, verb: "get", uri, object, code: 200, reason, responseObject };
}

function syncDeployment(cast: Cast, random: Random): Request {
  const app = random.pick(cast.apps);
  const by = cast.argocd;
  const path = grouped("apps", app.namespace, "deployments", app.name);
  const reason = allowedBy("argocd-application-controller", by);
  if (random.chance(0.5)) return { by, verb: "get", uri: path, object: deployment(app), code: 200, reason };
  const uri = `${path}?fieldManager=argocd-controller&force=true`;
  return { by, verb: "patch", uri, object: deployment(app), code: 200, reason };
}

function deployment(app: App): ObjectRef {
  return { resource: "deployments", namespace: app.namespace, name: app.name, apiGroup: "apps" };
}

function allowedBy(role: string, account: Account): string {
  const short = account.username.split(":").at(-1) ?? account.username;
  return `RBAC: allowed by ClusterRoleBinding "${role}" of ClusterRole "${role}" to ServiceAccount "${short}"`;
}

function readOwnSecrets(cast: Cast, random: Random): Request {
  const app = random.pick(cast.apps);
  const name = `${app.name}-credentials`;
  const object = { resource: "secrets", namespace: app.namespace, name };
  const by = random.chance(0.6) ? cast.externalSecrets : random.pick(cast.nodes);
  return { by, verb: "get", uri: core(app.namespace, "secrets", name), object, code: 200 };
}

function scrape(cast: Cast, random: Random): Request {
  const by = random.pick([cast.prometheus, cast.stateMetrics]);
  const resource = random.pick(["endpoints", "services", "nodes", "pods"]);
  const uri = `/api/v1/${resource}?limit=500&resourceVersion=0`;
  return { by, verb: "list", uri, object: { resource }, code: 200, reason: allowedBy("monitoring", by) };
}

function watchSomething(cast: Cast, random: Random): Request {
  const resource = random.pick(["pods", "configmaps", "secrets", "services", "nodes"]);
  const version = 100_000 + random.below(900_000);
  const uri = `/api/v1/${resource}?allowWatchBookmarks=true&resourceVersion=${version}&timeoutSeconds=${300 + random.below(300)}&watch=true`;
  const by = random.pick([cast.controllerManager, cast.apiserver]);
  return { by, verb: "watch", uri, object: { resource }, code: 200, long: true };
}

function rollImage(cast: Cast, random: Random): Request {
  const app = random.pick(cast.apps);
  const path = grouped("apps", app.namespace, "deployments", app.name);
  const object = deployment(app);
  const reason = `RBAC: allowed by RoleBinding "ci/${app.namespace}" of ClusterRole "edit" to ServiceAccount "github-runner"`;
  if (random.chance(0.6)) return { by: cast.runner, verb: "get", uri: path, object, code: 200, reason };
  return {
    by: cast.runner,
    verb: "patch",
    uri: `${path}?fieldManager=kubectl-set`,
    object,
    code: 200,
    reason,
  };
}

function lookAround(cast: Cast, random: Random): Request {
  const app = random.pick(cast.apps);
  const by = random.pick(cast.developers);
  const [group, resource] = random.pick([
    ["", "pods"],
    ["", "events"],
    ["", "services"],
    ["apps", "deployments"],
    ["apps", "replicasets"],
  ] as const);
  const path = group === "" ? core(app.namespace, resource) : grouped(group, app.namespace, resource);
  const object = { resource, namespace: app.namespace, ...(group === "" ? {} : { apiGroup: group }) };
  const reason = `RBAC: allowed by RoleBinding "developers/${app.namespace}" of ClusterRole "view" to Group "${by.groups[0]}"`;
  return { by, verb: "list", uri: `${path}?limit=500`, object, code: 200, reason };
}

function readLog(cast: Cast, random: Random): Request {
  const app = random.pick(cast.apps);
  const name = random.pick(app.pods);
  const object = { resource: "pods", namespace: app.namespace, name, subresource: "log" };
  const uri = `${core(app.namespace, "pods", name, "log")}?container=${app.name}&tailLines=200`;
  return { by: random.pick(cast.developers), verb: "get", uri, object, code: 200, long: true };
}

function discover(cast: Cast, random: Random): Request {
  const uri = random.pick([
    "/api?timeout=32s",
    "/apis?timeout=32s",
    "/openapi/v3?timeout=32s",
    "/version?timeout=32s",
  ]);
  return { by: random.pick(cast.developers), verb: "get", uri, code: 200 };
}

/** `helm list` reads secrets, and still is no theft of secrets. */
function listReleases(cast: Cast, random: Random): Request {
  const app = random.pick(cast.apps);
  const uri = `${core(app.namespace, "secrets")}?labelSelector=owner%3Dhelm`;
  const object = { resource: "secrets", namespace: app.namespace };
  return { by: random.pick(cast.developers), verb: "list", uri, object, code: 200 };
}

function refreshWebhook(cast: Cast, _random: Random): Request {
  const apiGroup = "admissionregistration.k8s.io";
  const object = { resource: "validatingwebhookconfigurations", name: "cert-manager-webhook", apiGroup };
  const uri = `/apis/${apiGroup}/v1/validatingwebhookconfigurations/cert-manager-webhook`;
  return { by: cast.cainjector, verb: "update", uri, object, code: 200 };
}

/** A kubelet asks for the secret of a pod that was deleted a moment ago. */
function lateSecret(cast: Cast, random: Random): Request {
  const app = random.pick(cast.apps);
  const name = `${app.name}-tls`;
  const by = random.pick(cast.nodes);
  const object = { resource: "secrets", namespace: app.namespace, name };
  const reason = `no relationship found between node '${by.username.slice(12)}' and this object`;
  const message = `secrets "${name}" is forbidden: User "${by.username}" cannot get resource "secrets" in API group "" in the namespace "${app.namespace}": ${reason}`;
  return { by, verb: "get", uri: core(app.namespace, "secrets", name), object, code: 403, message, reason };
}

/** A developer forgot to switch the namespace. */
function wrongNamespace(cast: Cast, random: Random): Request {
  const app = random.pick(cast.apps);
  const by = random.pick(cast.developers);
  const object = { resource: "deployments", namespace: app.namespace, apiGroup: "apps" };
  const message = `deployments.apps is forbidden: User "${by.username}" cannot list resource "deployments" in API group "apps" in the namespace "${app.namespace}"`;
  const uri = `${grouped("apps", app.namespace, "deployments")}?limit=500`;
  return { by, verb: "list", uri, object, code: 403, message };
}

function mountToken(cast: Cast, random: Random): Request {
  const { namespace } = random.pick(cast.apps);
  const object = { resource: "serviceaccounts", namespace, name: "default", subresource: "token" };
  const uri = core(namespace, "serviceaccounts", "default", "token");
  return { by: random.pick(cast.nodes), verb: "create", uri, object, code: 201 };
}
