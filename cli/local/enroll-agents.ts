import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { TokenService } from "#proto/fleet/v1/token";
import { ClusterHealth } from "#proto/fleet/v1/cluster";
import { programArgs } from "../programs.ts";
import { readClusters } from "./clusters.ts";
import { interrupted } from "../failure.ts";
import { machineOf, part, serverUrl, untilIn } from "./fleet.ts";
import type { Fleet } from "./fleet.ts";
import { metBefore } from "./met-before.ts";
import type { Standing } from "./met-before.ts";
import type { LocalCluster } from "./regions.ts";

const joinTtlSeconds = 600;
const enrollMs = 60_000;
const auditBytesMax = 8 * 1024 * 1024;

/** Starts one agent per cluster, each with a join token of its own, and waits until all are connected. */
export async function enrollAgents(fleet: Fleet): Promise<string> {
  const standings: Standing[] = [];
  for (const cluster of fleet.plan.clusters) standings.push(await startAgent(fleet, cluster));
  await untilIn(fleet, "all agents to connect", enrollMs, async () => {
    const known = await readClusters(fleet);
    const missing = fleet.plan.clusters.filter(({ name }) => !isConnected(known.get(name)));
    return missing.length === 0
      ? { done: true }
      : { seen: `not connected: ${missing.map((c) => c.name).join(", ")} (logs in ${fleet.layout.logs})` };
  });
  const count = (standing: Standing) => standings.filter((each) => each === standing).length;
  const before = count("known") > 0 ? `, ${count("known")} enrolled before` : "";
  const again =
    count("expired") > 0 ? `, ${count("expired")} again, because their certificates had expired` : "";
  return `${standings.length} agents connected, ${count("new")} enrolled now with a token each${before}${again}`;
}

async function startAgent(fleet: Fleet, cluster: LocalCluster): Promise<Standing> {
  const place = fleet.layout.cluster(cluster.name);
  for (const dir of [place.agent, place.output, join(place.dir, "audit")]) {
    mkdirSync(dir, { recursive: true });
  }
  writeFileSync(place.allowFile, JSON.stringify(allowListOf(fleet, cluster.name)));
  const identity = join(place.agent, "identity", "identity.json");
  const standing = metBefore(identity, serverUrl(fleet), Date.now());
  if (standing !== "known") await writeJoinFile(fleet, cluster);
  if (fleet.signal.aborted) throw interrupted("while the agents started");
  machineOf(fleet, cluster.name).agent = fleet.processes.start({
    name: `agent-${cluster.name}`,
    args: programArgs("agent"),
    env: agentEnv(fleet, cluster.name),
    restart: true,
  });
  return standing;
}

/** Starts what writes the audit logs. */
export function startGenerators(fleet: Fleet): string {
  for (const [index, cluster] of fleet.plan.clusters.entries()) {
    machineOf(fleet, cluster.name).generator = fleet.processes.start({
      name: `apiserver-${cluster.name}`,
      args: [...programArgs("generator"), ...generatorArgs(fleet, cluster.name, index)],
      env: {},
      restart: false,
    });
  }
  const what = fleet.plan.auditLog ?? `${fleet.plan.rate} events/s each, with planted threats`;
  return `${fleet.plan.clusters.length} audit logs: ${what}`;
}

function generatorArgs(fleet: Fleet, cluster: string, index: number): string[] {
  const { auditLog, ledger } = fleet.layout.cluster(cluster);
  const common = [
    "--file",
    auditLog,
    "--ledger",
    ledger,
    "--rate",
    String(fleet.plan.rate),
    "--cluster",
    cluster,
  ];
  return fleet.plan.auditLog === undefined
    ? [
        ...common,
        "--seed",
        `${index + 1}-${Date.now()}`,
        "--threat-every",
        fleet.plan.once ? "40" : "200",
        "--max-bytes",
        String(auditBytesMax),
        // A fleet that stays up must not fill the disk; one that proves itself keeps all to compare.
        ...(fleet.plan.once ? [] : ["--backups", "3"]),
      ]
    : [...common, "--replay", fleet.plan.auditLog];
}

async function writeJoinFile(fleet: Fleet, cluster: LocalCluster): Promise<void> {
  const tokens = part(fleet, "connection").client(TokenService);
  const request = { labels: cluster.labels, clusterName: cluster.name, ttlSeconds: joinTtlSeconds, uses: 1 };
  const { joinString } = await tokens.createJoinToken(request);
  writeFileSync(fleet.layout.cluster(cluster.name).joinFile, joinString, { mode: 0o600 });
}

function agentEnv(fleet: Fleet, cluster: string): Record<string, string> {
  const place = fleet.layout.cluster(cluster);
  return {
    FALCONRY_STATE_DIR: place.agent,
    FALCONRY_JOIN_FILE: place.joinFile,
    FALCONRY_CLUSTER: cluster,
    FALCONRY_NODE: "control-plane-1",
    FALCONRY_ALLOW_FILE: place.allowFile,
    FALCONRY_VAR_AUDIT_LOG: place.auditLog,
    FALCONRY_VAR_OUTPUT_DIR: place.output,
    FALCONRY_VAR_SINK_PORT: String(part(fleet, "sink").port),
  };
}

/** What this machine lets a signed config do; on a real node it comes with the agent's installation. */
function allowListOf(fleet: Fleet, cluster: string): object {
  const place = fleet.layout.cluster(cluster);
  return {
    tailDirectories: [join(place.dir, "audit")],
    fileDirectories: [place.output],
    destinations: [{ host: "127.0.0.1", port: part(fleet, "sink").port, tls: "optional" }],
  };
}

function isConnected(
  cluster:
    | { readonly health: ClusterHealth; readonly agentCount: number; readonly lastSeenAt?: unknown }
    | undefined,
): boolean {
  return (
    cluster !== undefined &&
    cluster.agentCount > 0 &&
    cluster.lastSeenAt !== undefined &&
    cluster.health !== ClusterHealth.SILENT
  );
}
