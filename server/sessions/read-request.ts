/** Everything an agent sends is checked here before anything else looks at it: size, shape, and whose word it is. */
import type { KeyObject } from "node:crypto";

import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { isName, isReportSigned, layersHeldMax } from "#trust";
import {
  EnvelopeSchema,
  StateReportSchema,
  type ComponentState,
  type RateBucket,
  type StateReport,
  type SyncRequest,
} from "#proto/agent/v1/agent";

import { hasTooManyParts } from "../census.ts";
import { layerComponent, type ComponentName } from "../domain/component.ts";
import { digestFromBytes, isDigest } from "../domain/ids.ts";
import { accept, invalid, refuse, type Outcome } from "../domain/refusal.ts";
import type { Report, ReportedAttempt, ReportedComponent } from "../store/reports.ts";
import type { RateRow } from "../store/rates.ts";
import type { KnownHead } from "./audit-book.ts";

export const reportBytesMax = 64 * 1024;
/** 64 conditions and a few components with all their fields are under a thousand. */
const reportPartsMax = 2_000;
export const waitMsMax = 60_000;
const ratesMax = 1_500;
const conditionsMax = 64;
/** Rules, shipper, and the layers of teams. */
const componentsMax = 2 + layersHeldMax;
/** An envelope with one signature is a tenth of it. */
const auditHeadBytesMax = 4 * 1024;
const phases = new Set(["received", "verified", "staged", "applying", "applied", "rejected", "rolled-back"]);

/** Refuses a message that is out of bounds before anything of it is used. */
export function checkBounds(request: SyncRequest): Outcome<SyncRequest> {
  if (!/^[0-9A-Za-z_-]{8,64}$/.test(request.sessionId)) {
    return invalid("session_id", "is no random id of 8 to 64 letters, digits, dashes");
  }
  if (request.sequence === 0n || request.sequence > 2n ** 62n) return invalid("sequence", "begins with 1");
  if (request.report.length > reportBytesMax) {
    return invalid("report", `has ${request.report.length} bytes; at most ${reportBytesMax} are allowed`);
  }
  if (request.rates.length > ratesMax) {
    return invalid("rates", `holds ${request.rates.length} minutes; at most ${ratesMax} are allowed`);
  }
  if (request.caBundleVersion > 2n ** 53n) return invalid("ca_bundle_version", "is beyond what is counted");
  const lists = Object.keys(request.trustVersions?.layers ?? {}).length;
  if (lists > layersHeldMax) {
    return invalid("trust_versions.layers", `names ${lists} layers; at most ${layersHeldMax} are allowed`);
  }
  const { hello } = request;
  if (hello === undefined) return accept(request);
  if (!/^[0-9A-Za-z_-]{0,64}$/.test(hello.instanceId)) {
    return invalid("hello.instance_id", "is no random id of at most 64 letters, digits, dashes");
  }
  if (hello.starts > 2n ** 53n) return invalid("hello.starts", "is beyond what is counted");
  if (hello.capabilities.length > 64 || hello.capabilities.some((each) => each.length > 64)) {
    return invalid("hello.capabilities", "at most 64 of at most 64 characters are allowed");
  }
  if (hello.protocolMin > 1 || hello.protocolMax < 1) {
    const why = `The agent speaks protocol ${hello.protocolMin} to ${hello.protocolMax}, this server speaks 1: bring both to versions that are two minor versions apart at most`;
    return refuse({ kind: "precondition", why });
  }
  return accept(request);
}

/** Whose word a report has to be. */
export interface Speaker {
  readonly clusterId: string;
  readonly agentId: string;
  /** The key of the certificate on this connection. */
  readonly publicKey: KeyObject;
}

/**
 * The report of a request, when the agent's key signed it for this very session and message; so a report that somebody
 * recorded proves nothing anywhere else.
 */
export function readReport(request: SyncRequest, speaker: Speaker): Outcome<Report> {
  if (!isSigned(request, speaker.publicKey)) {
    const why =
      "The state report is not signed by the key of the certificate on this connection: connect again";
    return refuse({ kind: "unauthenticated", why });
  }
  if (hasTooManyParts(StateReportSchema, request.report, reportPartsMax)) {
    return invalid("report", `has more than ${reportPartsMax} fields and elements`);
  }
  let report: StateReport;
  try {
    report = fromBinary(StateReportSchema, request.report);
  } catch (error) {
    return invalid("report", `cannot be read as a StateReport: ${String(error)}`);
  }
  const bound =
    report.clusterId === speaker.clusterId &&
    report.agentId === speaker.agentId &&
    report.sessionId === request.sessionId &&
    report.sequence === request.sequence;
  if (!bound) return invalid("report", "was made for another cluster, agent, session or message");
  return readContent(report);
}

/** As `verifyReport` of the trust room, with the key at hand instead of the certificate it would take it from. */
function isSigned({ report, reportSignature }: SyncRequest, key: KeyObject): boolean {
  return isReportSigned(key, report, reportSignature);
}

function readContent(report: StateReport): Outcome<Report> {
  if (report.components.length > componentsMax) {
    return invalid("report.components", `holds more than ${componentsMax}`);
  }
  if (report.conditions.length > conditionsMax) {
    return invalid("report.conditions", `holds more than ${conditionsMax}`);
  }
  const components: ReportedComponent[] = [];
  const attempts: ReportedAttempt[] = [];
  for (const state of report.components) {
    const kind = kindOf(state.kind);
    if (kind === undefined || components.some((each) => each.kind === kind)) {
      return invalid("report.components", `"${state.kind.slice(0, 40)}" is no kind, or is there twice`);
    }
    components.push(componentOf(kind, state));
    const attempt = attemptOf(kind, state);
    if (attempt !== undefined) attempts.push(attempt);
  }
  if (report.trustedCas.length > 8 || report.trustedCas.some((pin) => !isDigest(pin))) {
    return invalid("report.trusted_cas", "holds more than 8, or something that is no pin");
  }
  const conditions = report.conditions.map(({ code, message, since }) => ({
    code: text(code, 100),
    message: text(message, 1_000),
    since: (dateOf(since) ?? new Date(0)).toISOString(),
  }));
  const observedGeneration = cap(report.observedGeneration);
  const { trustedCas } = report;
  const auditHead = report.auditHead === undefined ? undefined : toBinary(EnvelopeSchema, report.auditHead);
  if (auditHead !== undefined && auditHead.length > auditHeadBytesMax) {
    return invalid(
      "report.audit_head",
      `has ${auditHead.length} bytes; at most ${auditHeadBytesMax} are allowed`,
    );
  }
  const carried = auditHead === undefined ? {} : { auditHead };
  return accept({ observedGeneration, components, attempts, conditions, trustedCas, ...carried });
}

function kindOf(word: string): ComponentName | undefined {
  if (word === "rules" || word === "shipper") return word;
  const layer = word.startsWith("layer/") ? word.slice("layer/".length) : undefined;
  return isName(layer) ? layerComponent(layer) : undefined;
}

function componentOf(kind: ComponentName, state: ComponentState): ReportedComponent {
  const runningDigest = digestFromBytes(state.runningDigest);
  const runningSince = dateOf(state.runningSince);
  return {
    kind,
    ...(runningDigest === undefined ? {} : { runningDigest }),
    ...(runningDigest === undefined || runningSince === undefined ? {} : { runningSince }),
  };
}

/** An attempt that names no bundle, time or known phase says nothing that could be kept. */
function attemptOf(kind: ComponentName, { lastAttempt }: ComponentState): ReportedAttempt | undefined {
  if (lastAttempt === undefined || !phases.has(lastAttempt.phase)) return undefined;
  const digest = digestFromBytes(lastAttempt.digest);
  const at = dateOf(lastAttempt.at);
  if (digest === undefined || at === undefined) return undefined;
  const { generation, phase } = lastAttempt;
  const reason = text(lastAttempt.reason, 100);
  return {
    kind,
    digest,
    generation: cap(generation),
    at,
    phase,
    reason,
    detail: text(lastAttempt.detail, 4_096),
    logTail: text(lastAttempt.logTail, 4_096),
  };
}

/** The head of the audit log that the agent says it holds; nothing for what cannot be one. */
export function readKnownHead({ auditHead }: SyncRequest): KnownHead | undefined {
  if (auditHead === undefined || auditHead.hash.length !== 32 || auditHead.sequence === 0n) return undefined;
  const { sequence, hash } = auditHead;
  return { sequence: cap(sequence), hash, timeMs: dateOf(auditHead.time)?.getTime() ?? 0 };
}

/** The minutes of a request. Those outside of what can be a minute now are left out: a clock that is wrong by years. */
export function readRates(
  request: SyncRequest,
  agentId: string,
  clusterId: string,
  now: Date,
): readonly RateRow[] {
  return request.rates.flatMap((bucket) => {
    const minute = dateOf(bucket.minute);
    const dayMs = 86_400_000;
    if (minute === undefined || minute.getTime() % 60_000 !== 0) return [];
    if (Math.abs(now.getTime() - minute.getTime()) > 30 * dayMs) return [];
    return [{ agentId, clusterId, minute, ...countsOf(bucket) }];
  });
}

function countsOf(bucket: RateBucket): Omit<RateRow, "agentId" | "clusterId" | "minute"> {
  return {
    events: count(bucket.events),
    bytes: count(bucket.bytes),
    alerts: count(bucket.alerts),
    dropped: count(bucket.dropped),
    parked: count(bucket.parked),
    lagMs: count(bucket.lagMs),
    detectionUs: count(bucket.detectionUs),
    seconds: Math.min(bucket.seconds, 60),
  };
}

/** Far more than any agent counts in a minute; sums over a whole fleet still fit 64 bits. */
const countMax = 2n ** 48n;

function count(value: bigint): bigint {
  return value > countMax ? countMax : value;
}

// The wire has 64 bits without a sign, the database has one.
function cap(value: bigint): bigint {
  const most = 2n ** 62n;
  return value > most ? most : value;
}

/**
 * Undefined outside of the years 1970 to 9999, which neither JavaScript nor Postgres would take, and for nanoseconds that are
 * no part of a second, which would lead out of these years.
 */
export function dateOf(timestamp: Timestamp | undefined): Date | undefined {
  if (timestamp === undefined || timestamp.seconds < 0n || timestamp.seconds > 253_402_300_799n) {
    return undefined;
  }
  if (timestamp.nanos < 0 || timestamp.nanos > 999_999_999) return undefined;
  // Cut off and not rounded up as the library does, or the last moment of 9999 would be the first of the year after.
  return new Date(Number(timestamp.seconds) * 1000 + Math.floor(timestamp.nanos / 1e6));
}

/** Text in bounds. Postgres takes every character but NUL. */
export function text(value: string, charsMax: number): string {
  return value.slice(0, charsMax).replaceAll("\0", "\u{FFFD}").toWellFormed();
}
