import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { readTraceSettings } from "#traces";
import type { TraceSettings } from "#traces";
import { readDriverSettings } from "./drivers/settings.ts";
import type { DriverSettings } from "./drivers/settings.ts";
import type { KubeAccess } from "./respond/kube.ts";

/** How an agent is told what it is. Every value comes from the environment; nothing secret comes from the command line. */
export interface Config {
  /** Where identity, trust, bundles, checkpoints and queues live. */
  readonly stateDir: string;
  /** Needed for the first start, and for an agent that is not known any more. */
  readonly joinString: string | undefined;
  /** Reads it again: a new one may have been put into the file. */
  readonly readJoinString: () => string | undefined;
  /** A service-account token by which the cluster vouches for this agent; then the join string has no token. */
  readonly serviceAccountTokenFile: string | undefined;
  readonly clusterName: string | undefined;
  readonly clusterUid: string | undefined;
  /** Unique within the cluster: the node's name. */
  readonly agentName: string;
  readonly transport: "auto" | "stream" | "long-poll";
  /** What `${NAME}` in a shipper config may stand for, besides the cluster's own facts. */
  readonly variables: Readonly<Record<string, string>>;
  /** The local allow-list, a JSON file; nothing is allowed without it. */
  readonly allowListFile: string | undefined;
  /** How responses reach kube-apiserver; only where they were asked for when the cluster was onboarded. */
  readonly kube: KubeAccess | undefined;
  readonly logLevel: string;
  /** How long a bundle runs under watch before it is last-known-good. */
  readonly soakMs: number;
  /** Which programs run bundles; the agent itself where none is named. */
  readonly drivers: DriverSettings;
  /** Undefined leaves traces off. */
  readonly traces: TraceSettings | undefined;
}

const names = {
  stateDir: "FALCONRY_STATE_DIR",
  joinString: "FALCONRY_JOIN",
  joinFile: "FALCONRY_JOIN_FILE",
  serviceAccountTokenFile: "FALCONRY_SERVICE_ACCOUNT_TOKEN_FILE",
  clusterName: "FALCONRY_CLUSTER",
  clusterUid: "FALCONRY_CLUSTER_UID",
  agentName: "FALCONRY_NODE",
  transport: "FALCONRY_TRANSPORT",
  allowListFile: "FALCONRY_ALLOW_FILE",
  kubeDir: "FALCONRY_KUBE_DIR",
  kubeUrl: "FALCONRY_KUBE_URL",
  logLevel: "FALCONRY_LOG_LEVEL",
  soakSeconds: "FALCONRY_SOAK_SECONDS",
} as const;
const logLevels: readonly string[] = ["trace", "debug", "info", "warn", "error", "fatal", "silent"];
const variablePrefix = "FALCONRY_VAR_";

/** Reads the configuration, or says everything that is wrong with it at once. */
export function readConfig(env: NodeJS.ProcessEnv): { config: Config } | { problems: readonly string[] } {
  const problems: string[] = [];
  const stateDir = env[names.stateDir];
  if (stateDir === undefined || stateDir === "") {
    problems.push(
      `${names.stateDir} is not set: give a directory that survives restarts, for example /var/lib/falconry-agent`,
    );
  }
  const transport = env[names.transport] ?? "auto";
  if (transport !== "auto" && transport !== "stream" && transport !== "long-poll") {
    problems.push(`${names.transport} is "${transport}": use auto, stream or long-poll`);
  }
  const agentName = env[names.agentName] ?? hostname();
  if (!/^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(agentName)) {
    problems.push(`${names.agentName} is "${agentName}": use letters, digits, dots and dashes, at most 253`);
  }
  const logLevel = env[names.logLevel] ?? "info";
  if (!logLevels.includes(logLevel)) {
    problems.push(`${names.logLevel} is "${logLevel}": use one of ${logLevels.join(", ")}`);
  }
  const soakSeconds = env[names.soakSeconds] ?? "300";
  if (!/^\d{1,5}$/.test(soakSeconds) || Number(soakSeconds) > 86_400) {
    problems.push(`${names.soakSeconds} is "${soakSeconds}": use seconds, 0 to 86400`);
  }
  const drivers = readDriverSettings(env, problems);
  const kube = readKube(env, problems);
  const joinString = readJoinString(env, problems);
  const traces = readTraceSettings(env, "falconry-agent");
  if (!traces.ok) problems.push(...traces.problems);
  if (problems.length > 0) return { problems };
  return {
    config: {
      stateDir: resolve(stateDir ?? "."),
      joinString,
      readJoinString: () => readJoinString(env, []),
      serviceAccountTokenFile: env[names.serviceAccountTokenFile],
      clusterName: env[names.clusterName],
      clusterUid: env[names.clusterUid],
      agentName,
      transport: transport as Config["transport"],
      variables: variablesOf(env),
      allowListFile: env[names.allowListFile],
      kube,
      logLevel,
      soakMs: Number(soakSeconds) * 1000,
      drivers,
      traces: traces.ok ? traces.settings : undefined,
    },
  };
}

function readKube(env: NodeJS.ProcessEnv, problems: string[]): KubeAccess | undefined {
  const dir = env[names.kubeDir];
  if (dir === undefined || dir === "") return undefined;
  const url = env[names.kubeUrl] ?? "https://kubernetes.default.svc";
  if (!/^https:\/\/[^/@\s]+$/.test(url)) problems.push(`${names.kubeUrl} is "${url}": use https://HOST:PORT`);
  return { dir, url };
}

function readJoinString(env: NodeJS.ProcessEnv, problems: string[]): string | undefined {
  const file = env[names.joinFile];
  if (file === undefined) return env[names.joinString];
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    // After enrolment the file is not needed any more, and a Secret may have been deleted for good reason.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    problems.push(`${names.joinFile} ${file} cannot be read: ${(error as Error).message}`);
    return undefined;
  }
}

function variablesOf(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([key, value]) =>
      key.startsWith(variablePrefix) && value !== undefined
        ? [[key.slice(variablePrefix.length), value]]
        : [],
    ),
  );
}

/** The files of an agent's state directory. */
export function pathsOf(stateDir: string) {
  return {
    identity: join(stateDir, "identity", "identity.json"),
    pendingKey: join(stateDir, "identity", "pending-key.json"),
    clusterUid: join(stateDir, "identity", "cluster-uid"),
    starts: join(stateDir, "identity", "starts"),
    trusted: join(stateDir, "trust", "trusted.json"),
    auditHead: join(stateDir, "trust", "audit-heads.json"),
    current: join(stateDir, "current.json"),
    logTail: join(stateDir, "trial.log"),
    bundles: join(stateDir, "bundles"),
    candidates: join(stateDir, "candidates"),
    backtests: join(stateDir, "backtests"),
    backtestStarts: join(stateDir, "backtest-starts.json"),
    pipeline: join(stateDir, "pipeline"),
    drivers: join(stateDir, "drivers"),
    responses: join(stateDir, "responses.json"),
    lock: join(stateDir, "agent.pid"),
  } as const;
}
