import { bundleBytesMax } from "#trust";

import type { Rate } from "./domain/token-bucket.ts";

const kibibyte = 1024;
const mebibyte = 1024 * kibibyte;

/** Bytes of one message by service, also after unpacking; what is larger is refused before it is parsed. */
export const messageBytesMax = {
  /** Agents send at most 640 KiB of alerts at once, and less of everything else. */
  agent: mebibyte,
  /** The one call that strangers may make: a certificate request and some labels. */
  enrollment: 64 * kibibyte,
  /** Bundles of at most 16 MiB together, and the metadata beside them. */
  bundle: bundleBytesMax + mebibyte,
  operator: mebibyte,
} as const;

/**
 * Every bound of the server's door in one place, with its unit in its name and its reason beside it. docs/limits.md lists
 * them for operators; what an operator may have to change is read by config.ts and laid over these.
 */
export interface Limits {
  readonly connection: ConnectionLimits;
  readonly http: HttpLimits;
  readonly call: CallLimits;
  readonly loading: LoadingLimits;
}

/** What loading the contents of bundles may cost; it happens in two threads, one for pushes and one for what is stored. */
export interface LoadingLimits {
  /** Pieces of work that wait for one of the threads. A push that waits holds up to 17 MiB. */
  readonly waitingMax: number;
  /** A bundle with 200 choices of layers takes 20 s where each loads in a tenth of a second; one that was made to, hours. */
  readonly workMs: number;
  /** MiB of the heap of a thread. An agent has 384 for a candidate. */
  readonly memoryMiBMax: number;
}

/** Connections, before and after somebody proved on them who they are. */
export interface ConnectionLimits {
  /** In all. Each agent holds one; a connection costs about 100 KiB. Beyond it the system's accept is answered by a close. */
  readonly max: number;
  /** Connections on which nobody has proved anything yet. When full, the one that waits longest makes room. */
  readonly newcomersMax: number;
  /** The same for one address (for IPv6 one /64), so that one address cannot push out the newcomers of all others. */
  readonly newcomersPerAddressMax: number;
  /** How fast one address may open connections: a TLS handshake costs about a millisecond of CPU. */
  readonly opening: Rate;
  /** The first connection that is cut for a flood or a violation costs its address as much as this many openings; the next ones more. */
  readonly cutCost: number;
  /** A newcomer proves itself within this time: agents and fleetctl do so with their first call. */
  readonly proveMs: number;
  /** What a newcomer may send in all, with TLS: an enrolment takes 20 KiB. It bounds every flood of cheap frames. */
  readonly newcomerBytesMax: number;
  /** Calls without valid credentials on one connection, before it is cut. */
  readonly strikesMax: number;
  /** A proved HTTP/2 connection without a call is closed after this time; HTTP/1.1 keeps its 5 s. */
  readonly idleMs: number;
  readonly handshakeMs: number;
  /** A peer that says nothing else is asked with a ping; one that does not answer within this time is gone. */
  readonly pingMs: number;
}

/** What one connection may do. */
export interface HttpLimits {
  /** Calls at the same time on one HTTP/2 connection, and pipelined ones on one of HTTP/1.1. An agent needs five. */
  readonly streamsMax: number;
  /** Header names and values of one request together; tokens and certificates' names are under 1 KiB. */
  readonly headerBytesMax: number;
  readonly headersMax: number;
  /** Until the head of an HTTP/1.1 request has arrived whole. */
  readonly headersMs: number;
  /** Until the body of a call has arrived whole; streams of messages have clocks of their own. */
  readonly requestMs: number;
  /** A response that its reader takes less than {@link readBytesPerSecondMin} of, for this long, is cut. */
  readonly stallMs: number;
  readonly readBytesPerSecondMin: number;
  /** MiB that one HTTP/2 session may hold: a pushed bundle of 17 MiB and what goes with it. */
  readonly sessionMemoryMiB: number;
  readonly invalidFramesMax: number;
  readonly rejectedStreamsMax: number;
  readonly settingsEntriesMax: number;
  /** Streams that the peer opens and resets: a cut poll or a watch that ends is one now and then. */
  readonly resets: Rate;
  /** PING frames: our agents send one in 20 s, gRPC clients a few per second while they measure. */
  readonly pings: Rate;
  /** SETTINGS frames: clients send one, some change it once. */
  readonly settings: Rate;
}

/** What calls may cost. */
export interface CallLimits {
  /** Unary calls in work at the same time. Beyond it agents are turned away; people, up to twice of it. */
  readonly inWorkMax: number;
  /** Queries that wait for a connection of the database, with the same meaning. */
  readonly databaseWaitingMax: number;
  /** What who is turned away for load is told to wait. Agents add a random time of their own. */
  readonly overloadRetryMs: number;
  /** The longest that a call waits in line for its turn; below {@link HttpLimits.requestMs}, because its body waits with it. */
  readonly lineMsMax: number;
  /** Callers and addresses that are remembered; who was quiet longest is forgotten first, and begins with a full bucket. */
  readonly keysMax: number;
  /** What callers may do of the rates of the routes. */
  readonly ratePercent: number;
  /** Calls of one address on connections without client certificate, before anybody is proved on them. */
  readonly newcomers: Rate;
  /** Requests of one address for health, readiness and metrics, which everybody may ask. */
  readonly probes: Rate;
  /** Parts (fields and elements) of one message: decoding costs memory and time per part, whatever its size. */
  readonly partsMax: number;
  /** Lines of one kind in the log that strangers can cause. */
  readonly logLines: Rate;
}

export const defaultLimits: Limits = {
  connection: {
    max: 10_000,
    newcomersMax: 1_024,
    newcomersPerAddressMax: 512,
    opening: { burst: 1_000, perSecond: 200 },
    cutCost: 100,
    proveMs: 15_000,
    newcomerBytesMax: 256 * 1024,
    strikesMax: 20,
    idleMs: 300_000,
    handshakeMs: 10_000,
    pingMs: 30_000,
  },
  http: {
    streamsMax: 16,
    headerBytesMax: 16 * 1024,
    headersMax: 64,
    headersMs: 10_000,
    requestMs: 60_000,
    stallMs: 30_000,
    readBytesPerSecondMin: 1_024,
    sessionMemoryMiB: 32,
    invalidFramesMax: 100,
    rejectedStreamsMax: 50,
    settingsEntriesMax: 16,
    resets: { burst: 100, perSecond: 10 },
    pings: { burst: 50, perSecond: 5 },
    settings: { burst: 10, perSecond: 1 },
  },
  call: {
    inWorkMax: 1_000,
    databaseWaitingMax: 1_000,
    overloadRetryMs: 5_000,
    lineMsMax: 20_000,
    keysMax: 20_000,
    ratePercent: 100,
    newcomers: { burst: 500, perSecond: 50 },
    probes: { burst: 200, perSecond: 20 },
    partsMax: 50_000,
    logLines: { burst: 20, perSecond: 0.2 },
  },
  loading: { waitingMax: 16, workMs: 120_000, memoryMiBMax: 512 },
};

/** How often one caller may make a call, and how many of that call the server does at the same time for everybody. */
export interface RoutePolicy {
  readonly rate: Rate;
  readonly inWorkMax?: number;
  /** Of those beyond it so many wait in line for their turn; without a line they are refused at once. */
  readonly inLineMax?: number;
  /** What one caller has of both at most. */
  readonly ofCaller?: { readonly inWorkMax: number; readonly inLineMax: number };
  /** Such a call waits for news most of its life, so that it does not count as work. */
  readonly isWaiting?: boolean;
}

const operatorRate: Rate = { burst: 300, perSecond: 50 };

/** The routes that differ from the rest of their kind. */
const routes: Readonly<Record<string, RoutePolicy>> = {
  // A stream lives for hours; two agents with one identity that take over from each other are slowed by this.
  "agent.v1.AgentService/Connect": { rate: { burst: 30, perSecond: 0.5 }, isWaiting: true },
  // Reports cut a waiting poll short, so a busy agent polls more often than it beats.
  "agent.v1.AgentService/Sync": { rate: { burst: 100, perSecond: 5 }, isWaiting: true },
  // All are served from one copy of the bundle; what is on its way to each is up to a window of its connection. A wave comes at
  // once: in line a fetch costs some KiB, and it is served as soon as it can be. Refused, it would come back seconds later.
  "agent.v1.AgentService/FetchBlob": {
    rate: { burst: 30, perSecond: 1 },
    inWorkMax: 512,
    inLineMax: 5_000,
  },
  // 500 alerts a call. An agent that looks for the one bad alert in a batch halves it, in up to a thousand small calls. How many
  // are stored at the same time is bounded where they are stored, once their bodies are there.
  "agent.v1.AgentService/DeliverAlerts": { rate: { burst: 1_200, perSecond: 20 } },
  // Public: the key is the address. Each costs signatures and a transaction.
  "agent.v1.EnrollmentService/Enroll": { rate: { burst: 500, perSecond: 20 }, inWorkMax: 256 },
  "agent.v1.EnrollmentService/RenewCertificate": { rate: { burst: 20, perSecond: 0.1 } },
  // Streams for people live as long as somebody looks. Each asks the database after every change.
  "fleet.v1.RolloutService/WatchRollout": { rate: operatorRate, inWorkMax: 256, isWaiting: true },
  "fleet.v1.AlertService/TailAlerts": { rate: operatorRate, inWorkMax: 256, isWaiting: true },
  // A dashboard asks for all its panels at once, and each may read a hundred thousand alerts on a connection of the database.
  // One caller, which may be a Grafana with many people before it, never has all of them, nor all places in line.
  "loki.v1/Query": {
    rate: { burst: 600, perSecond: 50 },
    inWorkMax: 4,
    inLineMax: 400,
    ofCaller: { inWorkMax: 3, inLineMax: 100 },
  },
  "loki.v1/Tail": { rate: { burst: 60, perSecond: 1 }, inWorkMax: 64, isWaiting: true },
  // Each counts the whole fleet, on a connection of the database. What all see alike is counted once in 3 s, so that only those
  // who look through filters of their own wait for one another.
  "fleet.v1.ClusterService/GetFleetSummary": {
    rate: { burst: 60, perSecond: 10 },
    inWorkMax: 4,
    inLineMax: 200,
    ofCaller: { inWorkMax: 2, inLineMax: 50 },
  },
  // Each reads the whole fleet and compares rules by choice of layers; starts of a kind wait for one another besides.
  "fleet.v1.RolloutService/PlanRollout": { rate: operatorRate, inWorkMax: 16 },
  "fleet.v1.RolloutService/StartRollout": { rate: operatorRate, inWorkMax: 16 },
  "fleet.v1.RolloutService/ResumeRollout": { rate: operatorRate, inWorkMax: 16 },
  "fleet.v1.RolloutService/ApproveRollout": { rate: operatorRate, inWorkMax: 16 },
  // Each loads up to 16 MiB of rules with all their layers.
  "fleet.v1.BundleService/PushBundles": { rate: { burst: 30, perSecond: 1 }, inWorkMax: 8 },
  "fleet.v1.BundleService/PushLayer": { rate: { burst: 30, perSecond: 1 }, inWorkMax: 8 },
  "fleet.v1.BundleService/GetBundle": { rate: { burst: 30, perSecond: 5 }, inWorkMax: 16 },
};

const agentRoute: RoutePolicy = { rate: { burst: 50, perSecond: 5 } };
const operatorRoute: RoutePolicy = { rate: operatorRate };

export function routePolicy(route: string, permission: string, percent: number): RoutePolicy {
  const policy = routes[route] ?? (permission === "agent" ? agentRoute : operatorRoute);
  const { burst, perSecond } = policy.rate;
  return {
    ...policy,
    rate: { burst: Math.max(1, (burst * percent) / 100), perSecond: (perSecond * percent) / 100 },
  };
}
