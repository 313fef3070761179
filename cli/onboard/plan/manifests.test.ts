import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type {
  KubernetesObject,
  V1DaemonSet,
  V1NetworkPolicy,
  V1PodDisruptionBudget,
  V1Role,
  V1Secret,
  V1Service,
} from "@kubernetes/client-node";
import { parseAllDocuments } from "yaml";
import { restrictedViolations } from "../../../test/support/kubernetes/pod-security.ts";
import { validateObject } from "../../../test/support/kubernetes/openapi.ts";
import { printManifests } from "../print.ts";
import { falcoRules, fluentBitRules } from "../../../test/support/kubernetes/rbac.ts";
import { joinKindOf } from "./daemon-set.ts";
import { falcoOf } from "./falco.ts";
import { fluentBitOf } from "./fluent-bit.ts";
import { manifestsOf } from "./manifests.ts";
import type { Settings } from "./settings.ts";

const goldens = join(import.meta.dirname, "../../../test/golden/onboard");
const hex = "0123456789abcdef".repeat(4);
const joinString = `falconry://jt_1.S3cr3t_S3cr3t-S3cr3t@fleet.example.com:8443?ca=sha256:${hex}&root=sha256:${hex}`;

const kubeadm: Settings = {
  cluster: "eu-prod-1",
  clusterUid: "4d3f8f0e-0d3c-4b59-9d15-6f1c2a9f0b11",
  managedBy: "fleetctl",
  namespace: "falconry",
  ownsNamespace: true,
  image: `images.example.com/falconry-agent@sha256:${hex}`,
  join: { kind: "token", joinString },
  server: { host: "fleet.example.com", port: 8443 },
  serverNetworks: [],
  auditLog: "/var/log/kubernetes/audit/audit.log",
  controlPlaneNodes: 1,
  destinations: [],
  monitoringNamespace: undefined,
  runAsUser: undefined,
  responses: undefined,
};
const variants: Readonly<Record<string, Settings>> = {
  kubeadm,
  "three-nodes-with-outputs": {
    ...kubeadm,
    controlPlaneNodes: 3,
    server: { host: "10.20.0.7", port: 443 },
    destinations: [
      { host: "logs.example.com", port: 9200 },
      { host: "fd00::17", port: 3100 },
    ],
    monitoringNamespace: "monitoring",
  },
  "joined-by-the-word-of-the-cluster": {
    ...kubeadm,
    join: { kind: "kubernetes", address: joinString.replace(/jt_1[^@]+@/, ""), audience: "falconry:default" },
  },
  "with-rules-in-falco": { ...kubeadm, falco: { namespace: "falco", daemonSet: "falco" } },
  "with-falco-and-fluent-bit": {
    ...kubeadm,
    falco: {
      namespace: "observers",
      daemonSet: "falco",
      selector: { app: "falco", "app.kubernetes.io/instance": "eu" },
    },
    fluentBit: {
      place: { namespace: "observers", daemonSet: "fluent-bit", selector: { app: "fluent-bit" } },
      config: "/fluent-bit/etc/falconry/fluent-bit.conf",
      dataDir: "/var/lib/fluent-bit",
      auditLog: "/host/audit/audit.log",
    },
  },
  "own-user-in-a-given-namespace": {
    ...kubeadm,
    runAsUser: 4711,
    namespace: "security",
    ownsNamespace: false,
    serverNetworks: ["10.20.0.0/24", "10.21.0.0/24"],
  },
};

function pick(settings: Settings, kind: string): KubernetesObject {
  const found = manifestsOf(settings).find((each) => each.kind === kind);
  assert.ok(found !== undefined, kind);
  return found;
}

/** As kubectl sees them. */
function parsed(settings: Settings): Record<string, unknown>[] {
  return parseAllDocuments(printManifests(manifestsOf(settings)))
    .map((document) => document.toJS() as Record<string, unknown> | null)
    .filter((object) => object !== null);
}

for (const [name, settings] of Object.entries(variants)) {
  test(`the manifests for ${name} are those that were agreed on`, (t) => {
    const text = printManifests(manifestsOf(settings));
    t.assert.fileSnapshot(text, join(goldens, `${name}.yaml`), { serializers: [String] });
  });

  test(`kube-apiserver takes every manifest for ${name}: each is as its OpenAPI schema says, without an unknown field`, async () => {
    const objects = parsed(settings);
    assert.equal(objects.length, manifestsOf(settings).length);
    for (const object of objects) {
      assert.deepEqual(await validateObject(object), [], String(object["kind"]));
    }
  });
}

test("a field that is misspelt, missing or of a wrong type does not pass for valid", async () => {
  const good = parsed(kubeadm).find(({ kind }) => kind === "DaemonSet");
  const problems = async (change: (spec: Record<string, unknown>) => void) => {
    const copy = structuredClone(good) as { spec: { template: { spec: Record<string, unknown> } } };
    change(copy.spec.template.spec);
    return (await validateObject(copy)).map(({ field }) => field);
  };
  assert.deepEqual(await problems((spec) => (spec["hostPaths"] = [])), ["spec.template.spec.hostPaths"]);
  assert.ok((await problems((spec) => delete spec["containers"])).length > 0);
  const wrong = await problems((spec) => (spec["terminationGracePeriodSeconds"] = "60"));
  assert.ok(wrong.includes("spec.template.spec.terminationGracePeriodSeconds"), String(wrong));
});

test("of the restricted profile a pod only breaks what reading root's files on the node takes", () => {
  const spec = (pick(kubeadm, "DaemonSet") as V1DaemonSet).spec?.template.spec;
  assert.ok(spec !== undefined);
  assert.deepEqual(restrictedViolations(spec), [
    "container agent: runAsNonRoot is not true",
    "container agent: runAsUser 0",
    "volume audit: hostPath",
    "volume state: hostPath",
  ]);
});

test("with a user of its own a pod breaks nothing of the restricted profile but the two directories of the node", () => {
  const settings = variants["own-user-in-a-given-namespace"] ?? kubeadm;
  const spec = (pick(settings, "DaemonSet") as V1DaemonSet).spec?.template.spec;
  assert.ok(spec !== undefined);
  assert.deepEqual(restrictedViolations(spec), ["volume audit: hostPath", "volume state: hostPath"]);
});

test("the pod security check sees a pod that drops nothing", () => {
  const violations = restrictedViolations({
    hostNetwork: true,
    containers: [{ name: "c", securityContext: { privileged: true, capabilities: { add: ["SYS_ADMIN"] } } }],
  });
  assert.ok(violations.length >= 6, violations.join("\n"));
});

test("the audit log is mounted read-only, the root file system cannot be written, and no token of the API is there", () => {
  const spec = (pick(kubeadm, "DaemonSet") as V1DaemonSet).spec?.template.spec;
  const [container] = spec?.containers ?? [];
  const writable = container?.volumeMounts
    ?.filter(({ readOnly }) => readOnly !== true)
    .map(({ name }) => name);
  assert.deepEqual(writable, ["state", "temporary"]);
  assert.equal(container?.securityContext?.readOnlyRootFilesystem, true);
  assert.equal(spec?.automountServiceAccountToken, false);
});

test("the join string stands in the Secret and nowhere else, and not at all once every agent is enrolled", () => {
  const others = manifestsOf(kubeadm).filter(({ kind }) => kind !== "Secret");
  assert.equal(JSON.stringify(others).includes("S3cr3t"), false);
  const secret = pick(kubeadm, "Secret") as V1Secret;
  assert.equal(Buffer.from(secret.data?.["join"] ?? "", "base64").toString(), joinString);
  const kinds = manifestsOf({ ...kubeadm, join: { kind: "token", joinString: undefined } }).map(
    ({ kind }) => kind,
  );
  assert.equal(kinds.includes("Secret"), false);
  assert.match(printManifests(manifestsOf(kubeadm)), /^# This holds a secret/);
});

test("nobody may connect to the agent, and the agent to nothing but DNS, the server and what it was allowed", () => {
  const policy = pick(
    { ...kubeadm, server: { host: "10.0.0.9", port: 443 } },
    "NetworkPolicy",
  ) as V1NetworkPolicy;
  assert.deepEqual(policy.spec?.policyTypes, ["Ingress", "Egress"]);
  assert.deepEqual(policy.spec?.ingress, []);
  const [dns, server, ...more] = policy.spec?.egress ?? [];
  assert.deepEqual(more, []);
  assert.deepEqual([...new Set(dns?.ports?.map(({ port }) => port))], [53]);
  assert.deepEqual(server, {
    to: [{ ipBlock: { cidr: "10.0.0.9/32" } }],
    ports: [{ protocol: "TCP", port: 443 }],
  });
});

test("a server that is known by name may be anywhere but where clouds hand out credentials", () => {
  const policy = pick(kubeadm, "NetworkPolicy") as V1NetworkPolicy;
  assert.deepEqual(policy.spec?.egress?.[1]?.to?.[0], {
    ipBlock: { cidr: "0.0.0.0/0", except: ["169.254.0.0/16"] },
  });
});

test("an agent that writes rules for Falco may do that and nothing else, and only Falco's namespace may send it alerts", () => {
  const settings = variants["with-rules-in-falco"] ?? kubeadm;
  const role = pick(settings, "Role") as V1Role;
  assert.equal(role.metadata?.namespace, "falco");
  assert.deepEqual(role.rules, falcoRules);
  assert.deepEqual(
    manifestsOf(settings).filter(({ kind }) => kind === "ClusterRole" || kind === "ClusterRoleBinding"),
    [],
  );
  const policy = pick(settings, "NetworkPolicy") as V1NetworkPolicy;
  assert.deepEqual(policy.spec?.ingress, [
    {
      _from: [{ namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "falco" } } }],
      ports: [{ protocol: "TCP", port: 2801 }],
    },
  ]);
  assert.deepEqual(falcoOf(pick(settings, "DaemonSet") as V1DaemonSet), settings.falco);
  assert.equal(falcoOf(pick(kubeadm, "DaemonSet") as V1DaemonSet), undefined);
});

test("agents may give Fluent Bit a config and do nothing else where it is, and their allow-list is about what its pods see", () => {
  const settings = variants["with-falco-and-fluent-bit"] ?? kubeadm;
  const objects = manifestsOf(settings);
  const named = (kind: string, name: string) =>
    objects.find((each) => each.kind === kind && each.metadata?.name === name);
  assert.deepEqual((named("Role", "falconry-fluent-bit") as V1Role).rules, fluentBitRules);
  // Both are in one namespace, and neither takes the other's place.
  assert.deepEqual((named("Role", "falconry-agent") as V1Role).rules, falcoRules);
  const selectorOf = (name: string) => (named("Service", name) as V1Service).spec?.selector;
  assert.deepEqual(selectorOf("falconry-fluent-bit"), { app: "fluent-bit" });
  assert.deepEqual(selectorOf("falconry-falco"), { app: "falco", "app.kubernetes.io/instance": "eu" });
  assert.match(
    JSON.stringify(named("ConfigMap", "falconry-agent")),
    /tailDirectories\\":\[\\"\/host\/audit\\"\]/,
  );
  const daemonSet = pick(settings, "DaemonSet") as V1DaemonSet;
  assert.deepEqual(fluentBitOf(daemonSet), { namespace: "observers", daemonSet: "fluent-bit" });
  assert.equal(fluentBitOf(pick(kubeadm, "DaemonSet") as V1DaemonSet), undefined);
  const keys = objects.map(({ kind, metadata }) => `${kind} ${metadata?.namespace} ${metadata?.name}`);
  assert.equal(new Set(keys).size, keys.length, "no object is applied twice");
});

test("one node may be drained at a time, and the only one by drains that pass over DaemonSets", () => {
  const minimum = (controlPlaneNodes: number) =>
    (pick({ ...kubeadm, controlPlaneNodes }, "PodDisruptionBudget") as V1PodDisruptionBudget).spec
      ?.minAvailable;
  assert.deepEqual([1, 2, 3, 5].map(minimum), [1, 1, 2, 4]);
});

test("another allow-list is another pod, because agents read it once", () => {
  const template = (settings: Settings) =>
    JSON.stringify((pick(settings, "DaemonSet") as V1DaemonSet).spec?.template.metadata);
  const more = { ...kubeadm, destinations: [{ host: "logs.example.com", port: 443 }] };
  assert.notEqual(template(kubeadm), template(more));
});

test("a cluster that vouches is given no secret: a token for the fleet alone is projected into the pod, for ten minutes", () => {
  const settings = variants["joined-by-the-word-of-the-cluster"] ?? kubeadm;
  const objects = manifestsOf(settings);
  assert.deepEqual(
    objects.filter(({ kind }) => kind === "Secret"),
    [],
  );
  assert.doesNotMatch(printManifests(objects), /secret/i);
  const daemonSet = pick(settings, "DaemonSet") as V1DaemonSet;
  const spec = daemonSet.spec?.template.spec;
  assert.equal(spec?.automountServiceAccountToken, false);
  assert.deepEqual(
    spec.volumes?.flatMap(({ projected }) => projected?.sources ?? []),
    [{ serviceAccountToken: { audience: "falconry:default", expirationSeconds: 600, path: "token" } }],
  );
  assert.equal(joinKindOf(daemonSet), "kubernetes");
  assert.equal(joinKindOf(pick(kubeadm, "DaemonSet") as V1DaemonSet), "token");
});
