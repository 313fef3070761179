import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";

import type { Logger } from "pino";

import { SyncResponseSchema, type SyncRequest, type SyncResponse } from "#proto/agent/v1/agent";
import type { Traces } from "#traces";

import type { FleetPace } from "../domain/fleet-pace.ts";
import { accept, type Outcome } from "../domain/refusal.ts";
import { renewAssignments } from "../store/assignments.ts";
import { adoptCertificate } from "../store/agents.ts";
import type { Db } from "../store/pool.ts";
import type { RateRow } from "../store/rates.ts";
import type { ReportedAttempt } from "../store/reports.ts";
import { storeBacktest } from "../store/backtests.ts";
import { storeShadow } from "../store/shadows.ts";
import { advanceSession, endByGoodbye } from "../store/sessions.ts";
import type { AuditBook } from "./audit-book.ts";
import type { Batcher } from "./batcher.ts";
import type { BlobBook } from "./blobs.ts";
import type { CaBook } from "./cas.ts";
import type { ClaimSession } from "./claim-book.ts";
import type { Desired, DesiredBook } from "./desired.ts";
import { enclosedFor } from "./enclosed.ts";
import type { PresenceBook } from "./presence.ts";
import { checkBounds, readKnownHead, readRates, readReport, text } from "./read-request.ts";
import { backtestFor, shadowFor, wireEnvelope } from "./offers.ts";
import { readBacktest, readShadow } from "./read-shadow.ts";
import type { StoreReport } from "./report-book.ts";
import { newSession, type Session, type SyncCaller } from "./session.ts";
import type { ServerRun } from "./server-run.ts";
import { tracePush, traceReport, type TraceBook } from "./trace-agent.ts";
import { layersFor } from "./trust-chain.ts";
import type { Tuning } from "./tuning.ts";

/** What the handler works with; the same for every session of this server. */
export interface SyncPorts {
  readonly db: Db;
  readonly run: ServerRun;
  readonly desired: DesiredBook;
  readonly blobs: BlobBook;
  readonly cas: CaBook;
  readonly audit: AuditBook;
  readonly claims: ClaimSession;
  readonly presence: PresenceBook;
  readonly rates: Batcher<RateRow>;
  readonly reports: StoreReport;
  readonly tuning: Tuning;
  /** How often the fleet's agents speak and come back; the same object until it changes. */
  readonly pace: () => FleetPace;
  /** How long agents' certificates hold. */
  readonly certificateMs: number;
  readonly clock: () => Date;
  readonly log: Logger;
  /** Called when an agent proved or tried something: a rollout may wait for it. */
  readonly onReport: (attempts: readonly ReportedAttempt[]) => void;
  readonly traces: Traces;
  readonly traced: TraceBook;
}

export interface Synced {
  /** Undefined when the agent has to begin again with a hello. */
  readonly session: Session | undefined;
  readonly response: SyncResponse;
  /** Whether the response says anything beyond the acknowledgement. */
  readonly isNews: boolean;
}

/** What both transports throw when a newer session of the same agent has begun. */
export function superseded(): ConnectError {
  return new ConnectError(
    "A newer session of this agent took over: only one may speak at a time",
    Code.Aborted,
  );
}

/**
 * Takes one message in and gives its answer: the one state machine of the protocol, for streams and long polls alike.
 * `before` is the session as the transport remembers it; undefined asks the store. The message is stored before it is
 * acknowledged.
 */
export async function handleSync(
  ports: SyncPorts,
  caller: SyncCaller,
  before: Session | undefined,
  request: SyncRequest,
): Promise<Outcome<Synced>> {
  const checked = checkBounds(request);
  if (!checked.ok) return checked;
  const begun = await enter(ports, caller, before, request);
  if (!begun.ok) return begun;
  const session = begun.value;
  const named = { agentId: caller.agentId, sessionId: request.sessionId };
  if (session === undefined) {
    if (request.goodbye) await endByGoodbye(ports.db, named, ports.clock());
    return accept(needHello(ports, before?.sequence ?? 0n));
  }

  if (request.report.length > 0) {
    const report = readReport(request, caller);
    if (!report.ok) return report;
    const { agentId } = caller;
    const { sessionId, epoch } = session;
    const fromMs = Date.now();
    const isHeld = await ports.reports({ agentId, sessionId, epoch, report: report.value });
    if (!isHeld) throw superseded();
    session.observedGeneration = report.value.observedGeneration;
    session.holds = report.value.components.flatMap(({ runningDigest }) => runningDigest ?? []);
    const { traceparent } = request;
    if (ports.traces.isOn && traceparent !== "") {
      const desired = await ports.desired.get(caller.clusterId);
      traceReport(ports, session, desired, { report: report.value, traceparent, fromMs });
    }
    ports.onReport(report.value.attempts);
  }
  await storeCandidates(ports, caller, request);
  await ports.rates.add(readRates(request, caller.agentId, caller.clusterId, ports.clock()));
  ports.presence.note({
    agentId: caller.agentId,
    sessionId: session.sessionId,
    epoch: session.epoch,
    trustVersions: request.trustVersions,
  });
  session.sequence = request.sequence;
  if (request.trustVersions !== undefined) {
    const { root, timestamp, snapshot, targets, layers } = request.trustVersions;
    session.trustVersions = { root, timestamp, snapshot, targets, lists: layers };
  }
  session.labelsDigest = request.labelsDigest;
  session.caBundleVersion = request.caBundleVersion;
  session.auditHead = readKnownHead(request);
  const { shadow, backtest } = request;
  session.shadow = shadow && { id: shadow.rolloutId, isAtWork: shadow.isEvaluating };
  session.backtest = backtest && { id: backtest.backtestId, isAtWork: backtest.isReplaying };
  // What the agent says counts: an assignment that got lost, or that it could not verify yet, is offered again.
  session.offeredGeneration = session.observedGeneration;
  if (request.goodbye) await endByGoodbye(ports.db, named, ports.clock());
  return accept(await answer(ports, session));
}

/** What an agent says of the candidates that it was given. */
async function storeCandidates(ports: SyncPorts, caller: SyncCaller, request: SyncRequest): Promise<void> {
  const shadow = readShadow(request, caller);
  if (shadow !== undefined) await storeShadow(ports.db, shadow, ports.clock());
  const backtest = readBacktest(request, caller);
  if (backtest !== undefined) await storeBacktest(ports.db, backtest, ports.clock());
}

/** The session that a message belongs to: a new one with its hello, or the known one when the sequence fits. */
async function enter(
  ports: SyncPorts,
  caller: SyncCaller,
  before: Session | undefined,
  request: SyncRequest,
): Promise<Outcome<Session | undefined>> {
  const { sessionId, sequence, hello, goodbye } = request;
  // Who leaves begins nothing: a goodbye that comes late would take over from the session after it.
  if (hello !== undefined && !goodbye) {
    const lease = await ports.claims({
      agentId: caller.agentId,
      sessionId,
      serverRun: ports.run.id,
      sequence,
      transport: hello.transport === "long-poll" ? "long-poll" : "stream",
      clusterUid: hello.clusterUid,
      version: text(hello.agentVersion, 100),
      engineVersion: text(hello.engineVersion, 100),
      capabilities: hello.capabilities.map((each) => text(each, 64)),
      instanceId: hello.instanceId,
      starts: hello.starts,
      isRenewal: caller.replacesSerial !== undefined,
    });
    if (!lease.ok) return lease;
    // Not before: a copy of the agent that is refused here must not take its certificate's place.
    await adoptCertificate(ports.db, caller);
    for (const { code, message } of lease.value.suspicions) {
      ports.log.warn({ code, agentId: caller.agentId }, message);
    }
    // It observed the generation that is in force without what it can take now.
    if (lease.value.isAbler) await renewAssignments(ports.db, [caller.clusterId], ports.clock());
    return accept(newSession(caller, sessionId, lease.value));
  }
  if (before !== undefined) {
    const fits =
      before.sessionId === sessionId && (sequence === before.sequence + 1n || sequence === before.sequence);
    return accept(fits ? before : undefined);
  }
  const { agentId } = caller;
  const lease = await advanceSession(
    ports.db,
    { agentId, sessionId, serverRun: ports.run.id },
    sequence,
    ports.clock(),
  );
  return accept(
    lease === undefined ? undefined : { ...newSession(caller, sessionId, lease), toldPace: ports.pace() },
  );
}

function needHello(ports: SyncPorts, ackSequence: bigint): Synced {
  const response = create(SyncResponseSchema, {
    ackSequence,
    needHello: true,
    serverTime: timestampFromDate(ports.clock()),
  });
  return { session: undefined, response, isNews: true };
}

/**
 * Everything the agent lacks right now, and was not sent since it spoke last. Also what is pushed when something changed:
 * state, never a command.
 */
export async function answer(ports: SyncPorts, session: Session): Promise<Synced> {
  const now = ports.clock();
  const desired = await ports.desired.get(session.caller.clusterId);
  if (desired === undefined || desired.isRetired) throw retired();
  if (desired.revokedAgentIds.includes(session.caller.agentId)) throw retired();
  const { caller } = session;
  if (!ports.cas.isTrusted(caller.certificateCa)) throw ofDroppedCa();
  const news: MessageInitShape<typeof SyncResponseSchema> = {
    ...(await assignmentFor(ports, session, desired)),
    metadata: [...(await metadataFor(ports, session, desired))],
    ...labelsFor(session, desired),
    ...(await caBundleFor(ports, session)),
    ...(await auditFor(ports, session)),
    ...(await shadowFor(ports.desired, session, desired)),
    ...(await backtestFor(ports.desired, session, desired)),
    ...tuningFor(ports, session),
  };
  const renewCertificate =
    caller.certificateExpiresAt.getTime() - now.getTime() < ports.certificateMs / 2 ||
    ports.cas.isTurnToRenew(caller, now);
  const response = create(SyncResponseSchema, {
    ...news,
    ackSequence: session.sequence,
    renewCertificate,
    serverTime: timestampFromDate(now),
  });
  const isNews =
    response.assignment !== undefined ||
    response.metadata.length > 0 ||
    response.labels !== undefined ||
    response.shadow !== undefined ||
    response.backtest !== undefined ||
    response.caBundle !== undefined ||
    response.tuning !== undefined;
  return { session, response, isNews };
}

async function assignmentFor(
  ports: SyncPorts,
  session: Session,
  desired: Desired,
): Promise<Pick<MessageInitShape<typeof SyncResponseSchema>, "assignment" | "traceparent" | "bundles">> {
  if (desired.generation <= session.observedGeneration || desired.generation <= session.offeredGeneration) {
    return {};
  }
  const envelope = await ports.desired.envelope(desired, session.takesLayers);
  if (envelope === undefined) return {};
  const enclosed = await enclosedFor(ports, session, desired);
  session.offeredGeneration = desired.generation;
  return { assignment: wireEnvelope(envelope), traceparent: tracePush(ports, session, desired), ...enclosed };
}

/** The list of CAs, when the agent holds an older one. */
async function caBundleFor(
  ports: SyncPorts,
  session: Session,
): Promise<Pick<MessageInitShape<typeof SyncResponseSchema>, "caBundle">> {
  const bundle = await ports.cas.bundle();
  if (bundle === undefined || bundle.version <= session.caBundleVersion) return {};
  session.caBundleVersion = bundle.version;
  return { caBundle: wireEnvelope(bundle.envelope) };
}

/** A newer head of the audit log. No news by itself: it comes with whatever the agent is told next. */
async function auditFor(
  ports: SyncPorts,
  session: Session,
): Promise<Pick<MessageInitShape<typeof SyncResponseSchema>, "audit">> {
  const update = await ports.audit.updateFor(session.auditHead);
  if (update === undefined) return {};
  return {
    audit: { head: wireEnvelope(update.envelope), links: update.links.map((link) => new Uint8Array(link)) },
  };
}

function labelsFor(session: Session, desired: Desired) {
  if (Buffer.compare(session.labelsDigest, desired.labelsDigest) === 0) return {};
  session.labelsDigest = desired.labelsDigest;
  return { labels: { labels: { ...desired.labels } } };
}

/** The metadata that the agent lacks; it counts as sent, so that the next push does not carry it again. */
async function metadataFor(ports: SyncPorts, session: Session, desired: Desired) {
  const held = session.trustVersions;
  if (held === undefined) return [];
  const chain = await ports.desired.trustChain();
  const missing = chain.metadata.filter(({ role, version }) => version > held[role]);
  // Only those of its own layers: an agent keeps few, and what other teams release is not for it.
  const layers = session.takesLayers ? layersFor(desired, chain) : [];
  const lists = layers.flatMap(({ layer }) => {
    const list = chain.lists.get(layer);
    return list !== undefined && list.version > (held.lists[layer] ?? 0n) ? [[layer, list] as const] : [];
  });
  if (missing.length + lists.length === 0) return [];
  session.trustVersions = {
    ...held,
    ...Object.fromEntries(missing.map(({ role, version }) => [role, version])),
    lists: { ...held.lists, ...Object.fromEntries(lists.map(([layer, { version }]) => [layer, version])) },
  };
  const all = [...missing, ...lists.map(([, list]) => list)];
  return all.map(({ role, version, body }) => ({ role, version, body: new Uint8Array(body) }));
}

/** The tuning, in the first answer of a session and when the pace has changed. */
function tuningFor(ports: SyncPorts, session: Session) {
  const pace = ports.pace();
  if (session.toldPace === pace) return {};
  session.toldPace = pace;
  return { tuning: { heartbeatMs: ports.tuning.heartbeatMs, ...pace } };
}

/** What a session is ended with when its identity was taken back. */
export function retired(): ConnectError {
  return new ConnectError(
    "The identity of this agent was revoked: enrol again with a new join token",
    Code.PermissionDenied,
  );
}

/** What a session is ended with when the CA of its certificate was dropped while it went on. */
function ofDroppedCa(): ConnectError {
  const why = "The client certificate is of a CA that this fleet does not trust any more: enrol again";
  return new ConnectError(why, Code.Unauthenticated);
}
