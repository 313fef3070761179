import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import * as k8s from "@kubernetes/client-node";
import { createLocalJWKSet, jwtVerify, type JSONWebKeySet } from "jose";
import { startApiServer, type ServerOptions } from "./api-server.ts";

/** Through the client that the product uses, so that what it would not understand is a failure here. */
async function cluster(t: TestContext, options: ServerOptions = {}) {
  const server = await startApiServer(t, options);
  const config = new k8s.KubeConfig();
  config.loadFromFile(server.kubeconfig);
  const core = config.makeApiClient(k8s.CoreV1Api);
  const objects = k8s.KubernetesObjectApi.makeApiClient(config);
  const apply = (object: k8s.KubernetesObject, manager: string, force = false) =>
    objects.patch(object, undefined, undefined, manager, force, k8s.PatchStrategy.ServerSideApply);
  await apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: "room" } }, "test");
  return { server, config, core, objects, apply };
}

const configMap = (data: Record<string, string>): k8s.V1ConfigMap => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "notes", namespace: "room" },
  data,
});

async function refusal(work: Promise<unknown>): Promise<{ code: number; message: string }> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof k8s.ApiException, String(error));
    // The client keeps no body for codes that no operation declares.
    const body: unknown = error.body;
    const { message = "" } = JSON.parse(typeof body === "string" ? body : "{}") as { message?: string };
    return { code: error.code, message };
  }
  return assert.fail("It was let through");
}

test("apply makes an object, changes it, and takes away what its manager no longer says", async (t) => {
  const { core, apply } = await cluster(t);
  await apply(configMap({ a: "1", b: "2" }), "one");
  await apply(configMap({ a: "3" }), "one");
  const { data, metadata } = await core.readNamespacedConfigMap({ namespace: "room", name: "notes" });
  assert.deepEqual(data, { a: "3" });
  assert.deepEqual(
    metadata?.managedFields?.map(({ manager, operation }) => [manager, operation]),
    [["one", "Apply"]],
  );
});

test("apply leaves alone what another manager owns, and refuses to change it unless forced", async (t) => {
  const { core, apply } = await cluster(t);
  await apply(configMap({ a: "1" }), "one");
  await apply(configMap({ b: "2" }), "two");
  const conflict = await refusal(apply(configMap({ a: "other" }), "two"));
  assert.deepEqual(conflict, {
    code: 409,
    message: 'Apply failed with 1 conflict: conflict with "one": .data.a',
  });
  await apply(configMap({ a: "other" }), "two", true);
  await apply(configMap({}), "one");
  const { data } = await core.readNamespacedConfigMap({ namespace: "room", name: "notes" });
  assert.deepEqual(data, { a: "other" }, "one owns nothing any more, and two gave b back");
});

test("applying the same again changes nothing, not even the version", async (t) => {
  const { apply } = await cluster(t);
  const first = await apply(configMap({ a: "1" }), "one");
  const again = await apply(configMap({ a: "1" }), "one");
  assert.equal(again.metadata?.resourceVersion, first.metadata?.resourceVersion);
});

test("lists with keys are merged item by item", async (t) => {
  const { apply } = await cluster(t);
  const pod = (containers: k8s.V1Container[]): k8s.V1Pod => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "p", namespace: "room" },
    spec: { containers },
  });
  await apply(pod([{ name: "a", image: "a:1", env: [{ name: "X", value: "1" }] }]), "one");
  await apply(pod([{ name: "b", image: "b:1" }]), "two");
  const merged = (await apply(pod([{ name: "a", image: "a:2" }]), "one")) as k8s.V1Pod;
  assert.deepEqual(
    merged.spec?.containers.map(({ name, image, env }) => [name, image, env ?? []]),
    [
      ["a", "a:2", []],
      ["b", "b:1", []],
    ],
  );
});

test("objects that do not follow the schema are refused, and so are those in no namespace", async (t) => {
  const { apply } = await cluster(t);
  const odd = configMap({ a: 1 as unknown as string });
  assert.equal((await refusal(apply(odd, "one"))).code, 422);
  const lost = configMap({});
  lost.metadata = { name: "n", namespace: "nowhere" };
  assert.deepEqual(await refusal(apply(lost, "one")), {
    code: 404,
    message: 'namespaces "nowhere" not found',
  });
});

test("RBAC refuses in the words of kube-apiserver, and access reviews say so beforehand", async (t) => {
  const { config, core } = await cluster(t, {
    allows: ({ resource, verb }) => resource !== "secrets" || verb !== "list",
  });
  const { code, message } = await refusal(core.listNamespacedSecret({ namespace: "room" }));
  assert.equal(code, 403);
  assert.match(
    message,
    /^secrets is forbidden: User "platform-team" cannot list resource "secrets" in API group "" in the namespace "room"$/,
  );
  const reviews = config.makeApiClient(k8s.AuthorizationV1Api);
  const may = async (verb: string) => {
    const resourceAttributes = { verb, resource: "secrets", namespace: "room" };
    const body = {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SelfSubjectAccessReview",
      spec: { resourceAttributes },
    };
    return (await reviews.createSelfSubjectAccessReview({ body })).status?.allowed;
  };
  assert.deepEqual([await may("list"), await may("get")], [false, true]);
});

test("a stranger's token is refused, and a client that trusts another CA does not talk to it", async (t) => {
  const { config, server } = await cluster(t);
  const stranger = new k8s.KubeConfig();
  stranger.loadFromOptions({
    clusters: config.clusters,
    users: [{ name: "fake", token: "wrong" }],
    contexts: config.contexts,
    currentContext: "fake",
  });
  assert.equal((await refusal(stranger.makeApiClient(k8s.CoreV1Api).listNode())).code, 401);
  await assert.rejects(fetch(`${server.url}/version`), /fetch failed/);
});

/** Follows ConfigMaps until the wanted number of events is there, or the stream ends. */
async function follow(config: k8s.KubeConfig, resourceVersion: string, count: number): Promise<string[]> {
  const seen: string[] = [];
  const watch = new k8s.Watch(config);
  await new Promise<void>((resolve, reject) => {
    watch
      .watch(
        "/api/v1/namespaces/room/configmaps",
        { resourceVersion },
        (type, object: { data?: Record<string, string>; code?: number }) => {
          seen.push(`${type} ${object.code ?? object.data?.["a"] ?? ""}`);
          if (seen.length === count) resolve();
        },
        () => resolve(),
      )
      .then((controller) => void watching.push(controller), reject);
  });
  for (const controller of watching.splice(0)) controller.abort();
  return seen;
}
const watching: AbortController[] = [];

test("a watch tells what came after the version of a list, in order", async (t) => {
  const { core, config, apply } = await cluster(t);
  await apply(configMap({ a: "1" }), "one");
  const { metadata } = await core.listNamespacedConfigMap({ namespace: "room" });
  await apply(configMap({ a: "2" }), "one");
  await core.deleteNamespacedConfigMap({ namespace: "room", name: "notes" });
  const seen = await follow(config, metadata?.resourceVersion ?? "", 2);
  assert.deepEqual(seen, ["MODIFIED 2", "DELETED 2"]);
});

test("a watch from a version that is forgotten ends with 410", async (t) => {
  const { core, config, apply } = await cluster(t, { historyMax: 2 });
  await apply(configMap({ a: "1" }), "one");
  const { metadata } = await core.listNamespacedConfigMap({ namespace: "room" });
  for (const a of ["2", "3", "4", "5"]) await apply(configMap({ a }), "one");
  assert.deepEqual(await follow(config, metadata?.resourceVersion ?? "", 9), ["ERROR 410"]);
});

test("a removal that names another UID than the object's is refused", async (t) => {
  const { core, apply } = await cluster(t);
  await apply(configMap({ a: "1" }), "one");
  const uid = "00000000-0000-0000-0000-000000000000";
  const removal = core.deleteNamespacedConfigMap({
    namespace: "room",
    name: "notes",
    body: { preconditions: { uid } },
  });
  assert.equal((await refusal(removal)).code, 409);
});

test("a token that is asked for is of the pod and its node, verifies by the keys that the API gives, and lives for ten minutes at least", async (t) => {
  const { server, config, core, apply } = await cluster(t);
  const account = {
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { name: "agent", namespace: "room" },
  };
  await apply(account, "test");
  await apply({ apiVersion: "v1", kind: "Node", metadata: { name: "cp-1" } }, "test");
  const spec = { nodeName: "cp-1", serviceAccountName: "agent", containers: [{ name: "c", image: "i" }] };
  await apply(
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "p", namespace: "room" },
      spec,
    } as k8s.KubernetesObject,
    "test",
  );
  const asked = (change: object, name = "agent") =>
    core.createNamespacedServiceAccountToken({
      name,
      namespace: "room",
      body: {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenRequest",
        spec: { audiences: ["falconry:x"], boundObjectRef: { kind: "Pod", name: "p" }, ...change },
      },
    });
  const token = (await asked({})).status?.token ?? "";
  const found: unknown = await config.makeApiClient(k8s.OpenidApi).getServiceAccountIssuerOpenIDKeyset();
  const keys = createLocalJWKSet((typeof found === "string" ? JSON.parse(found) : found) as JSONWebKeySet);
  const { payload } = await jwtVerify(token, keys, { audience: "falconry:x", issuer: server.issuer.url });
  assert.equal(payload.sub, "system:serviceaccount:room:agent");
  const about = payload["kubernetes.io"] as { pod: { name: string }; node: { name: string } };
  assert.deepEqual([about.pod.name, about.node.name], ["p", "cp-1"]);
  assert.equal((await refusal(asked({ expirationSeconds: 60 }))).code, 422);
  assert.equal((await refusal(asked({}, "nobody"))).code, 404);
  assert.equal((await refusal(asked({ boundObjectRef: { kind: "Pod", name: "other" } }))).code, 404);
});
