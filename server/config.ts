import { resolve } from "node:path";

import { readTraceSettings, traceSwitch, type TraceSettings } from "#traces";

import { defaultIntakeBounds, type IntakeBounds } from "./domain/alert-intake.ts";
import { parseNetwork, type Network } from "./domain/network.ts";
import type { ApprovalPolicy } from "./domain/people/approval.ts";
import { Failure } from "./failure.ts";
import { defaultLimits, type Limits } from "./limits.ts";

/** What the server is told from outside. Durations are milliseconds. */
export interface Config {
  readonly listenHost: string;
  /** 0 takes any free port. */
  readonly listenPort: number;
  /** Where agents and people reach the fleet; undefined means localhost and the port listened on. */
  readonly publicAddress: { readonly host: string; readonly port: number } | undefined;
  /** Undefined means the embedded Postgres in the state directory. */
  readonly databaseUrl: string | undefined;
  readonly databaseConnectionsMax: number;
  readonly stateDir: string;
  readonly logLevel: LogLevel;
  readonly org: string;
  readonly agentCertificateMs: number;
  readonly serverCertificateMs: number;
  readonly alertRetentionDays: number;
  readonly rateRetentionDays: number;
  readonly alertBounds: IntakeBounds;
  /** How long running calls may take to end after SIGTERM. */
  readonly drainMs: number;
  /** The file that says how people log in by their identity provider; undefined when they do not. */
  readonly oidcFile: string | undefined;
  readonly approvals: ApprovalPolicy;
  /** Private and local networks that notifications may go to. */
  readonly notifyNetworks: readonly Network[];
  /** A file with CAs that notifications trust beside the usual ones; undefined for none. */
  readonly notifyCaFile: string | undefined;
  /** Undefined leaves traces off. */
  readonly traces: TraceSettings | undefined;
  readonly limits: Limits;
}

const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
type LogLevel = (typeof logLevels)[number];

const dayMs = 86_400_000;

type Env = Readonly<Record<string, string | undefined>>;
type Parse<T> = (text: string) => T | { readonly problem: string };

/** Every variable that the server reads, with its default and what it means; for `--help`. */
export const variables: readonly (readonly [name: string, fallback: string, meaning: string])[] = [
  ["FALCONRY_LISTEN", "0.0.0.0:8443", "HOST:PORT to listen on; port 0 takes any free one"],
  ["FALCONRY_PUBLIC_URL", "https://localhost:PORT", "how agents and people reach this server"],
  ["DATABASE_URL", "embedded", "postgres:// URL; without it a Postgres in the state directory is started"],
  ["FALCONRY_DATABASE_CONNECTIONS", "10", "most connections to the database, 2 to 200"],
  ["FALCONRY_STATE_DIR", "./state", "CA, online keys and the embedded database"],
  ["FALCONRY_LOG_LEVEL", "info", logLevels.join(", ")],
  ["FALCONRY_ORG", "default", "the organisation that this fleet belongs to"],
  ["FALCONRY_AGENT_CERTIFICATE_TTL", "24h", "life of an agent's certificate, 1m to 90d"],
  [
    "FALCONRY_SERVER_CERTIFICATE_TTL",
    "30d",
    "life of the server's certificate, 2s to 90d; renewed at half of it",
  ],
  ["FALCONRY_ALERT_RETENTION_DAYS", "30", "days that alerts are kept, 1 to 3650"],
  ["FALCONRY_RATE_RETENTION_DAYS", "14", "days that minute rates are kept, 1 to 3650"],
  [
    "FALCONRY_ALERTS_PER_HOUR",
    `${defaultIntakeBounds.storedPerHourMax}`,
    "alerts of one cluster that are stored in an hour, 100 to 10000000; more are counted and not stored",
  ],
  [
    "FALCONRY_ALERT_GROUPS",
    `${defaultIntakeBounds.groupsMax}`,
    "groups of alerts of one cluster that are kept apart, 10 to 100000",
  ],
  ["FALCONRY_OIDC_FILE", "none", "how people log in by their identity provider: a YAML file"],
  [
    "FALCONRY_APPROVAL_CLUSTERS",
    "none",
    "rollouts to more clusters than this take a second person, 0 to 100000; the same on every server",
  ],
  [
    "FALCONRY_APPROVAL_LABELS",
    "none",
    "KEY=VALUE,...: rollouts to a cluster with one of these labels take a second person; the same on every server",
  ],
  ["FALCONRY_APPROVAL_TTL", "7d", "an approval lapses when its rollout has not begun by then, 1m to 90d"],
  [
    "FALCONRY_NOTIFY_NETWORKS",
    "none",
    "ADDRESS/BITS,...: private or local networks that notifications may go to, also in plain text; the same on every server",
  ],
  ["FALCONRY_NOTIFY_CA_FILE", "none", "PEM file with CAs that notifications trust beside the usual ones"],
  ["FALCONRY_DRAIN_TIMEOUT", "20s", "how long running calls may take to end after SIGTERM, 1s to 10m"],
  ["FALCONRY_CONNECTIONS", `${defaultLimits.connection.max}`, "most open connections, 10 to 1000000"],
  [
    "FALCONRY_NEWCOMERS",
    `${defaultLimits.connection.newcomersMax}`,
    "most connections on which nobody has proved who they are, 10 to 100000",
  ],
  [
    "FALCONRY_NEWCOMERS_PER_ADDRESS",
    `${defaultLimits.connection.newcomersPerAddressMax}`,
    "the same for one address, 1 to 100000; behind a balancer that hides addresses, as FALCONRY_NEWCOMERS",
  ],
  [
    "FALCONRY_CONNECTION_RATE",
    `${defaultLimits.connection.opening.perSecond}`,
    "connections that one address may open per second, and five times that at once, 1 to 100000",
  ],
  [
    "FALCONRY_STREAMS",
    `${defaultLimits.http.streamsMax}`,
    "calls at the same time on one connection, 4 to 1000",
  ],
  [
    "FALCONRY_REQUEST_TIMEOUT",
    "60s",
    "until the body of a call has arrived, 6s to 10m; handshakes, heads and answers get parts of it",
  ],
  [
    "FALCONRY_CALLS_IN_WORK",
    `${defaultLimits.call.inWorkMax}`,
    "calls in work at the same time, 10 to 100000; beyond it agents are told to come back",
  ],
  ["FALCONRY_CALL_RATE_PERCENT", "100", "what callers may do of the rates in docs/limits.md, 1 to 10000"],
  ["FALCONRY_LOADING_TIMEOUT", "2m", "how long loading what a push or a plan holds may take, 1s to 1h"],
  [
    traceSwitch,
    "off",
    "otlp sends traces to OTEL_EXPORTER_OTLP_ENDPOINT, http://localhost:4318 if that is not set; docs/traces.md",
  ],
];

/** Reads the environment. Lists every problem at once, with exit code 2. */
export function readConfig(env: Env): Config {
  const problems: string[] = [];
  const fallbacks = new Map(variables.map(([name, fallback]) => [name, fallback]));
  function read<T>(name: string, parse: Parse<T>): T {
    const text = env[name] ?? "";
    const given = text === "" ? (fallbacks.get(name) ?? "") : text;
    const parsed = parse(given);
    if (typeof parsed === "object" && parsed !== null && "problem" in parsed) {
      // A database URL holds a password, so it is never repeated.
      const shown = name === "DATABASE_URL" ? "the value" : `"${given.slice(0, 120)}"`;
      problems.push(`${name}: ${shown} ${parsed.problem}`);
      return undefined as T;
    }
    return parsed;
  }
  const listen = read("FALCONRY_LISTEN", parseListen);
  const config: Config = {
    listenHost: listen?.host,
    listenPort: listen?.port,
    publicAddress: env["FALCONRY_PUBLIC_URL"] ? read("FALCONRY_PUBLIC_URL", parsePublicUrl) : undefined,
    databaseUrl: env["DATABASE_URL"] ? read("DATABASE_URL", parseDatabaseUrl) : undefined,
    databaseConnectionsMax: read("FALCONRY_DATABASE_CONNECTIONS", wholeNumber(2, 200)),
    stateDir: read("FALCONRY_STATE_DIR", (text) => resolve(text)),
    logLevel: read("FALCONRY_LOG_LEVEL", parseLogLevel),
    org: read("FALCONRY_ORG", parseOrg),
    agentCertificateMs: read("FALCONRY_AGENT_CERTIFICATE_TTL", duration(60_000, 90 * dayMs)),
    serverCertificateMs: read("FALCONRY_SERVER_CERTIFICATE_TTL", duration(2_000, 90 * dayMs)),
    alertRetentionDays: read("FALCONRY_ALERT_RETENTION_DAYS", wholeNumber(1, 3650)),
    rateRetentionDays: read("FALCONRY_RATE_RETENTION_DAYS", wholeNumber(1, 3650)),
    alertBounds: {
      storedPerHourMax: read("FALCONRY_ALERTS_PER_HOUR", wholeNumber(100, 10_000_000)),
      groupsMax: read("FALCONRY_ALERT_GROUPS", wholeNumber(10, 100_000)),
    },
    oidcFile: env["FALCONRY_OIDC_FILE"] ? resolve(env["FALCONRY_OIDC_FILE"]) : undefined,
    drainMs: read("FALCONRY_DRAIN_TIMEOUT", duration(1_000, 600_000)),
    approvals: readApprovals(env, read),
    notifyNetworks: env["FALCONRY_NOTIFY_NETWORKS"] ? read("FALCONRY_NOTIFY_NETWORKS", parseNetworks) : [],
    notifyCaFile: env["FALCONRY_NOTIFY_CA_FILE"] ? resolve(env["FALCONRY_NOTIFY_CA_FILE"]) : undefined,
    traces: readTraces(env, problems),
    limits: readLimits(read),
  };
  if (problems.length > 0) throw new Failure(`The configuration is wrong:\n  ${problems.join("\n  ")}`, 2);
  return config;
}

function readTraces(env: Env, problems: string[]): TraceSettings | undefined {
  const traces = readTraceSettings(env, "falconry-server");
  if (traces.ok) return traces.settings;
  problems.push(...traces.problems);
  return undefined;
}

/** Which rollouts take a second person. */
function readApprovals(env: Env, read: <T>(name: string, parse: Parse<T>) => T): ApprovalPolicy {
  const clustersMax = env["FALCONRY_APPROVAL_CLUSTERS"]
    ? read("FALCONRY_APPROVAL_CLUSTERS", wholeNumber(0, 100_000))
    : undefined;
  return {
    ...(clustersMax === undefined ? {} : { clustersMax }),
    labels: env["FALCONRY_APPROVAL_LABELS"] ? read("FALCONRY_APPROVAL_LABELS", parseLabelPairs) : [],
    lifeMs: read("FALCONRY_APPROVAL_TTL", duration(60_000, 90 * dayMs)),
  };
}

const parseLabelPairs: Parse<ApprovalPolicy["labels"]> = (text) => {
  const pairs = text.split(",").map((part) => /^\s*([\w./-]{1,316})=([\w.-]{1,63})\s*$/.exec(part));
  const bad = { problem: "is no list of KEY=VALUE with commas, for example environment=prod,tier=critical" };
  if (pairs.length > 64 || pairs.some((pair) => pair === null)) return bad;
  return pairs.map((pair) => ({ key: pair?.[1] ?? "", value: pair?.[2] ?? "" }));
};

const parseNetworks: Parse<readonly Network[]> = (text) => {
  const networks = text.split(",").map((part) => parseNetwork(part.trim()));
  const good = networks.filter((network) => network !== undefined);
  if (good.length === networks.length && good.length <= 64) return good;
  return { problem: "is no list of ADDRESS/BITS with commas, for example 10.20.0.0/16,127.0.0.1/32" };
};

/** What an operator may change of the limits, laid over the rest. */
function readLimits(read: <T>(name: string, parse: Parse<T>) => T): Limits {
  const { connection, http, call, loading } = defaultLimits;
  const requestMs = read("FALCONRY_REQUEST_TIMEOUT", duration(6_000, 600_000));
  const perSecond = read("FALCONRY_CONNECTION_RATE", wholeNumber(1, 100_000));
  return {
    connection: {
      ...connection,
      max: read("FALCONRY_CONNECTIONS", wholeNumber(10, 1_000_000)),
      newcomersMax: read("FALCONRY_NEWCOMERS", wholeNumber(10, 100_000)),
      newcomersPerAddressMax: read("FALCONRY_NEWCOMERS_PER_ADDRESS", wholeNumber(1, 100_000)),
      opening: { perSecond, burst: 5 * perSecond },
      handshakeMs: requestMs / 6,
      proveMs: requestMs / 4,
    },
    http: {
      ...http,
      streamsMax: read("FALCONRY_STREAMS", wholeNumber(4, 1_000)),
      requestMs,
      headersMs: requestMs / 6,
      stallMs: requestMs / 2,
    },
    call: {
      ...call,
      inWorkMax: read("FALCONRY_CALLS_IN_WORK", wholeNumber(10, 100_000)),
      ratePercent: read("FALCONRY_CALL_RATE_PERCENT", wholeNumber(1, 10_000)),
    },
    loading: { ...loading, workMs: read("FALCONRY_LOADING_TIMEOUT", duration(1_000, 3_600_000)) },
  };
}

const parseListen: Parse<{ host: string; port: number }> = (text) => {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:\s]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || port > 65_535) return { problem: "is no HOST:PORT, for example 0.0.0.0:8443" };
  return { host, port };
};

const parsePublicUrl: Parse<{ host: string; port: number }> = (text) => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "https:" || url.pathname !== "/" || url.search !== "" || url.username !== "") {
    return {
      problem: "is no https URL of only a host and a port, for example https://falconry.example:8443",
    };
  }
  // An IPv6 address stands in brackets in a URL, and nowhere else.
  return { host: url.hostname.replace(/^\[|\]$/g, ""), port: url.port === "" ? 443 : Number(url.port) };
};

const parseDatabaseUrl: Parse<string> = (text) => {
  // A local socket has no host: postgresql://user@/name?host=/run/postgresql. A host stands in, only for the check.
  const whole = text.replace("@/", "@localhost/");
  return /^postgres(ql)?:\/\//.test(text) && URL.canParse(whole)
    ? text
    : { problem: "is no postgres:// URL" };
};

const parseLogLevel: Parse<LogLevel> = (text) =>
  logLevels.find((level) => level === text) ?? { problem: `is none of ${logLevels.join(", ")}` };

const parseOrg: Parse<string> = (text) =>
  /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text)
    ? text
    : { problem: "is no name of 1 to 63 lower-case letters, digits and dashes" };

function wholeNumber(min: number, max: number): Parse<number> {
  return (text) => {
    const value = Number(text);
    if (/^\d{1,9}$/.test(text) && value >= min && value <= max) return value;
    return { problem: `is no whole number from ${min} to ${max}` };
  };
}

/** A duration like 90s, 15m, 24h or 30d, within bounds in milliseconds. */
export function duration(minMs: number, maxMs: number): Parse<number> {
  const unitMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: dayMs };
  return (text) => {
    const match = /^(\d{1,6})([smhd])$/.exec(text);
    const ms = Number(match?.[1]) * (unitMs[match?.[2] ?? ""] ?? Number.NaN);
    if (ms >= minMs && ms <= maxMs) return ms;
    return {
      problem: `is no duration from ${minMs / 1000}s to ${maxMs / 1000}s: a number and s, m, h or d, for example 24h`,
    };
  };
}
