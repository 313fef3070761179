/** What people build and apply from `deploy/`. No image is built and no cluster asked here: docs/hosts.md says so. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import type {
  KubernetesObject,
  V1Job,
  V1PodDisruptionBudget,
  V1Service,
  V1StatefulSet,
} from "@kubernetes/client-node";
import { validate, ValidationSeverity } from "dockerfile-utils";
import { parse, parseAllDocuments } from "yaml";
import { validateObject } from "../support/kubernetes/openapi.ts";
import { restrictedViolations } from "../support/kubernetes/pod-security.ts";

const root = join(import.meta.dirname, "../..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");

const objects = ["namespace", "server", "migrate"].flatMap((name) =>
  parseAllDocuments(read(`deploy/server/${name}.yaml`)).map((document) => {
    assert.deepEqual(document.errors, []);
    return document.toJS() as KubernetesObject;
  }),
);

interface Kinds {
  readonly StatefulSet: V1StatefulSet;
  readonly Job: V1Job;
  readonly Service: V1Service;
  readonly PodDisruptionBudget: V1PodDisruptionBudget;
}

function ofKind<K extends keyof Kinds>(kind: K): Kinds[K] {
  const found = objects.find((object) => object.kind === kind);
  assert.ok(found !== undefined, `no ${kind}`);
  return found;
}

const podOf = (kind: "StatefulSet" | "Job") => {
  const { spec } = ofKind(kind);
  assert.ok(spec?.template.spec !== undefined);
  return spec.template.spec;
};

test("kube-apiserver takes every manifest of the server: each is as its OpenAPI schema says", async () => {
  for (const object of objects) assert.deepEqual(await validateObject(object), [], object.kind);
});

test("servers and migrations run in a namespace that enforces the restricted profile", () => {
  assert.deepEqual(restrictedViolations(podOf("StatefulSet")), []);
  assert.deepEqual(restrictedViolations(podOf("Job")), []);
});

test("two servers run on two nodes, one of which may go at a time", () => {
  const { spec } = ofKind("StatefulSet");
  assert.equal(spec?.replicas, 2);
  const [apart] =
    podOf("StatefulSet").affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
  assert.equal(apart?.topologyKey, "kubernetes.io/hostname");
  const labels = spec?.template.metadata?.labels;
  assert.deepEqual(spec?.selector.matchLabels, labels);
  assert.deepEqual(apart?.labelSelector?.matchLabels, labels);
  assert.deepEqual(ofKind("PodDisruptionBudget").spec?.selector?.matchLabels, labels);
  assert.deepEqual(ofKind("Service").spec?.selector, labels);
});

test("a server takes CA and keys from the Secret when it has none, and keeps those that it has", (t) => {
  const dir = mkdtempSync(join(tmpdir(), "falconry-seed-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const pod = podOf("StatefulSet");
  const [init] = pod.initContainers ?? [];
  const [, flag, script] = init?.command ?? [];
  assert.equal(flag, "-e");
  for (const { path } of pod.volumes?.find(({ secret }) => secret !== undefined)?.secret?.items ?? []) {
    mkdirSync(join(dir, "seed", path, ".."), { recursive: true });
    writeFileSync(join(dir, "seed", path), `seeded ${path}`);
  }
  mkdirSync(join(dir, "state", "ca"), { recursive: true });
  writeFileSync(join(dir, "state", "ca", "ca.key"), "replaced since");

  const moved = (script ?? "").replaceAll("`/", `\`${dir}/`);
  const { status, stderr } = spawnSync(process.execPath, ["-e", moved], { encoding: "utf8" });

  assert.equal(status, 0, stderr);
  assert.equal(readFileSync(join(dir, "state/ca/ca.key"), "utf8"), "replaced since");
  assert.deepEqual(readdirSync(join(dir, "state/keys")).toSorted(), [
    "assignment.json",
    "snapshot.json",
    "timestamp.json",
  ]);
  assert.equal(statSync(join(dir, "state/keys/snapshot.json")).mode & 0o777, 0o600);
});

test("the Dockerfile is one that Docker understands, and its images run as nobody and start what the build makes", () => {
  const text = read("deploy/Dockerfile");
  const problems = validate(text).filter(({ severity }) => severity === ValidationSeverity.ERROR);
  assert.deepEqual(problems, []);
  assert.match(text, /^USER 65532:65532$/m);
  // A digest that nobody looked up would be one that somebody made up.
  assert.doesNotMatch(text, /^(?:ARG|FROM) .*@sha256/m);
  const built = read("tools/build.ts");
  for (const [, file = ""] of text.matchAll(/^ENTRYPOINT .*\/opt\/falconry\/([\w-]+\.cjs)/gm)) {
    assert.match(built, new RegExp(`"${file}"`));
  }
  assert.ok(existsSync(join(root, ".dockerignore")));
});

interface Compose {
  readonly services: Record<
    string,
    {
      user?: string;
      environment?: Record<string, string>;
      volumes?: string[];
      networks?: string[];
      depends_on?: object;
      build?: { target: string };
    }
  >;
  readonly volumes: object;
  readonly networks: object;
}

test("what the services of compose.yaml refer to is there", () => {
  const compose = parse(read("deploy/compose.yaml"), { merge: true }) as Compose;
  assert.deepEqual(Object.keys(compose.services), ["postgres", "migrate", "server", "agent", "fleetctl"]);
  const targets = [...read("deploy/Dockerfile").matchAll(/^FROM \S+ AS (\w+)$/gm)].map(([, name]) => name);
  for (const [name, service] of Object.entries(compose.services)) {
    const named = (service.volumes ?? []).flatMap((volume) => /^([a-z]+):/.exec(volume)?.[1] ?? []);
    const missing = [
      ...named.filter((volume) => !(volume in compose.volumes)),
      ...(service.networks ?? []).filter((network) => !(network in compose.networks)),
      ...Object.keys(service.depends_on ?? {}).filter((other) => !(other in compose.services)),
    ];
    assert.deepEqual(missing, [], name);
    if (service.build !== undefined) assert.ok(targets.includes(service.build.target), name);
  }
});

test("each program of compose.yaml may write where its state lies: a new volume has the owner that its path has in the image", () => {
  const { services } = parse(read("deploy/compose.yaml"), { merge: true }) as Compose;
  const dockerfile = read("deploy/Dockerfile");
  const [, usual = ""] = /^USER (\S+)$/m.exec(dockerfile) ?? [];
  const owners = new Map(
    [...dockerfile.matchAll(/^COPY .*--chown=(\S+) \S+ (\S+)$/gm)].map(([, owner, path]) => [path, owner]),
  );
  assert.deepEqual([...owners], [["/state", usual]]);
  const stateful = Object.entries(services).filter(
    ([, { build, volumes }]) => build !== undefined && volumes !== undefined,
  );
  assert.deepEqual(
    stateful.map(([name]) => name),
    ["server", "agent", "fleetctl"],
  );
  for (const [name, { user = usual, environment = {}, volumes = [] }] of stateful) {
    const [, path = ""] = volumes.flatMap((volume) => /^[a-z]+:(\/\S+)$/.exec(volume) ?? []);
    // Nobody has a capability, so that root, too, writes only what is its own.
    assert.equal(owners.get(path) ?? "0:0", user, `${name} cannot write to ${path}`);
    const state = environment["FALCONRY_STATE_DIR"] ?? environment["FLEETCTL_CONFIG"] ?? "";
    assert.ok(`${state}/`.startsWith(`${path}/`), `${name} keeps its state in ${state}`);
  }
});

test("systemd understands the agent's unit, and no setting of it is unknown", (t) => {
  const found = spawnSync("systemd-analyze", ["--version"]).error === undefined;
  if (!found) return t.diagnostic("systemd-analyze is not on this machine");
  const dir = mkdtempSync(join(tmpdir(), "falconry-unit-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const unit = join(dir, "falconry-agent.service");
  // It asks whether the program is there; ours is installed by people.
  writeFileSync(
    unit,
    read("deploy/systemd/falconry-agent.service").replace("/usr/bin/node", process.execPath),
  );
  const { status, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", unit], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  return assert.doesNotMatch(stderr, /falconry-agent\.service.*(?:Unknown|Invalid|ignoring)/i);
});

test("a release has an SBOM and provenance, and no step of it may do more than it needs", () => {
  const workflow = parse(read(".github/workflows/release.yml")) as {
    permissions: object;
    jobs: Record<
      string,
      {
        needs?: string | string[];
        permissions: Record<string, string>;
        steps: { uses?: string; run?: string; with?: object }[];
      }
    >;
  };
  assert.deepEqual(workflow.permissions, {});
  const text = JSON.stringify(workflow);
  for (const part of [
    "npm sbom --sbom-format cyclonedx",
    "--provenance",
    "attest-build-provenance",
    "imagetools inspect",
  ]) {
    assert.ok(text.includes(part), part);
  }
  const scripts = (JSON.parse(read("package.json")) as { scripts: Record<string, string> }).scripts;
  for (const [, name = ""] of text.matchAll(/npm run ([\w:]+)/g)) assert.ok(name in scripts, name);
  for (const { uses } of Object.values(workflow.jobs).flatMap(({ steps }) => steps)) {
    if (uses !== undefined) assert.match(uses, /@[0-9a-f]{40}$/, "a tag can be moved to other code");
  }
});

test("nothing of a release is published before its tests passed and its images were built", () => {
  const { jobs } = parse(read(".github/workflows/release.yml")) as {
    jobs: Record<string, { needs?: string | string[]; steps: { run?: string }[] }>;
  };
  const runs = (name: string) => (jobs[name]?.steps ?? []).map(({ run = "" }) => run);
  const publishing = Object.keys(jobs).filter((name) =>
    runs(name).some((run) => /npm publish|gh release create/.test(run)),
  );
  assert.deepEqual(publishing, ["publish"]);
  assert.deepEqual(jobs["publish"]?.needs, ["package", "images"]);
  assert.equal(jobs["images"]?.needs, "package");
  assert.ok(runs("package").includes(".ci/run"), "what CI runs");
  assert.match(runs("publish").at(-1) ?? "", /gh release edit .*--draft=false/);
});

/** A registry and a forge that keep what they are given, and refuse it a second time; `broken` says which of their calls fails. */
const stubs = {
  gh: `case "$2" in
    view) cat "$STATE/release" ;;
    create) test ! -e "$STATE/release" && echo true > "$STATE/release" ;;
    upload) grep -q true "$STATE/release" && touch "$STATE/files" ;;
    edit) test -e "$STATE/files" && echo false > "$STATE/release" ;;
  esac`,
  npm: `case "$1" in
    view) cat "$STATE/npm" ;;
    publish) test ! -e "$STATE/npm" && echo 1.2.3 > "$STATE/npm" ;;
  esac`,
};

for (const broken of ["create", "upload", "publish", "edit"]) {
  test(`a release whose ${broken} failed can be run again to its end, and until then people see none that is half`, () => {
    const dir = mkdtempSync(join(tmpdir(), "falconry-release-"));
    try {
      for (const name of ["bin", "state", "package", "dist"]) mkdirSync(join(dir, name));
      for (const [name, script] of Object.entries(stubs)) {
        const fault = `case " $* " in *" $BROKEN "*) exit 1 ;; esac`;
        writeFileSync(join(dir, "bin", name), `#!/bin/sh\n${fault}\n${script}\n`, { mode: 0o755 });
      }
      writeFileSync(join(dir, "package/package.json"), '{"name":"falconry","version":"1.2.3"}');
      assert.equal(spawnSync("tar", ["-czf", "falconry-1.2.3.tgz", "package"], { cwd: dir }).status, 0);
      const { jobs } = parse(read(".github/workflows/release.yml")) as {
        jobs: { publish: { steps: { run?: string }[] } };
      };
      const path = `${join(dir, "bin")}:${dirname(process.execPath)}:${process.env["PATH"]}`;
      const publish = (fault: string) =>
        jobs.publish.steps.every(({ run }) => {
          if (run === undefined) return true;
          const names = { GITHUB_REF_NAME: "v1.2.3", GITHUB_REPOSITORY: "acme/falconry" };
          const env = { ...process.env, ...names, PATH: path, STATE: join(dir, "state"), BROKEN: fault };
          return spawnSync("bash", ["-e", "-c", run], { cwd: dir, env }).status === 0;
        });
      const state = (name: string) =>
        existsSync(join(dir, "state", name)) && readFileSync(join(dir, "state", name), "utf8").trim();
      assert.equal(publish(broken), false);
      assert.notEqual(state("release"), "false", "it is a draft yet");
      for (let again = 0; again < 2; again += 1) {
        assert.equal(publish("nothing"), true);
        assert.deepEqual([state("release"), state("npm")], ["false", "1.2.3"]);
      }
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
}
