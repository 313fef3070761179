import { createHash, createPrivateKey, randomUUID, X509Certificate } from "node:crypto";

import { create, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  StateReportSchema,
  SyncRequestSchema,
  TrustVersionsSchema,
  type SyncRequest,
  type SyncResponse,
} from "#proto/agent/v1/agent";
import {
  certificateToPem,
  checkBundle,
  checkTarget,
  emptyTrusted,
  raiseGeneration,
  signReport,
  spkiPin,
  trustedVersions,
  updateTrusted,
  verifyAssignment,
  verifyCaBundle,
  type TargetRef,
  type Trusted,
} from "#trust";

import { openLink, type SimAddress, type SimLink, type SimTransport } from "./sim-link.ts";

/** Who a simulated agent is: what enrolment gave it. */
export interface SimIdentity extends SimAddress {
  readonly org: string;
  readonly clusterId: string;
  readonly agentId: string;
  readonly clusterUid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly root: Uint8Array;
  /** The process that it says it is. */
  readonly instance?: { readonly id: string; readonly starts: bigint };
  /** What it can take, besides what every simulated agent can. */
  readonly capabilities?: readonly string[];
}

type Kind = TargetRef["kind"];
type Attempt = NonNullable<
  NonNullable<MessageInitShape<typeof StateReportSchema>["components"]>[number]["lastAttempt"]
>;

/** Everything an agent knows. Plain data, so that a test can look at it and bend it. */
export interface SimState {
  observedGeneration: bigint;
  readonly running: Map<Kind, { readonly sha256: string; readonly sinceMs: number }>;
  readonly attempts: Map<Kind, Attempt>;
  /** What it was assigned and has not come to an end with: the session ended while it fetched. */
  unfinished: readonly TargetRef[];
  /** The hashes of the bundles that it applied, in order. */
  readonly applied: string[];
  labels: Readonly<Record<string, string>>;
  trusted: Trusted;
  /** PEM of the CAs that a server may be of, and the version of the list that they are from. */
  cas: readonly string[];
  caVersion: number;
}

/** Builds the messages of one session, signed for real. */
export interface SimSession {
  readonly state: SimState;
  readonly sessionId: string;
  /** The next message: with a hello when it is the first, with a report when asked for. */
  message(more?: MessageInitShape<typeof SyncRequestSchema>, report?: boolean): SyncRequest;
  /** The sequence of the last message. */
  sequence: bigint;
  isHelloDue: boolean;
}

export function newSimState(identity: SimIdentity): SimState {
  const trusted = emptyTrusted(identity.root);
  if (!trusted.ok) throw new Error(trusted.refusal.message);
  return {
    observedGeneration: 0n,
    running: new Map(),
    attempts: new Map(),
    unfinished: [],
    applied: [],
    labels: identity.labels,
    trusted: trusted.value,
    cas: [identity.ca],
    caVersion: 0,
  };
}

export function newSimSession(identity: SimIdentity, transport: SimTransport, state: SimState): SimSession {
  const key = createPrivateKey(identity.key);
  const session: SimSession = {
    state,
    sessionId: randomUUID(),
    sequence: 0n,
    isHelloDue: true,
    message: (more = {}, hasReport = session.isHelloDue) => {
      session.sequence += 1n;
      const hello = session.isHelloDue ? { hello: helloOf(identity, transport) } : {};
      session.isHelloDue = false;
      const { sessionId, sequence } = session;
      const report = hasReport ? reportOf(identity, state, sessionId, sequence) : new Uint8Array();
      const signed = hasReport ? { report, reportSignature: Uint8Array.from(signReport(key, report)) } : {};
      const versions = trustedVersions(state.trusted);
      return create(SyncRequestSchema, {
        sessionId,
        sequence,
        ...hello,
        ...signed,
        trustVersions: create(TrustVersionsSchema, {
          root: BigInt(versions.root),
          targets: BigInt(versions.targets),
          snapshot: BigInt(versions.snapshot),
          timestamp: BigInt(versions.timestamp),
        }),
        labelsDigest: digestOf(state.labels),
        caBundleVersion: BigInt(state.caVersion),
        ...(more as object),
      });
    },
  };
  return session;
}

function helloOf(identity: SimIdentity, transport: SimTransport) {
  return {
    agentVersion: "simulated",
    engineVersion: "0.62.0",
    clusterUid: identity.clusterUid,
    capabilities: ["simulated", ...(identity.capabilities ?? [])],
    protocolMin: 1,
    protocolMax: 1,
    transport,
    instanceId: identity.instance?.id ?? "",
    starts: identity.instance?.starts ?? 0n,
  };
}

function reportOf(
  identity: SimIdentity,
  state: SimState,
  sessionId: string,
  sequence: bigint,
): Uint8Array<ArrayBuffer> {
  const kinds = new Set([...state.running.keys(), ...state.attempts.keys()]);
  return toBinary(
    StateReportSchema,
    create(StateReportSchema, {
      clusterId: identity.clusterId,
      agentId: identity.agentId,
      sessionId,
      sequence,
      time: timestampFromMs(Date.now()),
      observedGeneration: state.observedGeneration,
      trustedCas: state.cas.map(pinOf),
      components: [...kinds].map((kind) => {
        const running = state.running.get(kind);
        const lastAttempt = state.attempts.get(kind);
        return {
          kind,
          ...(running === undefined
            ? {}
            : { runningDigest: bytesOf(running.sha256), runningSince: timestampFromMs(running.sinceMs) }),
          ...(lastAttempt === undefined ? {} : { lastAttempt }),
        };
      }),
    }),
  );
}

/** Thousands of simulated agents in one process trust the same CA. */
const pins = new Map<string, string>();

function pinOf(pem: string): string {
  const pin = pins.get(pem) ?? spkiPin(new X509Certificate(pem).raw);
  pins.set(pem, pin);
  return pin;
}

/** Nobody writes into labels: they are told with every message, and counted once. */
const digests = new WeakMap<object, Uint8Array<ArrayBuffer>>();

function digestOf(labels: Readonly<Record<string, string>>): Uint8Array<ArrayBuffer> {
  const known = digests.get(labels);
  if (known !== undefined) return known;
  const pairs = Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const digest = Uint8Array.from(createHash("sha256").update(JSON.stringify(pairs)).digest());
  digests.set(labels, digest);
  return digest;
}

export function bytesOf(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(hex, "hex"));
}

/** What a simulated agent does with a bundle that it is assigned and has verified. */
export type Behaviour = (target: TargetRef) => "apply" | "reject" | "ignore";

/** Takes an answer in as an agent has to: verifies all of it, fetches, applies. True when there is something to report. */
export async function takeIn(
  identity: SimIdentity,
  state: SimState,
  link: SimLink,
  response: SyncResponse,
  behave: Behaviour = () => "apply",
): Promise<boolean> {
  if (response.labels !== undefined) state.labels = { ...response.labels.labels };
  const { metadata } = response;
  const of = (role: string) => metadata.filter((each) => each.role === role).map(({ body }) => body);
  const [[timestamp], [snapshot], [targets]] = [of("timestamp"), of("snapshot"), of("targets")];
  if (metadata.length > 0) {
    const update = {
      roots: of("root"),
      ...(timestamp === undefined ? {} : { timestamp }),
      ...(snapshot === undefined ? {} : { snapshot }),
      ...(targets === undefined ? {} : { targets }),
    };
    const updated = updateTrusted(state.trusted, update, new Date());
    state.trusted = updated.value;
    if (!updated.ok) throw new Error(`${updated.refusal.code}: ${updated.refusal.message}`);
  }
  const hasCas = takeCas(identity, state, response);
  const isLeft = state.unfinished.length > 0;
  if (response.assignment !== undefined) takeAssignment(identity, state, response.assignment);
  if (response.assignment === undefined && !isLeft) return hasCas;
  for (const target of state.unfinished) await apply(identity, state, link, target, behave);
  state.unfinished = [];
  return true;
}

/** From here on the server owes it nothing: what it was assigned it has to bring to an end by itself. */
function takeAssignment(
  identity: SimIdentity,
  state: SimState,
  signed: NonNullable<SyncResponse["assignment"]>,
): void {
  const assignment = verifyAssignment(state.trusted, signed, { ...identity, now: new Date() });
  if (!assignment.ok) throw new Error(`${assignment.refusal.code}: ${assignment.refusal.message}`);
  state.trusted = raiseGeneration(state.trusted, assignment.value.generation);
  state.observedGeneration = BigInt(assignment.value.generation);
  state.unfinished = assignment.value.targets;
}

function takeCas({ org }: SimIdentity, state: SimState, { caBundle }: SyncResponse): boolean {
  if (caBundle === undefined) return false;
  const context = { org, versionFloor: state.caVersion, now: new Date() };
  const bundle = verifyCaBundle(state.trusted, caBundle, context);
  if (!bundle.ok) throw new Error(`${bundle.refusal.code}: ${bundle.refusal.message}`);
  state.cas = bundle.value.cas.map(certificateToPem);
  state.caVersion = bundle.value.version;
  return true;
}

async function apply(
  identity: SimIdentity,
  state: SimState,
  link: SimLink,
  target: TargetRef,
  behave: Behaviour,
): Promise<void> {
  if (state.running.get(target.kind)?.sha256 === target.sha256) return;
  const listed = checkTarget(state.trusted, target, new Date());
  const attempt = (phase: string, reason = "") =>
    state.attempts.set(target.kind, {
      digest: bytesOf(target.sha256),
      generation: state.observedGeneration,
      phase,
      reason,
      at: timestampFromMs(Date.now()),
    });
  if (!listed.ok) {
    attempt("rejected", listed.refusal.code);
    return;
  }
  const what = behave(target);
  if (what === "reject") attempt("rejected", "engine/load-error");
  if (what !== "apply") return;
  const bundle = checkBundle(target, await fetchBlob(link, `sha256:${target.sha256}`), identity.org);
  if (!bundle.ok) {
    attempt("rejected", bundle.refusal.code);
    return;
  }
  state.running.set(target.kind, { sha256: target.sha256, sinceMs: Date.now() });
  state.applied.push(target.sha256);
  attempt("applied");
}

/** Fetches a bundle whole, as the protocol hands it out. */
export async function fetchBlob(link: SimLink, digest: string, offset = 0n): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const { chunk } of link.client.fetchBlob({ digest, offset })) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export interface SimAgent {
  readonly identity: SimIdentity;
  readonly state: SimState;
  /** The tuning that the server sent, if it did. */
  readonly heartbeatMs: number;
  /** Resolves with the first answer of the server; rejects when the session ends without one. */
  readonly connected: Promise<void>;
  /** Resolves when the agent's session has ended, with what ended it. */
  readonly ended: Promise<unknown>;
  /** Says goodbye and leaves. */
  stop(): Promise<void>;
  /** Leaves without a word. */
  kill(): Promise<void>;
}

export interface SimAgentOptions {
  readonly transport?: SimTransport;
  readonly behave?: Behaviour;
  /** Goes on from an earlier life of the same agent. */
  readonly state?: SimState;
  /** In place of the server's tuning. */
  readonly heartbeatMs?: number;
}

/** An agent that speaks the real protocol over real TLS with real signatures, and applies what it is assigned at once. */
export function startSimAgent(identity: SimIdentity, options: SimAgentOptions = {}): SimAgent {
  const transport = options.transport ?? "stream";
  const state = options.state ?? newSimState(identity);
  const link = openLink(transport, identity);
  const session = newSimSession(identity, transport, state);
  const over = new AbortController();
  let heartbeatMs = options.heartbeatMs ?? 20_000;

  const connected = Promise.withResolvers<void>();
  connected.promise.catch(() => {}); // Not everybody asks.

  /** Takes an answer in. True when the next message carries a report. */
  async function take(response: SyncResponse): Promise<boolean> {
    if (response.tuning !== undefined && options.heartbeatMs === undefined) {
      heartbeatMs = response.tuning.heartbeatMs;
    }
    if (response.needHello) {
      session.sequence = 0n;
      session.isHelloDue = true;
    }
    connected.resolve();
    const hasNews = await takeIn(identity, state, link, response, options.behave);
    if (response.drain !== undefined) throw new Error(`drained for ${response.drain.reconnectAfterMs} ms`);
    return hasNews || response.needHello;
  }
  async function speakOverStream(): Promise<void> {
    link.tell(session.message());
    let beat = setTimeout(pulse, heartbeatMs);
    function pulse(): void {
      link.tell(session.message());
      beat = setTimeout(pulse, heartbeatMs);
    }
    try {
      while (!over.signal.aborted) {
        if (await take(await link.hear(() => session.message()))) link.tell(session.message({}, true));
      }
    } finally {
      clearTimeout(beat);
    }
  }
  async function speakByLongPoll(): Promise<void> {
    let hasNews = false;
    let waitMs = 0;
    while (!over.signal.aborted) {
      hasNews = await take(await link.say(session.message({ waitMs }, hasNews || session.isHelloDue)));
      waitMs = hasNews ? 0 : heartbeatMs;
    }
  }
  const ended = (transport === "stream" ? speakOverStream() : speakByLongPoll()).then(
    () => undefined,
    (error: unknown) => {
      connected.reject(error);
      return error;
    },
  );
  return {
    identity,
    state,
    connected: connected.promise,
    get heartbeatMs() {
      return heartbeatMs;
    },
    ended,
    stop: async () => {
      over.abort();
      if (transport === "stream") {
        link.tell(session.message({ goodbye: true }));
        await ended;
      }
      await link.close();
      await ended;
    },
    kill: async () => {
      over.abort();
      await link.close();
      await ended;
    },
  };
}
