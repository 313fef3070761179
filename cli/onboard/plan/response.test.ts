import assert from "node:assert/strict";
import { test } from "node:test";
import type { V1DaemonSet, V1Role, V1RoleBinding } from "@kubernetes/client-node";
import { validateObject } from "../../../test/support/kubernetes/openapi.ts";
import { manifestsOf } from "./manifests.ts";
import { permissionsToRespond, sharedBy } from "./response.ts";
import type { ResponseGrant, Settings } from "./settings.ts";

const silent: Settings = {
  cluster: "eu-1",
  clusterUid: "uid",
  managedBy: "fleetctl",
  namespace: "falconry",
  ownsNamespace: true,
  image: "agent",
  join: { kind: "token", joinString: undefined },
  server: { host: "10.0.0.1", port: 8443 },
  serverNetworks: [],
  auditLog: "/var/log/kubernetes/audit.log",
  controlPlaneNodes: 3,
  destinations: [],
  monitoringNamespace: undefined,
  runAsUser: undefined,
  responses: undefined,
};
const granted = (responses: ResponseGrant) => manifestsOf({ ...silent, responses });
const kindsOf = (objects: ReturnType<typeof manifestsOf>) => objects.map(({ kind }) => kind);
const textOf = (objects: ReturnType<typeof manifestsOf>) => JSON.stringify(objects);

test("an agent that was not asked to respond has no role, no token and no way to kube-apiserver", () => {
  const objects = manifestsOf(silent);
  assert.ok(!kindsOf(objects).some((kind) => kind?.startsWith("Role")));
  assert.doesNotMatch(textOf(objects), /FALCONRY_KUBE_DIR|kube-root-ca|"port":6443|responses/);
  assert.deepEqual(permissionsToRespond(silent), []);
});

test("one that sends webhooks alone is told so in its allow-list, and has no role either", () => {
  const objects = granted({ actions: ["webhook"], namespaces: [], perHour: 3 });
  assert.ok(!kindsOf(objects).some((kind) => kind?.startsWith("Role")));
  assert.doesNotMatch(textOf(objects), /FALCONRY_KUBE_DIR/);
  assert.match(textOf(objects), /responses.*webhook.*perHour/);
});

test("one that responds has a role in each namespace that was named and in no other, with the verbs of its actions alone", async () => {
  const objects = granted({ actions: ["isolate", "label"], namespaces: ["shop", "web"], perHour: 3 });
  const roles = objects.filter((each): each is V1Role => each.kind === "Role");
  assert.deepEqual(
    roles.map(({ metadata }) => metadata?.namespace),
    ["shop", "web"],
  );
  for (const { rules } of roles) {
    assert.deepEqual(rules, [
      { apiGroups: [""], resources: ["pods"], verbs: ["get", "patch"] },
      { apiGroups: ["networking.k8s.io"], resources: ["networkpolicies"], verbs: ["create", "patch"] },
    ]);
  }
  const [binding] = objects.filter((each): each is V1RoleBinding => each.kind === "RoleBinding");
  assert.deepEqual(binding?.subjects, [
    { kind: "ServiceAccount", name: "falconry-agent", namespace: "falconry" },
  ]);
  assert.ok(!kindsOf(objects).some((kind) => kind?.startsWith("ClusterRole")));
  const daemonSet = objects.find((each): each is V1DaemonSet => each.kind === "DaemonSet");
  assert.match(JSON.stringify(daemonSet), /FALCONRY_KUBE_DIR/);
  for (const object of objects) assert.deepEqual(await validateObject(object), []);
});

test("who may not delete pods cannot have an agent that does: nobody grants what they have not", () => {
  const responses: ResponseGrant = { actions: ["delete-pod"], namespaces: ["shop"], perHour: 3 };
  const wanted = permissionsToRespond({ responses }).map(({ verb, resource }) => `${verb} ${resource}`);
  assert.deepEqual(wanted, [
    "create roles",
    "patch roles",
    "create rolebindings",
    "patch rolebindings",
    "delete pods",
    "get pods",
  ]);
});

test("agents of one cluster share what it may do within an hour", () => {
  const grant: ResponseGrant = { actions: ["label"], namespaces: ["shop"], perHour: 10 };
  assert.deepEqual([sharedBy(grant, 3)?.perHour, sharedBy(grant, 20)?.perHour], [3, 1]);
  assert.equal(sharedBy(undefined, 3), undefined);
});
