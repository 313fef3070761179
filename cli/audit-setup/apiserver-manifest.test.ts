import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";

import { Failure } from "../failure.ts";
import { apiserverFlags, type AuditPaths } from "./apiserver-flags.ts";
import { patchApiserver } from "./apiserver-manifest.ts";
import { mountsFor } from "./apiserver-mounts.ts";

interface Mounted {
  readonly name: string;
  readonly mountPath: string;
  readonly readOnly?: boolean;
  readonly subPath?: string;
}

interface Volume {
  readonly name: string;
  readonly hostPath?: { readonly path: string };
  readonly emptyDir?: object;
}

interface Given {
  readonly flags?: readonly string[];
  readonly volumeMounts?: readonly Mounted[];
  readonly volumes?: readonly Volume[];
}

interface Pod {
  readonly spec: {
    readonly containers: readonly [
      { readonly command: readonly string[]; readonly volumeMounts: readonly Mounted[] },
    ];
    readonly volumes: readonly Volume[];
  };
}

const paths = {
  policy: "/etc/kubernetes/audit/policy.yaml",
  log: "/var/log/kubernetes/audit/audit.log",
};

function patch({ flags = [], volumeMounts = [], volumes = [] }: Given, wanted: AuditPaths = paths) {
  const container = {
    name: "kube-apiserver",
    command: ["kube-apiserver", "--allow-privileged=true", ...flags],
    volumeMounts,
  };
  const pod = { apiVersion: "v1", kind: "Pod", spec: { containers: [container], volumes } };
  const added = apiserverFlags(wanted);
  const patched = patchApiserver(JSON.stringify(pod), "a.yaml", added, mountsFor(added));
  return { ...patched, pod: (parse(patched.text) as Pod).spec };
}

/** What the kubelet demands of a pod, and that the API server sees the host's own folders. */
function assertSound({ containers: [{ volumeMounts }], volumes }: Pod["spec"]): void {
  const names = volumes.map(({ name }) => name);
  assert.deepEqual(names, [...new Set(names)], "names of volumes are taken once");
  const at = volumeMounts.map(({ mountPath }) => mountPath.replace(/\/$/, ""));
  assert.deepEqual(at, [...new Set(at)], "nothing is mounted over something else");
  for (const { name } of volumeMounts) assert.ok(names.includes(name), `${name} is no volume`);
}

/** The example of kubernetes.io/docs/tasks/debug/debug-cluster/audit. */
const documented: Given = {
  flags: [
    "--audit-policy-file=/etc/kubernetes/audit-policy.yaml",
    "--audit-log-path=/var/log/kubernetes/audit/audit.log",
  ],
  volumeMounts: [
    { mountPath: "/etc/kubernetes/audit-policy.yaml", name: "audit", readOnly: true },
    { mountPath: "/var/log/kubernetes/audit/", name: "audit-log", readOnly: false },
  ],
  volumes: [
    { name: "audit", hostPath: { path: "/etc/kubernetes/audit-policy.yaml" } },
    { name: "audit-log", hostPath: { path: "/var/log/kubernetes/audit/" } },
  ],
};

test("an API server that was set up as Kubernetes documents it gets no second volume of a name, and starts again", () => {
  const { pod, changes } = patch(documented, { ...paths, policy: "/etc/kubernetes/audit-policy.yaml" });
  assertSound(pod);
  assert.deepEqual(pod.volumes, documented.volumes);
  assert.deepEqual(
    changes.filter((change) => change.startsWith("mount")),
    [],
  );
});

test("volumes of others that have our names stay theirs, and ours take others", () => {
  const names = ["audit-log", "audit-policy", "audit-policy-2", "audit-webhook"];
  const volumes = names.map((name) => ({ name, hostPath: { path: `/srv/${name}` } }));
  const volumeMounts = names.map((name) => ({ name, mountPath: `/srv/${name}` }));
  for (const wanted of [paths, { ...paths, webhook: "/etc/kubernetes/audit/webhook.yaml" }]) {
    const { pod } = patch({ volumes, volumeMounts }, wanted);
    assertSound(pod);
    assert.deepEqual(pod.volumes.slice(0, names.length), volumes);
    const ours = pod.containers[0].volumeMounts.slice(names.length);
    assert.equal(ours.length, 2);
    for (const { name, mountPath } of ours) {
      assert.equal(pod.volumes.find((one) => one.name === name)?.hostPath?.path, mountPath);
    }
  }
});

test("a folder that is mounted from the host under the same name serves what lies in it", () => {
  const { pod, changes } = patch({
    volumeMounts: [
      { name: "kube", mountPath: "/etc/kubernetes/", readOnly: true },
      { name: "logs", mountPath: "/var/log", subPath: "log" },
    ],
    volumes: [
      { name: "kube", hostPath: { path: "/etc/kubernetes" } },
      { name: "logs", hostPath: { path: "/var/" } },
    ],
  });
  assertSound(pod);
  assert.deepEqual(
    changes,
    changes.filter((change) => change.startsWith("flag")),
  );
});

test("a log in a folder that is mounted read-only gets a mount of its own in which it can be written", () => {
  const { pod } = patch({
    volumeMounts: [{ name: "logs", mountPath: "/var/log", readOnly: true }],
    volumes: [{ name: "logs", hostPath: { path: "/var/log" } }],
  });
  assertSound(pod);
  const log = pod.containers[0].volumeMounts.find(
    ({ mountPath }) => mountPath === "/var/log/kubernetes/audit",
  );
  assert.equal(log?.readOnly, undefined);
});

for (const [what, volumeMounts, volumes, said] of [
  [
    "shows another folder of the host",
    [{ name: "etc", mountPath: "/etc/kubernetes" }],
    [{ name: "etc", hostPath: { path: "/srv/kubernetes" } }],
    /\/srv\/kubernetes\/audit\/policy\.yaml of the host/,
  ],
  [
    "is nothing of the host",
    [{ name: "logs", mountPath: "/var/log" }],
    [{ name: "logs", emptyDir: {} }],
    /would be in volume logs/,
  ],
  [
    "cannot be written",
    [{ name: "logs", mountPath: "/var/log/kubernetes/audit/", readOnly: true }],
    [{ name: "logs", hostPath: { path: "/var/log/kubernetes/audit" } }],
    /read-only, so that kube-apiserver cannot write its log/,
  ],
] as const) {
  test(`a mount that ${what} is refused with its name: the API server would not find its files`, () => {
    assert.throws(
      () => patch({ volumeMounts, volumes }),
      (error: Failure) => error instanceof Failure && said.test(error.message) && error.next.length > 0,
    );
  });
}

test("how a log rotates is left as somebody set it, and said", () => {
  const { pod, kept, changes } = patch({ flags: ["--audit-log-maxage", "7", "--audit-log-maxsize=100"] });
  assert.deepEqual(kept, ["--audit-log-maxage=7", "--audit-log-maxsize=100"]);
  assert.equal(pod.containers[0].command.filter((word) => word.startsWith("--audit-log-max")).length, 3);
  assert.ok(changes.includes("flag --audit-log-maxbackup=5"));
});

test("an audit log that is set in command is not set a second time in args, nor the other way round", () => {
  const theirs = "--audit-log-path=/var/log/theirs.log";
  for (const [command, args] of [
    [["kube-apiserver", theirs], ["--allow-privileged=true"]],
    [["kube-apiserver", "--allow-privileged=true"], [theirs]],
  ]) {
    const containers = [{ name: "kube-apiserver", command, args }];
    const pod = JSON.stringify({ apiVersion: "v1", kind: "Pod", spec: { containers } });
    const added = apiserverFlags(paths);
    assert.throws(
      () => patchApiserver(pod, "a.yaml", added, mountsFor(added)),
      /has --audit-log-path=\/var\/log\/theirs\.log already/,
    );
  }
});
