/** Whether the pods of a Fluent Bit can be given a config, before anything is made for them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { V1Container, V1DaemonSet, V1Volume } from "@kubernetes/client-node";
import { readFluentBitPods } from "./fluent-bit.ts";

const auditLog = "/var/log/kubernetes/audit/audit.log";
const config = "/fluent-bit/etc/falconry/fluent-bit.conf";
const mounts = [
  { name: "falconry", mountPath: "/fluent-bit/etc/falconry", readOnly: true },
  { name: "logs", mountPath: "/host/log/", readOnly: true },
  { name: "data", mountPath: "/var/lib/fluent-bit" },
];
const volumes: V1Volume[] = [
  { name: "falconry", secret: { secretName: "falconry-fluent-bit", optional: true } },
  { name: "logs", hostPath: { path: "/var/log" } },
  { name: "data", hostPath: { path: "/var/lib/fluent-bit" } },
];
const args = ["--workdir=/fluent-bit/etc", `--config=${config}`, "-Y"];

function pods(change: Partial<V1Container>, otherVolumes: V1Volume[] = volumes): V1DaemonSet {
  const container = { name: "fluent-bit", args, volumeMounts: mounts, ...change };
  const labels = { app: "fluent-bit" };
  const template = { metadata: { labels }, spec: { containers: [container], volumes: otherVolumes } };
  return { spec: { selector: { matchLabels: labels }, template } };
}

test("pods that have all of it mounted lack nothing, and say what they call the config, the log and their folder", () => {
  assert.deepEqual(readFluentBitPods(pods({}), auditLog), {
    lacks: [],
    target: { config, dataDir: "/var/lib/fluent-bit", auditLog: "/host/log/kubernetes/audit/audit.log" },
  });
});

for (const [how, words] of [
  ["-c FILE", ["-Y", "-c", config]],
  ["-cFILE", [`-c${config}`, "--enable-hot-reload"]],
] as const) {
  test(`a config that is named as ${how} is found`, () => {
    assert.deepEqual(readFluentBitPods(pods({ args: [...words] }), auditLog).lacks, []);
  });
}

test("a folder of any name may be said to be the one for positions, as far as it is one of the node that can be written", () => {
  const own = mounts.map((mount) => (mount.name === "data" ? { ...mount, mountPath: "/buffers" } : mount));
  const found = (dir?: string) => readFluentBitPods(pods({ volumeMounts: own }), auditLog, dir);
  assert.match(found().lacks[0]?.next ?? "", /--fluent-bit-data DIR/);
  assert.deepEqual([found("/buffers").lacks, found("/buffers").target.dataDir], [[], "/buffers"]);
  assert.deepEqual([found("/buffers/a").lacks, found("/buffers/a").target.dataDir], [[], "/buffers/a"]);
  for (const dir of ["/buffer", "/host/log", "/nowhere"]) {
    assert.match(found(dir).lacks[0]?.what ?? "", new RegExp(`positions in at ${dir}$`), dir);
  }
});

const projected = (secret: object): V1Volume[] => [
  { name: "falconry", projected: { sources: [{ configMap: { name: "own" } }, { secret }] } },
  ...volumes.slice(1),
];

test("a Secret that is mounted beside others in a projected volume counts, unless a file of it is left out or called otherwise", () => {
  const name = "falconry-fluent-bit";
  const lacksOf = (secret: object) => readFluentBitPods(pods({}, projected(secret)), auditLog).lacks.length;
  assert.equal(lacksOf({ name, optional: true }), 0);
  const parsers = { key: "falconry_parsers.conf", path: "falconry_parsers.conf" };
  const config = { key: "fluent-bit.conf", path: "fluent-bit.conf" };
  assert.equal(lacksOf({ name, items: [config, parsers] }), 0);
  assert.equal(lacksOf({ name, items: [config] }), 1);
  assert.equal(lacksOf({ name, items: [{ ...config, path: "other.conf" }, parsers] }), 1);
  assert.equal(lacksOf({ name: "another" }), 1);
});

const without = (name: string) => mounts.filter((mount) => mount.name !== name);
const subPath = mounts.map((mount) => (mount.name === "falconry" ? { ...mount, subPath: "x" } : mount));
const lacking: readonly (readonly [string, V1DaemonSet, RegExp, RegExp])[] = [
  ["no Secret", pods({ volumeMounts: without("falconry") }), /Secret .* not mounted/, /without subPath/],
  [
    "a mount by subPath, which never changes,",
    pods({ volumeMounts: subPath }),
    /not mounted/,
    /without subPath/,
  ],
  [
    "another config",
    pods({ args: ["-c", "/etc/own.conf", "-Y"] }),
    /not started with \/fluent/,
    /-c \/fluent/,
  ],
  ["no hot reload", pods({ args: ["-c", config] }), /told to load a config anew/, /-Y/],
  ["no folder of the node", pods({ volumeMounts: without("data") }), /positions/, /\/var\/lib\/fluent-bit/],
  [
    "no sight of the audit log",
    pods({ volumeMounts: without("logs") }),
    /audit log/,
    /kubernetes\/audit, read-only/,
  ],
  [
    "a folder that goes with the pod",
    pods({}, [...volumes.slice(0, 2), { name: "data", emptyDir: {} }]),
    /positions/,
    /directory of the node/,
  ],
];
for (const [what, daemonSet, why, next] of lacking) {
  test(`Fluent Bit with ${what} is refused before anything is made, with what to change`, () => {
    const { lacks } = readFluentBitPods(daemonSet, auditLog);
    assert.equal(lacks.length, 1, JSON.stringify(lacks));
    assert.match(lacks[0]?.what ?? "", why);
    assert.match(lacks[0]?.next ?? "", next);
  });
}
