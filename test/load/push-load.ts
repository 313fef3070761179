import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { EnrollmentService } from "#proto/agent/v1/enrollment";
import { BundleKind } from "#proto/fleet/v1/common";
import { RolloutService, RolloutState } from "#proto/fleet/v1/rollout";
import { TokenService } from "#proto/fleet/v1/token";
import { certificateToPem, createCsr, generatePrivateKey, parseJoinString } from "#trust";
import { bringUpServer } from "../../cli/local/bring-up.ts";
import { part } from "../../cli/local/fleet.ts";
import type { Fleet } from "../../cli/local/fleet.ts";
import { layoutOf } from "../../cli/local/layout.ts";
import { Processes } from "../../cli/local/processes.ts";
import { shutDown } from "../../cli/local/shut-down.ts";
import { createSteps } from "../../cli/local/steps.ts";
import { until } from "../../cli/local/until.ts";
import { freePorts } from "../support/free-ports.ts";
import { startSimAgent } from "../support/sim-agent.ts";
import type { SimAgent, SimIdentity } from "../support/sim-agent.ts";
import { median, percentile, rounded } from "./figures.ts";

/**
 * Time from "start this rollout" to the proof of each of N simulated agents on one server: real mTLS, real signatures,
 * real Postgres. The baseline is N empty answers of the same server over the same kind of connection.
 */
export async function measurePush(agents: number, rounds: number): Promise<object> {
  const root = mkdtempSync(join(tmpdir(), "falconry-bench-"));
  process.env["FLEETCTL_CONFIG"] = join(root, "contexts.json");
  const layout = layoutOf(join(root, "state"));
  const plan = { clusters: [], port: await freePorts(), auditLog: undefined, rate: 1, once: true };
  const fleet: Fleet = {
    layout,
    plan,
    machines: new Map(),
    processes: new Processes(layout.processes, layout.logs),
    signal: new AbortController().signal,
  };
  const sims: SimAgent[] = [];
  try {
    await bringUpServer(fleet, createSteps({ talk: (line) => process.stderr.write(line) }));
    const rssBefore = serverRssMiB(fleet);
    for (const identity of await enrollMany(fleet, agents)) sims.push(startSimAgent(identity));
    await Promise.all(sims.map((sim) => sim.connected));
    const pushes: number[] = [];
    const lasts: number[] = [];
    const baselines: number[] = [];
    // The first round warms both sides up and is not counted.
    for (let round = 0; round <= rounds; round += 1) {
      const baseline = await emptyCalls(fleet, agents);
      const times = await push(fleet, round % 2 === 0);
      if (round === 0) continue;
      baselines.push(baseline);
      pushes.push(...times);
      lasts.push(Math.max(...times));
    }
    return {
      agents,
      pushToProvedMs: {
        p50: Math.round(median(pushes)),
        p99: Math.round(percentile(pushes, 0.99)),
        lastMedian: Math.round(median(lasts)),
      },
      baselineEmptyCallsMs: Math.round(median(baselines)),
      ratioLastToBaseline: rounded(median(lasts) / median(baselines), 1),
      serverRssMiB: { before: rssBefore, withAgents: serverRssMiB(fleet) },
      simulatorRssMiB: Math.round(process.memoryUsage().rss / 2 ** 20),
    };
  } finally {
    await Promise.all(sims.map((sim) => sim.stop()));
    await shutDown(fleet, true);
    rmSync(root, { recursive: true, force: true });
  }
}

async function enrollMany(fleet: Fleet, count: number): Promise<readonly SimIdentity[]> {
  const tokens = part(fleet, "connection").client(TokenService);
  const { joinString } = await tokens.createJoinToken({
    labels: { region: "bench" },
    ttlSeconds: 600,
    uses: count,
  });
  const join = parseJoinString(joinString);
  if (!join.ok) throw new Error(join.refusal.message);
  const baseUrl = `https://${join.value.host}:${join.value.port}`;
  const ca = readFileSync(`${fleet.layout.server}/ca/ca.crt`, "utf8");
  const client = createClient(
    EnrollmentService,
    createConnectTransport({ baseUrl, httpVersion: "1.1", nodeOptions: { ca } }),
  );
  const token = `${join.value.tokenId}.${join.value.secret}`;
  const identities: SimIdentity[] = [];
  for (let i = 0; i < count; i += 1) {
    const key = generatePrivateKey();
    const clusterUid = `bench-${i}`;
    const csr = Uint8Array.from(await createCsr(key));
    const answer = await client.enroll({
      token,
      clusterName: `bench-${i}`,
      clusterUid,
      agentName: "node-1",
      agentVersion: "simulated",
      csr,
    });
    const { org, clusterId, agentId, labels, root } = answer;
    const cert = answer.certificateChain.map((der) => certificateToPem(der)).join("\n");
    identities.push({ org, clusterId, agentId, clusterUid, labels, root, baseUrl, ca, cert, key });
  }
  return identities;
}

/** Rolls one of two bundles out to everybody in one wave; the milliseconds from the call to each cluster's proof. */
async function push(fleet: Fleet, isFirst: boolean): Promise<readonly number[]> {
  const { names } = part(fleet, "bundles");
  const client = part(fleet, "connection").client(RolloutService);
  const startedMs = Date.now();
  const spec = {
    kind: BundleKind.RULES,
    bundle: isFirst ? names.rulesBefore : names.rulesAfter,
    canary: 10_000,
  };
  const { rollout } = await client.startRollout({ spec });
  const id = rollout?.id ?? "";
  return until(`the rollout ${id} to succeed`, 120_000, async () => {
    const { rollout: now } = await client.getRollout({ rolloutId: id });
    if (now?.state !== RolloutState.SUCCEEDED) return { seen: now?.because ?? "no rollout" };
    const proofs = now.waves
      .flatMap((wave) => wave.clusters)
      .map((c) => (c.provedAt === undefined ? 0 : timestampMs(c.provedAt)));
    return { done: proofs.map((ms) => ms - startedMs) };
  });
}

/** Milliseconds for as many empty calls as there are agents, sixteen at a time. */
async function emptyCalls(fleet: Fleet, count: number): Promise<number> {
  const client = part(fleet, "connection").client(RolloutService);
  // A connection that was idle is checked by the first call; those behind it must not wait for that.
  await client.listRollouts({ pageSize: 1 });
  const startedAt = performance.now();
  let next = 0;
  const caller = async () => {
    for (; next < count; next += 1) await client.listRollouts({ pageSize: 1 });
  };
  await Promise.all(Array.from({ length: 16 }, caller));
  return performance.now() - startedAt;
}

function serverRssMiB(fleet: Fleet): number {
  const status = readFileSync(`/proc/${fleet.server?.pid()}/status`, "utf8");
  return Math.round(Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? "0") / 1024);
}
