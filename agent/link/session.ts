import { randomUUID } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { StateReportSchema, SyncRequestSchema } from "#proto/agent/v1/agent";
import type {
  BacktestReport,
  HelloSchema,
  KnownAuditHeadSchema,
  RateBucket,
  ShadowReport,
  SyncRequest,
  SyncResponse,
  TrustVersionsSchema,
} from "#proto/agent/v1/agent";

/** What a session says, read fresh for every message. */
export interface Speaker {
  hello(): MessageInitShape<typeof HelloSchema>;
  /** Grows with every change of what the report would say. */
  reportVersion(): number;
  report(): MessageInitShape<typeof StateReportSchema>;
  /** Where a report that is said now stands in the trace of a rollout; "" for nowhere. */
  traceparent(): string;
  /** The server has the report of this version. */
  reportAcknowledged(version: number): void;
  sign(report: Uint8Array): Uint8Array;
  rates(): readonly RateBucket[];
  trustVersions(): MessageInitShape<typeof TrustVersionsSchema>;
  /** Undefined when no head of the audit log is held. */
  auditHead(): MessageInitShape<typeof KnownAuditHeadSchema> | undefined;
  labelsDigest(): Uint8Array;
  /** The candidate that was offered last; undefined when none was. */
  shadow(): SaidOfShadow | undefined;
  /** The same of what is to be replayed. */
  backtest(): SaidOfBacktest | undefined;
  caBundleVersion(): bigint;
  /** The server has these minutes now. */
  ratesAcknowledged(throughMinuteMs: number): void;
}

/** How a candidate stands. */
export interface SaidOfShadow {
  readonly rolloutId: string;
  readonly isEvaluating: boolean;
  /** Grows with every change of the report. */
  readonly version: number;
  readonly report: ShadowReport;
}

/** How a backtest stands. */
export interface SaidOfBacktest {
  readonly backtestId: string;
  readonly isReplaying: boolean;
  /** Grows with every change of the report. */
  readonly version: number;
  readonly report: BacktestReport;
}

/** One session: builds its messages in sequence and keeps what is not acknowledged. The same for both transports. */
export interface Session {
  readonly id: string;
  next(options?: { waitMs?: number; goodbye?: boolean }): SyncRequest;
  /** Takes the acknowledgement in; everything else in the answer is the caller's. */
  acknowledge(response: SyncResponse): void;
  /** True when there is something to say that the server does not know. */
  hasNews(): boolean;
}

export function createSession(speaker: Speaker, transport: "stream" | "long-poll"): Session {
  const id = randomUUID();
  let sequence = 0n;
  let sayHello = true;
  let acknowledgedVersion = -1;
  const inFlight = new Map<bigint, Sent>();
  let known: Known = {};

  return {
    id,
    hasNews: () => sayHello || speaker.reportVersion() !== acknowledgedVersion,
    next({ waitMs = 0, goodbye = false } = {}) {
      sequence += 1n;
      const version = speaker.reportVersion();
      // A goodbye begins nothing: one that came late with a hello would take over from the session after it.
      const saysHello = sayHello && !goodbye;
      const says = sayHello || version !== acknowledgedVersion;
      const report = says ? buildReport(speaker, id, sequence) : undefined;
      const rates = speaker.rates();
      const auditHead = speaker.auditHead();
      const shadow = speaker.shadow();
      const backtest = speaker.backtest();
      const said = saidOf(shadow, backtest);
      const minuteMs = lastMinuteOver(rates);
      inFlight.set(sequence, { version: says ? version : undefined, minuteMs, said });
      forgetOldest(inFlight);
      return create(SyncRequestSchema, {
        sessionId: id,
        sequence,
        ...(saysHello ? { hello: { ...speaker.hello(), transport } } : {}),
        ...(report === undefined ? {} : signed(speaker, report)),
        rates: [...rates],
        trustVersions: speaker.trustVersions(),
        labelsDigest: speaker.labelsDigest(),
        caBundleVersion: speaker.caBundleVersion(),
        ...(auditHead === undefined ? {} : { auditHead }),
        // Always there, so that the server knows that this agent takes offers.
        shadow: shadow === undefined ? {} : shadowStanding(shadow, said.shadow === known.shadow),
        backtest: backtest === undefined ? {} : backtestStanding(backtest, said.backtest === known.backtest),
        waitMs,
        goodbye,
      });
    },
    acknowledge(response) {
      sayHello = response.needHello;
      if (response.needHello) {
        sequence = 0n;
        acknowledgedVersion = -1;
        inFlight.clear();
        known = {};
        return;
      }
      for (const [sent, what] of inFlight) {
        if (sent > response.ackSequence) continue;
        inFlight.delete(sent);
        acknowledgedVersion = Math.max(acknowledgedVersion, what.version ?? -1);
        if (what.version !== undefined) speaker.reportAcknowledged(what.version);
        known = what.said;
        speaker.ratesAcknowledged(what.minuteMs);
      }
    },
  };
}

/** A report, signed, with where it stands in a trace. */
function signed(speaker: Speaker, report: Uint8Array) {
  return { report, reportSignature: speaker.sign(report), traceparent: speaker.traceparent() };
}

/** What a message said, to be remembered once it is acknowledged. */
interface Sent {
  readonly version: number | undefined;
  readonly minuteMs: number;
  readonly said: Known;
}

/** Which reports about candidates the server has. */
interface Known {
  readonly shadow?: string | undefined;
  readonly backtest?: string | undefined;
}

function saidOf(shadow: SaidOfShadow | undefined, backtest: SaidOfBacktest | undefined): Known {
  return {
    shadow: shadow && `${shadow.rolloutId} ${shadow.version}`,
    backtest: backtest && `${backtest.backtestId} ${backtest.version}`,
  };
}

function shadowStanding({ rolloutId, isEvaluating, report }: SaidOfShadow, isKnown: boolean) {
  return { rolloutId, isEvaluating, ...(isKnown ? {} : { report }) };
}

function backtestStanding({ backtestId, isReplaying, report }: SaidOfBacktest, isKnown: boolean) {
  return { backtestId, isReplaying, ...(isKnown ? {} : { report }) };
}

function buildReport(speaker: Speaker, sessionId: string, sequence: bigint): Uint8Array {
  const report = create(StateReportSchema, {
    ...speaker.report(),
    sessionId,
    sequence,
    time: timestampFromMs(Date.now()),
  });
  return toBinary(StateReportSchema, report);
}

/** The newest minute that is complete. The one in work may grow before its acknowledgement comes, and is sent again. */
function lastMinuteOver(rates: readonly RateBucket[]): number {
  const minute = rates.at(-2)?.minute;
  return minute === undefined ? -1 : Number(minute.seconds) * 1000;
}

const inFlightMax = 64;

/** What a server leaves unacknowledged for so long is said again, and need not be remembered. */
function forgetOldest(inFlight: Map<bigint, unknown>): void {
  const [oldest] = inFlight.keys();
  if (inFlight.size > inFlightMax && oldest !== undefined) inFlight.delete(oldest);
}
