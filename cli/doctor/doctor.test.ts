import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { V1Pod } from "@kubernetes/client-node";
import { AlertSchema } from "#proto/fleet/v1/alert";
import {
  AgentSchema,
  AssignmentSchema,
  ConditionSchema,
  RatesSchema,
  RunningSchema,
} from "#proto/fleet/v1/cluster";
import { BundleKind } from "#proto/fleet/v1/common";
import { serveFleet } from "../../test/support/fake-fleet.ts";
import {
  startCluster,
  type ClusterOptions,
  type FakeCluster,
} from "../../test/support/kubernetes/cluster.ts";
import { runCli, useContext } from "../../test/support/run-cli.ts";
import { judgeApiServers } from "./api-servers.ts";
import { hopsOf, latencyLines, timesOf } from "./hops.ts";

const command = ["cluster", "doctor", "eu-1", "--context", "fake"];

/** A cluster that is well, as far as its agents say. */
async function world(t: TestContext, options: ClusterOptions = {}) {
  const { fleet, context } = await serveFleet(t);
  await useContext(t, context);
  const cluster = await startCluster(t, options);
  const known = fleet.addCluster("eu-1", { region: "eu" });
  known.uid = cluster.find("Namespace", "", "kube-system")?.metadata.uid ?? "";
  const { controlPlane = ["cp-1"] } = options;
  known.agents = controlPlane.map((name) => create(AgentSchema, { name, transport: "stream" }));
  const rules = fleet.addBundle(BundleKind.RULES, "starter", "1.0.0");
  const shipper = fleet.addBundle(BundleKind.SHIPPER, "audit", "1.0.0");
  known.assignment = create(AssignmentSchema, { generation: 1n, rules, shipper });
  known.running = [rules, shipper].map((bundle) => create(RunningSchema, { bundle }));
  known.rates = create(RatesSchema, { events: 600n, lagMs: 40n, seconds: 60 });
  return { fleet, cluster, known };
}

test("doctor sends a canary that is only read, finds the alert about it, and says how long each hop took", async (t) => {
  const { fleet, cluster, known } = await world(t);
  const raise = (auditId: string) => {
    const nowMs = Date.now();
    fleet.raise(
      create(AlertSchema, {
        rule: "Canary Request",
        priority: "Notice",
        clusterName: "eu-1",
        auditId,
        time: timestampFromMs(nowMs),
        receivedAt: timestampFromMs(nowMs + 40),
      }),
    );
  };
  const answered = new Set<string>();
  const onTalk = (all: string) => {
    const auditId = /canary answered .*404 .*audit id (\S+)/.exec(all)?.[1];
    if (auditId === undefined || answered.has(auditId)) return;
    answered.add(auditId);
    raise("another-request");
    raise(auditId);
  };
  const { code, out, talk } = await runCli([...command, "-o", "json"], { onTalk });
  assert.equal(code, 0, talk);
  const { auditId, hops } = JSON.parse(out) as { auditId: string; hops: Record<string, number> };
  assert.deepEqual([...answered], [auditId]);
  assert.equal(hops["deliveredMs"], 40);
  assert.match(talk, /agent read it, rule matched, delivered +40 ms/);
  const asked = cluster.api.requests.filter((line) => line.includes("falconry-canary-"));
  assert.deepEqual(
    asked.map((line) => line.replace(/-[0-9a-f]{12}/, "-X")),
    ["GET /api/v1/namespaces/falconry/configmaps/falconry-canary-X"],
  );
  known.agents[0]?.conditions.push(
    create(ConditionSchema, { code: "output/away es", message: "it is away" }),
  );
  await runCli(["cluster", "trust-issuer", "eu-1", "--context", "fake", "--region", "eu"]);
  const ill = await runCli([...command, "--wait", "1s"]);
  assert.match(ill.talk, /warn condition +cp-1: output\/away es: it is away/);
  assert.doesNotMatch(ill.talk, /warn keys/);
  // As after a replacement of the keys.
  const [trusted] = fleet.issuers.all;
  if (trusted !== undefined) trusted.keysDigest = "sha256:of-before";
  const replaced = await runCli([...command, "--wait", "1s"]);
  assert.match(
    replaced.talk,
    /warn keys +The cluster signs by other keys than is_0 was registered with.*trust-issuer eu-1/,
  );
});

test("doctor names the hop that fails, and what to do about it", async (t) => {
  const { known, fleet, cluster } = await world(t);
  const failing = async (...more: readonly string[]) => {
    const { code, talk } = await runCli([...command, "--wait", "1s", ...more]);
    assert.equal(code, 1, talk);
    return talk;
  };
  assert.match(
    await failing(),
    /FAIL alert with the server .*agents read 600 events in a minute.*\n[^]*try: Is "Canary Request" in the rules\?[^]*try: Does the audit policy write reads/,
  );
  known.rates = create(RatesSchema, { events: 0n, seconds: 60 });
  assert.match(await failing(), /read no event in the last minute[^]*try: On the node: tail -n 1 FILE/);
  known.running = [];
  assert.match(await failing(), /FAIL bundles proved .*not proved yet: starter@1\.0\.0, audit@1\.0\.0/);
  known.assignment = create(AssignmentSchema, { generation: 1n });
  assert.match(
    await failing(),
    /No shipper and no rules bundle is assigned[^]*try: fleetctl rollout shipper --cluster eu-1/,
  );
  cluster.addControlPlane("cp-2");
  assert.match(
    await failing("--namespace", "watchers"),
    /FAIL agents connected .*cp-2: not connected[^]*try: kubectl --context fake -n watchers get pods[^]*try: fleetctl cluster onboard eu-1/,
  );
  known.uid = "another";
  assert.match(await failing(), /leads to another cluster than "eu-1"/);
  fleet.clusters.length = 0;
  assert.match(await failing(), /knows no cluster "eu-1"[^]*try: fleetctl cluster onboard eu-1/);
  assert.deepEqual(
    cluster.api.requests.filter((line) => !line.startsWith("GET ")),
    [],
  );
});

/** Gives the kube-apiserver of a node other flags, as its manifest would. */
function reflag(cluster: FakeCluster, node: string, change: (words: readonly string[]) => string[]): void {
  const found = cluster.find("Pod", "kube-system", `kube-apiserver-${node}`);
  const pod = structuredClone(found) as unknown as V1Pod;
  const [container] = pod.spec?.containers ?? [];
  assert.ok(container);
  container.command = change(container.command ?? []);
  cluster.put(pod);
}

test("doctor names the kube-apiservers that write something else than the others, because a canary is answered by one alone", async (t) => {
  const seen = { pods: true };
  const { cluster } = await world(t, {
    controlPlane: ["cp-1", "cp-2", "cp-3"],
    allows: ({ resource, namespace }) => seen.pods || resource !== "pods" || namespace !== "kube-system",
  });
  const look = async () => (await runCli([...command, "--wait", "1s"])).talk;
  const file = "/var/log/kubernetes/audit/audit.log";
  assert.match(
    await look(),
    new RegExp(
      `ok   audit logs .*kube-apiserver-cp-1, kube-apiserver-cp-2, kube-apiserver-cp-3: writes ${file}\n`,
    ),
  );
  const others = (words: readonly string[], ...flags: readonly string[]) => [
    ...words.filter((word) => !flags.some((flag) => word.startsWith(flag.replace(/=.*/, "=")))),
    ...flags,
  ];
  reflag(cluster, "cp-2", (words) => others(words, "--audit-policy-file=/etc/other.yaml"));
  assert.match(
    await look(),
    /warn audit logs .*--audit-policy-file differs: kube-apiserver-cp-1, kube-apiserver-cp-3: \/etc\/kubernetes\/audit.yaml, kube-apiserver-cp-2: \/etc\/other.yaml\nok   bundles proved/,
  );
  reflag(cluster, "cp-3", (words) => words.filter((word) => !word.startsWith("--audit-log-path")));
  const blind = await look();
  assert.match(
    blind,
    new RegExp(
      `FAIL audit logs .*kube-apiserver-cp-1, kube-apiserver-cp-2: writes ${file}; kube-apiserver-cp-3: kube-apiserver runs without --audit-log-path`,
    ),
  );
  assert.match(blind, new RegExp(`try: On cp-3, as root: fleetctl cluster audit-setup --log-path ${file} `));
  assert.doesNotMatch(blind, /canary answered/);
  reflag(cluster, "cp-3", (words) => others(words, `--audit-log-path=${file}`, "--audit-log-format=legacy"));
  assert.match(await look(), new RegExp(`FAIL audit logs .*kube-apiserver-cp-3: writes ${file} as legacy`));
  seen.pods = false;
  assert.match(
    await look(),
    /warn audit logs .*may not list pods in namespace kube-system: the canary speaks for the one kube-apiserver that answers it[^]*canary answered/,
  );
});

const auditFile = "/var/log/audit/audit.log";
const writing = (path: string, ...flags: readonly string[]) => [
  "--audit-policy-file=/etc/audit.yaml",
  `--audit-log-path=${path}`,
  ...flags,
];

/** What doctor advises where the kube-apiservers of cp-1, cp-2 and so on have these flags. */
function adviceOn(...flags: readonly (readonly string[])[]): string {
  const pods = flags.map((words, i): V1Pod => ({
    metadata: { name: `kube-apiserver-cp-${i + 1}` },
    spec: {
      nodeName: `cp-${i + 1}`,
      containers: [
        {
          name: "kube-apiserver",
          command: ["kube-apiserver", ...words],
          volumeMounts: [{ name: "logs", mountPath: "/var/log" }],
        },
      ],
      volumes: [{ name: "logs", hostPath: { path: "/var/log" } }],
    },
  }));
  const verdict = judgeApiServers(
    pods,
    pods.map(({ spec }) => spec?.nodeName ?? ""),
  );
  assert.ok(!verdict.ok);
  return verdict.next.join("\n");
}

test("doctor sends nobody to the one kube-apiserver that writes its log, when most of the others or as many write none", () => {
  const setUp = (hosts: string) =>
    `On ${hosts}, as root: fleetctl cluster audit-setup --log-path ${auditFile} `;
  const mostAreBlind = adviceOn([], [], writing(auditFile));
  assert.ok(mostAreBlind.startsWith(setUp("cp-1, cp-2")), mostAreBlind);
  const asMany = adviceOn([], writing(auditFile));
  assert.ok(asMany.startsWith(setUp("cp-1")), asMany);
  assert.doesNotMatch(asMany, /cp-2/);
  const another = adviceOn(writing("/var/log/b.log"), writing(auditFile), writing(auditFile), []);
  assert.ok(another.startsWith(setUp("cp-1, cp-4")) || another.startsWith(setUp("cp-4, cp-1")), another);
  const undecided = adviceOn(writing("/var/log/b.log"), writing(auditFile), []);
  assert.match(undecided, /^As many write one as another: decide which of \S+, \S+ it is to be\n/);
  assert.match(undecided, /another one or none, as root: .* --log-path FILE /);
});

test("doctor says to take a format out that agents cannot read, which setting the log up anew would not do", () => {
  const old = "--audit-log-format=legacy";
  const remove = (hosts: string) => `On ${hosts}, as root: remove ${old} from the manifest`;
  const mostAreOld = adviceOn(writing(auditFile, old), writing(auditFile, old), writing(auditFile));
  assert.ok(mostAreOld.startsWith(remove("cp-1, cp-2")), mostAreOld);
  assert.doesNotMatch(mostAreOld, /audit-setup|cp-3/);
  const both = adviceOn(writing("/var/log/b.log", old), writing(auditFile), []);
  assert.match(
    both,
    new RegExp(`On cp-1, cp-3, .*audit-setup --log-path ${auditFile} [^]*On cp-1, .*remove ${old}`),
  );
  assert.match(
    adviceOn(writing(auditFile, old), []),
    /On cp-2, .*audit-setup {3}[^]*On cp-1, .*remove --audit/,
  );
});

test("clocks that are apart are told, so that nobody takes them for a slow hop", () => {
  const times = {
    sentMs: 100_000,
    answeredMs: 100_020,
    seenMs: 101_000,
    writtenMs: 40_000,
    receivedMs: 100_500,
  };
  assert.match(latencyLines(times).join("\n"), /clock is 60 s behind this machine's/);
  assert.doesNotMatch(latencyLines({ ...times, writtenMs: 100_010 }).join("\n"), /clock is/);
});

test("each hop has its own time where the agent says when it read, matched and sent; a clock that is behind makes one negative", () => {
  const agent = { readMs: 100_150, matchedMs: 100_152, sentMs: 100_260 };
  const alert = create(AlertSchema, {
    time: timestampFromMs(100_010),
    receivedAt: timestampFromMs(100_240),
    body: JSON.stringify({ rule: "Canary Request", falconry_hops: agent }),
  });
  const here = { sentMs: 100_000, answeredMs: 100_020, seenMs: 101_000 };
  const times = timesOf(alert, here);
  const lines = latencyLines(times).join("\n");
  assert.match(lines, /agent read it +140 ms later, by kube-apiserver's clock and the agent's/);
  assert.match(lines, /rule matched +2 ms later, by the agent's clock/);
  assert.match(lines, /agent sent the alert +108 ms later/);
  assert.match(lines, /server stored it +-20 ms later, by the agent's clock and the server's/);
  const { readMs, matchedMs, dispatchedMs, storedMs, deliveredMs } = hopsOf(times);
  assert.deepEqual([readMs, matchedMs, dispatchedMs, storedMs], [140, 2, 108, -20]);
  assert.equal(deliveredMs, 230);
  for (const body of ["no JSON", "null", '{"falconry_hops":{"readMs":"1"}}', '{"falconry_hops":3}']) {
    const other = timesOf(create(AlertSchema, { ...alert, body }), here);
    assert.match(latencyLines(other).join("\n"), /agent read it, rule matched, delivered +230 ms/);
  }
});
