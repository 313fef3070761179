/** The Helm chart and the kustomize base say what `cluster onboard` says. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import type { V1ConfigMap, V1DaemonSet } from "@kubernetes/client-node";
import { Ajv } from "ajv";
import { parse, parseAllDocuments, stringify } from "yaml";
import { renderChart, valuesOf } from "../../../test/support/helm.ts";
import { validateObject } from "../../../test/support/kubernetes/openapi.ts";
import { printManifests } from "../print.ts";
import { manifestsOf } from "./manifests.ts";
import type { Settings } from "./settings.ts";

const deploy = join(import.meta.dirname, "../../../deploy");
const chart = join(deploy, "charts/falconry-agent");
const goldens = join(import.meta.dirname, "../../../test/golden/onboard");
const hex = "0123456789abcdef".repeat(4);
const image = `images.example.com/falconry-agent@sha256:${hex}`;
const address = `falconry://fleet.example.com:8443?ca=sha256:${hex}&root=sha256:${hex}`;
const run = promisify(execFile);

const usual: Settings = {
  cluster: "eu-prod-1",
  clusterUid: "4d3f8f0e-0d3c-4b59-9d15-6f1c2a9f0b11",
  managedBy: "Helm",
  namespace: "falconry",
  ownsNamespace: false,
  image,
  join: { kind: "kubernetes", address, audience: "falconry:default" },
  server: { host: "fleet.example.com", port: 8443 },
  serverNetworks: [],
  auditLog: "/var/log/kubernetes/audit/audit.log",
  controlPlaneNodes: 1,
  destinations: [],
  monitoringNamespace: undefined,
  runAsUser: undefined,
  responses: undefined,
};
const least = {
  cluster: { name: usual.cluster, uid: usual.clusterUid },
  image,
  server: { host: "fleet.example.com" },
  join: { address },
};
const cases: Readonly<Record<string, readonly [values: object, settings: Settings]>> = {
  "the least": [least, usual],
  "everything else": [
    {
      ...least,
      server: { host: "fd00::5", port: 443, networks: ["10.20.0.0/24", "fd00::/64"] },
      join: { kind: "token" },
      auditLog: "/var/log/audit/kube.log",
      controlPlaneNodes: 5,
      destinations: [
        { host: "logs.example.com", port: 9200 },
        { host: "fd00::17", port: 3100 },
        { host: "10.0.0.9", port: 443 },
      ],
      outputs: { secretName: "falconry-outputs" },
      monitoring: { enabled: true, namespace: "prometheus" },
      runAsUser: 1_000_700_000,
    },
    {
      ...usual,
      namespace: "security",
      join: { kind: "token", joinString: undefined },
      server: { host: "fd00::5", port: 443 },
      serverNetworks: ["10.20.0.0/24", "fd00::/64"],
      auditLog: "/var/log/audit/kube.log",
      controlPlaneNodes: 5,
      destinations: [
        { host: "logs.example.com", port: 9200 },
        { host: "fd00::17", port: 3100 },
        { host: "10.0.0.9", port: 443 },
      ],
      outputSecret: "falconry-outputs",
      monitoringNamespace: "prometheus",
      runAsUser: 1_000_700_000,
    },
  ],
  "rules in Falco": [
    {
      ...least,
      falco: {
        enabled: true,
        namespace: "security",
        daemonSet: "falco-modern",
        records: { host: "falco-k8saudit.security.svc" },
      },
    },
    {
      ...usual,
      falco: { namespace: "security", daemonSet: "falco-modern" },
      falcoRecords: "http://falco-k8saudit.security.svc:9765/k8s-audit",
    },
  ],
  "Falco and Fluent Bit": [
    {
      ...least,
      falco: {
        enabled: true,
        selector: { "app.kubernetes.io/name": "falco", release: "eu" },
        records: { host: "fd00::9", port: 80, path: "/" },
      },
      fluentBit: {
        enabled: true,
        namespace: "logs",
        daemonSet: "fb",
        config: "/fluent-bit/etc/falconry/fluent-bit.conf",
        auditLog: "/host/audit/audit.log",
      },
    },
    {
      ...usual,
      falco: {
        namespace: "falco",
        daemonSet: "falco",
        selector: { "app.kubernetes.io/name": "falco", release: "eu" },
      },
      falcoRecords: "http://[fd00::9]:80/",
      fluentBit: {
        place: { namespace: "logs", daemonSet: "fb" },
        config: "/fluent-bit/etc/falconry/fluent-bit.conf",
        dataDir: "/var/lib/fluent-bit",
        auditLog: "/host/audit/audit.log",
      },
    },
  ],
  "a server at an address": [
    // As --set-file gives it.
    { ...least, server: { host: "10.20.0.7", port: 443 }, join: { address: `${address}\n` } },
    { ...usual, server: { host: "10.20.0.7", port: 443 } },
  ],
};

type Manifest = Readonly<Record<string, unknown>>;
/** By kind and name, as kubectl sees them. */
function byKind(text: string): Readonly<Record<string, Manifest>> {
  const objects = parseAllDocuments(text).map((document) => document.toJS() as Manifest | null);
  const nameOf = ({ kind, metadata }: Manifest) =>
    `${String(kind)} ${(metadata as { readonly name: string }).name}`;
  return Object.fromEntries(objects.flatMap((each) => (each === null ? [] : [[nameOf(each), each]])));
}

function rendered(values: object, namespace: string): string {
  return Object.values(renderChart(chart, values, { namespace })).join("\n---\n");
}

for (const [name, [values, settings]] of Object.entries(cases)) {
  test(`the chart with ${name} gives the objects that cluster onboard gives, and kube-apiserver takes them`, async (t) => {
    const text = rendered(values, settings.namespace);
    const objects = byKind(text);
    assert.deepEqual(objects, byKind(printManifests(manifestsOf(settings))));
    for (const object of Object.values(objects)) assert.deepEqual(await validateObject(object), []);
    t.assert.fileSnapshot(text, join(goldens, `chart-${name.replaceAll(" ", "-")}.yaml`), {
      serializers: [String],
    });
  });
}

const helm = process.env["HELM_BIN"];
test(
  "the real Helm renders the chart as it is rendered here",
  { skip: helm === undefined && "HELM_BIN is not set" },
  async (t) => {
    const dir = mkdtempSync(join(tmpdir(), "falconry-chart-"));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    for (const [name, [values, { namespace }]] of Object.entries(cases)) {
      const file = join(dir, "values.yaml");
      writeFileSync(file, stringify(values));
      const { stdout } = await run(helm ?? "", ["template", "falconry", chart, "-n", namespace, "-f", file]);
      assert.deepEqual(byKind(stdout), byKind(rendered(values, namespace)), name);
    }
  },
);

const schema = new Ajv({ allErrors: true }).compile(
  JSON.parse(readFileSync(join(chart, "values.schema.json"), "utf8")) as object,
);
const wrong: readonly (readonly [what: string, change: object, at: string])[] = [
  ["no cluster", { cluster: { name: "" } }, "/cluster/name"],
  ["no image", { image: "" }, "/image"],
  ["an image with a blank", { image: "a b" }, "/image"],
  [
    "a join string where the address belongs",
    { join: { address: address.replace("//", "//jt_1.secret@") } },
    "/join/address",
  ],
  ["no join address", { join: { address: "" } }, "/join/address"],
  ["an unknown way to join", { join: { kind: "trust" } }, "/join/kind"],
  ["a misspelt value", { destination: [] }, ""],
  ["a destination without a port", { destinations: [{ host: "logs" }] }, "/destinations/0"],
  ["an audit log without a directory", { auditLog: "/audit.log" }, "/auditLog"],
  ["a DaemonSet with a blank", { falco: { enabled: true, daemonSet: "a b" } }, "/falco/daemonSet"],
  ["a selector of no label", { falco: { enabled: true, selector: { app: 1 } } }, "/falco/selector/app"],
  [
    "a place of records with a scheme",
    { falco: { records: { host: "http://falco", port: 9765, path: "/" } } },
    "/falco/records/host",
  ],
  ["Fluent Bit without Falco", { fluentBit: { enabled: true } }, "/falco/enabled"],
  ["a config without a directory", { fluentBit: { config: "/fluent-bit.conf" } }, "/fluentBit/config"],
  ["a collector with a scheme", { traces: { host: "https://collector" } }, "/traces/host"],
  ["a Secret with a blank", { outputs: { secretName: "a b" } }, "/outputs/secretName"],
  ["a user that is none", { runAsUser: -1 }, "/runAsUser"],
];
test("values that make no agent are refused by the chart's schema, where they are wrong", () => {
  for (const [values] of Object.values(cases)) {
    assert.ok(schema(valuesOf(chart, values)), JSON.stringify(schema.errors));
  }
  for (const [what, change, at] of wrong) {
    assert.equal(schema(valuesOf(chart, valuesOver(least, change))), false, what);
    assert.ok(
      schema.errors?.some(({ instancePath }) => instancePath === at),
      `${what}: ${JSON.stringify(schema.errors)}`,
    );
  }
  assert.equal(schema(valuesOf(chart, {})), false, "nothing was given");
});

test("the chart with a collector tells agents of it and lets them reach it, and without one says nothing of it", () => {
  const traces = { traces: { host: "collector.observability", port: 4318, tls: false } };
  const objects = byKind(rendered({ ...least, ...traces }, "falconry"));
  const plain = byKind(rendered(least, "falconry"));
  const added = (kind: string) =>
    stringify(objects[kind])
      .split("\n")
      .filter((line) => !stringify(plain[kind]).split("\n").includes(line))
      .map((line) => line.trim());
  assert.deepEqual(added("DaemonSet falconry-agent"), [
    "- name: FALCONRY_TRACES",
    "value: otlp",
    "- name: OTEL_EXPORTER_OTLP_ENDPOINT",
    "value: http://collector.observability:4318",
  ]);
  assert.deepEqual(added("NetworkPolicy falconry-agent"), ["port: 4318"]);
});

function valuesOver(base: object, change: object): object {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(change)) {
    const before = merged[key];
    const isDeeper = typeof before === "object" && !Array.isArray(value) && typeof value === "object";
    merged[key] = isDeeper ? { ...before, ...(value as object) } : value;
  }
  return merged;
}

/** What an overlay has to replace. */
const base: Settings = {
  ...usual,
  cluster: "CLUSTER_NAME",
  clusterUid: "CLUSTER_UID",
  managedBy: "kustomize",
  ownsNamespace: true,
  image: "falconry-agent",
  join: { kind: "kubernetes", address: "JOIN_ADDRESS", audience: "JOIN_AUDIENCE" },
  server: { host: "SERVER", port: 8443 },
};

const falcoBase: Settings = { ...base, falco: { namespace: "falco", daemonSet: "falco" } };
const withBoth: Settings = {
  ...falcoBase,
  fluentBit: {
    place: { namespace: "logging", daemonSet: "fluent-bit" },
    config: "/etc/fluent-bit/falconry/fluent-bit.conf",
    dataDir: "/var/lib/fluent-bit",
  },
};

test("the kustomize base holds the objects that cluster onboard gives, with names that an overlay replaces", (t) => {
  const text = printManifests(manifestsOf(base));
  t.assert.fileSnapshot(text, join(deploy, "kustomize/agent/agent.yaml"), { serializers: [String] });
  const { resources } = parse(readFileSync(join(deploy, "kustomize/agent/kustomization.yaml"), "utf8")) as {
    resources: string[];
  };
  assert.deepEqual(resources, ["agent.yaml"]);
});

test("the kustomize base with Falco holds the objects that cluster onboard gives with --driver falco", (t) => {
  const text = printManifests(manifestsOf(falcoBase));
  t.assert.fileSnapshot(text, join(deploy, "kustomize/agent-falco/agent.yaml"), { serializers: [String] });
});

test("the kustomize base with Fluent Bit holds the objects that cluster onboard gives with --driver fluent-bit", (t) => {
  const text = printManifests(manifestsOf(withBoth));
  t.assert.fileSnapshot(text, join(deploy, "kustomize/agent-fluent-bit/agent.yaml"), {
    serializers: [String],
  });
});

const records = "http://falco-k8saudit.falco.svc:9765/k8s-audit";

/** What kustomize makes of objects with the patches of a component. */
function patchedBy(component: string, settings: Settings): Readonly<Record<string, Manifest>> {
  const objects = byKind(printManifests(manifestsOf(settings)));
  const { patches } = parse(
    readFileSync(join(deploy, "kustomize", component, "kustomization.yaml"), "utf8"),
  ) as {
    readonly patches: readonly { readonly target: { readonly kind: string }; readonly patch: string }[];
  };
  for (const { target, patch } of patches) {
    const operations = parse(patch) as readonly { op: string; path: string; value: unknown }[];
    for (const { op, path, value } of operations) {
      const keys = path.split("/").slice(1);
      const last = keys.pop()?.replaceAll("~1", "/") ?? "";
      const at = keys.reduce<unknown>(
        (here, key) => (here as Record<string, unknown>)[key],
        objects[`${target.kind} falconry-agent`],
      );
      assert.ok(op === "add" ? Array.isArray(at) && last === "-" : last in (at as object), `${op} ${path}`);
      if (op === "add") (at as unknown[]).push(value);
      else (at as Record<string, unknown>)[last] = value;
    }
  }
  return objects;
}

test("the kustomize component for Falco's records adds what cluster onboard adds with --falco-records-url", () => {
  const wanted = byKind(printManifests(manifestsOf({ ...falcoBase, falcoRecords: records })));
  assert.deepEqual(ordered(patchedBy("falco-records", falcoBase)), ordered(wanted));
});

const outputsOver: readonly (readonly [base: string, component: string, settings: Settings])[] = [
  ["agent", "outputs", base],
  ["agent-falco", "outputs", falcoBase],
  ["agent-fluent-bit", "outputs-fluent-bit", withBoth],
];
for (const [name, component, settings] of outputsOver) {
  test(`the kustomize component ${component} over ${name} gives what cluster onboard gives with --destination and --output-secret, and lets agents read their audit log`, () => {
    const destinations = [{ host: "logs.example.com", port: 9200 }];
    const wanted = byKind(
      printManifests(manifestsOf({ ...settings, destinations, outputSecret: "falconry-outputs" })),
    );
    const patched = patchedBy(component, settings);
    assert.deepEqual(ordered(patched), ordered(wanted));
    const { "allow.json": allowed = "" } = (patched["ConfigMap falconry-agent"] as V1ConfigMap).data ?? {};
    const { tailDirectories } = JSON.parse(allowed) as { readonly tailDirectories: readonly string[] };
    const agent = patched["DaemonSet falconry-agent"] as V1DaemonSet;
    const env = agent.spec?.template.spec?.containers[0]?.env ?? [];
    const log = env.find((each) => each.name === "FALCONRY_VAR_AUDIT_LOG")?.value ?? "";
    assert.ok(
      tailDirectories.some((directory) => log.startsWith(`${directory}/`)),
      `${log} is in none of ${tailDirectories.join(", ")}`,
    );
    const bases = readFileSync(join(deploy, "kustomize", component, "kustomization.yaml"), "utf8");
    assert.ok(bases.split("\napiVersion")[0]?.includes(`../${name}`), "the component names the base");
  });
}

/** The order of variables and of rules says nothing. */
function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map((each) => JSON.stringify(ordered(each))).toSorted();
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, each]) => [key, ordered(each)]));
}

const kubectl = process.env["KUBECTL_BIN"];
test(
  "the real kustomize takes the component for Falco's records over the base with Falco",
  { skip: kubectl === undefined && "KUBECTL_BIN is not set" },
  async (t) => {
    const dir = mkdtempSync(join(deploy, "kustomize/try-"));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    const overlay = { resources: ["../agent-falco"], components: ["../falco-records"] };
    writeFileSync(join(dir, "kustomization.yaml"), stringify(overlay));
    const { stdout } = await run(kubectl ?? "", ["kustomize", dir]);
    assert.match(stdout, /name: FALCONRY_FALCO_RECORDS_URL\n\s+value: http:\/\/falco-k8saudit/);
    assert.match(stdout, /port: 9765/);
  },
);

test(
  "the real kustomize makes of the example overlay what cluster onboard gives for the same cluster",
  { skip: kubectl === undefined && "KUBECTL_BIN is not set" },
  async () => {
    const { stdout } = await run(kubectl ?? "", ["kustomize", join(deploy, "kustomize/example")]);
    const settings: Settings = {
      ...base,
      cluster: "eu-prod-1",
      clusterUid: usual.clusterUid,
      image,
      join: { kind: "kubernetes", address, audience: "falconry:default" },
      server: { host: "fleet.example.com", port: 8443 },
    };
    assert.deepEqual(byKind(stdout), byKind(printManifests(manifestsOf(settings))));
  },
);
