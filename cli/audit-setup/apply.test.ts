import assert from "node:assert/strict";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { parse } from "yaml";

import { certificateToPem, createCa } from "#trust";
import { runCli, temporaryDirectory } from "../../test/support/run-cli.ts";

/** As kubeadm writes it, shortened, with a comment of a person. */
const kubeadm = `apiVersion: v1
kind: Pod
metadata:
  annotations:
    kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint: 10.0.0.1:6443
  creationTimestamp: null
  labels:
    component: kube-apiserver
    tier: control-plane
  name: kube-apiserver
  namespace: kube-system
spec:
  containers:
  - command:
    - kube-apiserver
    - --advertise-address=10.0.0.1
    - --allow-privileged=true # the network plugin needs it
    - --authorization-mode=Node,RBAC
    image: registry.k8s.io/kube-apiserver:v1.36.2
    name: kube-apiserver
    volumeMounts:
    - mountPath: /etc/ssl/certs
      name: ca-certs
      readOnly: true
  hostNetwork: true
  volumes:
  - hostPath:
      path: /etc/ssl/certs
      type: DirectoryOrCreate
    name: ca-certs
status: {}
`;

interface Host {
  readonly dir: string;
  readonly manifest: string;
  readonly policy: string;
  readonly run: (...more: readonly string[]) => ReturnType<typeof runCli>;
}

/** The folders of a control-plane host below a temporary one. */
async function host(t: TestContext, text = kubeadm): Promise<Host> {
  const dir = await temporaryDirectory(t);
  const manifest = join(dir, "manifests", "kube-apiserver.yaml");
  await mkdir(join(dir, "manifests"));
  await writeFile(manifest, text, { mode: 0o600 });
  const policy = join(dir, "audit", "policy.yaml");
  const paths = [
    "--manifest",
    manifest,
    "--policy-path",
    policy,
    "--log-path",
    join(dir, "log", "audit.log"),
  ];
  const webhook = ["--webhook-path", join(dir, "audit", "webhook.yaml")];
  return {
    dir,
    manifest,
    policy,
    run: (...more) => runCli(["cluster", "audit-setup", ...paths, ...webhook, ...more]),
  };
}

interface Pod {
  readonly spec: {
    readonly containers: readonly {
      readonly command: readonly string[];
      readonly volumeMounts: readonly {
        readonly name: string;
        readonly mountPath: string;
        readonly readOnly?: boolean;
      }[];
    }[];
    readonly volumes: readonly {
      readonly name: string;
      readonly hostPath: { readonly path: string; readonly type: string };
    }[];
  };
}

test("--apply gives the API server its flags, policy and log folder, and keeps the rest of the manifest to the letter", async (t) => {
  const { dir, manifest, policy, run } = await host(t);
  const { code, out, talk } = await run("--apply");
  assert.equal(code, 0, talk);
  assert.match(out, /Added to .*kube-apiserver\.yaml: flag --audit-policy-file=/);
  const text = await readFile(manifest, "utf8");
  const { containers, volumes } = (parse(text) as Pod).spec;
  const { command = [], volumeMounts = [] } = containers[0] ?? {};
  assert.ok(command.includes(`--audit-policy-file=${policy}`));
  assert.ok(command.includes(`--audit-log-path=${join(dir, "log", "audit.log")}`));
  assert.deepEqual(
    volumes.slice(1).map(({ name, hostPath }) => [name, hostPath.path, hostPath.type]),
    [
      ["audit-policy", policy, "File"],
      ["audit-log", join(dir, "log"), "DirectoryOrCreate"],
    ],
  );
  assert.deepEqual(volumeMounts.slice(1), [
    { mountPath: policy, name: "audit-policy", readOnly: true },
    { mountPath: join(dir, "log"), name: "audit-log" },
  ]);
  for (const line of kubeadm.trimEnd().split("\n")) assert.ok(text.includes(line), `lost: ${line}`);
  assert.equal((parse(await readFile(policy, "utf8")) as { kind: string }).kind, "Policy");
  assert.deepEqual(
    await readdir(join(dir, "manifests")),
    ["kube-apiserver.yaml"],
    "the kubelet runs every file there",
  );
  assert.equal((await stat(manifest)).mode & 0o777, 0o600);
  const [backup = "", ...others] = await backupsOf(dir);
  assert.deepEqual(others, []);
  assert.ok(out.includes(backup), out);
  assert.equal(await readFile(backup, "utf8"), kubeadm);
});

/** The manifests of before, the oldest first. */
async function backupsOf(dir: string): Promise<string[]> {
  const names = (await readdir(dir)).filter((name) => name.startsWith("kube-apiserver.yaml.before-audit-"));
  return names.sort().map((name) => join(dir, name));
}

test("--apply a second time changes nothing and says so, and a policy that is given replaces the one before, which is kept", async (t) => {
  const { dir, manifest, policy, run } = await host(t);
  await run("--apply");
  const once = await readFile(manifest, "utf8");
  const { code, out } = await run("--apply");
  assert.equal(code, 0);
  assert.match(out, /Everything is set already/);
  assert.equal(await readFile(manifest, "utf8"), once);
  const before = await readFile(policy, "utf8");
  const { out: changed, talk } = await run("--apply", "--policy", await ownPolicy(dir));
  const kept = /^Wrote .*policy\.yaml\nKept what was there: (.*policy\.yaml\.before-\S+)\n$/.exec(changed);
  assert.equal(await readFile(kept?.[1] ?? "", "utf8"), before);
  assert.match(talk, /restart it/);
  assert.equal((await backupsOf(dir)).length, 1);
});

test("each change of the manifest has a backup of its own, and the one that is offered is from right before it", async (t) => {
  const { dir, manifest, run } = await host(t);
  await run("--apply");
  const upgraded = kubeadm.replace("v1.36.2", "v1.37.0");
  await writeFile(manifest, upgraded);
  const { talk } = await run("--apply");
  const [first = "", second = ""] = await backupsOf(dir);
  assert.equal(await readFile(first, "utf8"), kubeadm);
  assert.equal(await readFile(second, "utf8"), upgraded);
  assert.ok(talk.includes(`cp ${second} ${manifest} brings back`), talk);
});

test("a policy that somebody wrote is not replaced without being asked, and nothing else is written then", async (t) => {
  const { dir, manifest, policy, run } = await host(t);
  await mkdir(join(dir, "audit"));
  const theirs = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{ level: Request }]\n";
  await writeFile(policy, theirs);
  const { code, talk } = await run("--apply");
  assert.equal(code, 1, talk);
  assert.ok(talk.includes(`${policy} holds another policy than ours`), talk);
  assert.ok(talk.includes(`--policy-path ${policy} --policy ${policy}`), talk);
  assert.equal(await readFile(policy, "utf8"), theirs);
  assert.equal(await readFile(manifest, "utf8"), kubeadm);
  assert.equal((await run("--apply", "--policy", policy)).code, 0, "theirs is kept");
  assert.equal(await readFile(policy, "utf8"), theirs);
  const { out } = await run("--apply", "--replace-policy");
  const backup = /Kept what was there: (\S+)/.exec(out)?.[1] ?? "";
  assert.equal(await readFile(backup, "utf8"), theirs);
  assert.notEqual(await readFile(policy, "utf8"), theirs);
});

async function ownPolicy(dir: string): Promise<string> {
  const path = join(dir, "own.yaml");
  await writeFile(path, "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{ level: Metadata }]\n");
  return path;
}

test("an audit log that somebody set up before is not overruled: the flag is named, and nothing is written", async (t) => {
  const theirs = kubeadm.replace(
    "    - --authorization",
    "    - --audit-log-path=/var/log/theirs.log\n    - --authorization",
  );
  const { dir, manifest, run } = await host(t, theirs);
  const { code, talk } = await run("--apply");
  assert.equal(code, 1);
  assert.match(talk, /has --audit-log-path=\/var\/log\/theirs\.log already/);
  assert.equal(await readFile(manifest, "utf8"), theirs);
  assert.deepEqual((await readdir(dir)).sort(), ["manifests"]);
});

for (const [name, text] of [
  ["a pod of something else", kubeadm.replaceAll("name: kube-apiserver", "name: etcd")],
  ["no pod", "kind: Deployment\n"],
  ["no YAML", "spec: [\n"],
  ["an empty file", ""],
] as const) {
  test(`--apply refuses ${name} as manifest and leaves it as it is`, async (t) => {
    const { manifest, run } = await host(t, text);
    const { code, talk } = await run("--apply");
    assert.equal(code, 2, talk);
    assert.ok(talk.includes(manifest), talk);
    assert.equal(await readFile(manifest, "utf8"), text);
  });
}

test("a host without such a manifest is told where it would be", async () => {
  const { code, talk } = await runCli(["cluster", "audit-setup", "--apply", "--manifest", "/nowhere/a.yaml"]);
  assert.equal(code, 2);
  assert.match(talk, /\/nowhere\/a\.yaml cannot be changed \(ENOENT\)[\s\S]*kubeadm/);
});

test("with a webhook the API server gets a client config with the CA in it, the token's file, and no log file", async (t) => {
  const { dir, manifest, run } = await host(t);
  const [ca, token] = [join(dir, "ca.crt"), join(dir, "token")];
  const pem = certificateToPem((await createCa({ org: "acme", now: new Date() })).certificate);
  await writeFile(ca, `Authority of the agents\n${pem}`);
  const webhook = ["--webhook-url", "https://127.0.0.1:9880/audit", "--webhook-ca", ca];
  const missing = await run("--apply", ...webhook, "--webhook-token-file", token);
  assert.equal(missing.code, 2);
  assert.match(missing.talk, /token cannot be read \(ENOENT\)/);
  assert.equal(await readFile(manifest, "utf8"), kubeadm);
  await writeFile(token, "s3cret\n");
  const { code, talk } = await run("--apply", ...webhook, "--webhook-token-file", token);
  assert.equal(code, 0, talk);
  const text = await readFile(manifest, "utf8");
  assert.match(text, /--audit-webhook-config-file=/);
  assert.doesNotMatch(text, /--audit-log-/);
  const config = parse(await readFile(join(dir, "audit", "webhook.yaml"), "utf8")) as {
    clusters: readonly { cluster: Record<string, string> }[];
    users: readonly { name: string; user: object }[];
    contexts: readonly { context: { user: string } }[];
  };
  const { server, ...authority } = config.clusters[0]?.cluster ?? {};
  assert.equal(server, "https://127.0.0.1:9880/audit");
  assert.deepEqual(Object.keys(authority), ["certificate-authority-data"], "no file that is not mounted");
  const data = Buffer.from(authority["certificate-authority-data"] ?? "", "base64").toString();
  assert.equal(data.trim(), pem.trim());
  assert.deepEqual(config.users, [{ name: config.contexts[0]?.context.user, user: { tokenFile: token } }]);
  const { containers } = (parse(text) as Pod).spec;
  const mounted = containers[0]?.volumeMounts.map(({ mountPath }) => mountPath);
  assert.ok(mounted?.includes(token), "the token's file is in the container, too");
});

test("a webhook's client config that somebody else wrote is not replaced, and ours is, when it leads elsewhere now", async (t) => {
  const { dir, manifest, run } = await host(t);
  const path = join(dir, "audit", "webhook.yaml");
  await mkdir(join(dir, "audit"));
  const theirs =
    "kind: Config\ncurrent-context: siem\nclusters: [{ name: siem, cluster: { server: https://siem } }]\n";
  for (const text of [theirs, "", "{"]) {
    await writeFile(path, text);
    const { code, talk } = await run("--apply", "--webhook-url", "https://127.0.0.1:9880/audit");
    assert.equal(code, 1, talk);
    assert.ok(talk.includes(`${path} holds a webhook's client config that is not ours`), talk);
    assert.match(talk, /--webhook-path PATH/);
    assert.equal(await readFile(path, "utf8"), text);
    assert.equal(await readFile(manifest, "utf8"), kubeadm);
  }
  await rm(path);
  assert.equal((await run("--apply", "--webhook-url", "https://127.0.0.1:9880/audit")).code, 0);
  assert.equal((await run("--apply", "--webhook-url", "https://127.0.0.1:9881/audit")).code, 0);
  assert.match(await readFile(path, "utf8"), /127\.0\.0\.1:9881/);
});

test("what is printed without --apply is a policy that can be used as it stands, and changes nothing", async (t) => {
  const { dir, run } = await host(t);
  const { code, out, talk } = await run("-o", "json");
  assert.equal(code, 0);
  const { policy, flags } = JSON.parse(out) as { policy: string; flags: Record<string, string> };
  assert.equal((parse(policy) as { kind: string }).kind, "Policy");
  assert.equal(flags["audit-log-maxsize"], "200");
  assert.match(talk, /Nothing was changed/);
  assert.deepEqual(await readdir(dir), ["manifests"]);
});

test("a sample without an audit event is refused, and one with events says what the policy writes of them", async (t) => {
  const { dir, run } = await host(t);
  const sample = join(dir, "audit.log");
  await writeFile(sample, "nothing\n");
  assert.match((await run("--sample", sample)).talk, /holds no audit event/);
  const line = (resource: string, minute: number) =>
    JSON.stringify({
      kind: "Event",
      auditID: "a",
      level: "Metadata",
      stage: "ResponseComplete",
      verb: "get",
      user: { username: "bob" },
      objectRef: { resource, name: "n" },
      stageTimestamp: `2026-01-01T00:0${minute}:00Z`,
    });
  await writeFile(sample, `${line("secrets", 0)}\n${line("events", 5)}\n`);
  const { out } = await run("--sample", sample);
  assert.match(out, /^Sample: 2 events, \d+B over 5m\.\nWith this policy: 1 event \(50 %\)/);
});
