import { setTimeout as pause } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { BacktestReportSchema } from "#proto/agent/v1/agent";
import type { BacktestOffer, BacktestReport, Envelope, ShadowReport } from "#proto/agent/v1/agent";
import { problemOf } from "./agent-error.ts";
import { openBacktestStarts } from "./backtest-starts.ts";
import type { BacktestStarts } from "./backtest-starts.ts";
import { reportOf } from "./candidate-report.ts";
import { detailCharsMax, fetchCandidate, offered, readOrder, takeReport } from "./candidate-work.ts";
import type { CandidatePorts } from "./candidate-work.ts";
import type { KeptPipeline } from "./keep-pipeline.ts";
import type { SaidOfBacktest } from "./link/session.ts";
import { runBacktest } from "./pipeline/backtest.ts";
import type { BacktestFigures, BacktestRequest } from "./pipeline/backtest.ts";
import type { RuleGuard } from "./pipeline/protect.ts";
import type { BacktestOrder, TrustStore } from "./trust-store.ts";

export interface BacktestPorts extends CandidatePorts {
  readonly trust: Pick<TrustStore, "acceptBacktest" | "checkTarget" | "checkLayer">;
  readonly startsPath: string;
  readonly pipeline: Pick<KeptPipeline, "backtestSource">;
  readonly guard: RuleGuard;
}

/**
 * Has the last events replayed over a candidate, from the server's signed order to its end. It is kept in memory only: an agent
 * that starts again is offered it again, and replays from the beginning.
 */
export interface BacktestKeeper {
  take(offer: BacktestOffer | undefined): void;
  /** Undefined while nothing was offered. */
  standing(): SaidOfBacktest | undefined;
}

interface Own {
  readonly backtestId: string;
  readonly calledOff: AbortController;
  isOver: boolean;
  version: number;
  toldMs: number;
  report: BacktestReport;
}

const lookMs = 2_000;
/** How often progress is worth a message of its own. */
const progressMs = 2_000;
/** A replay that took the agent with it so often is not tried again. */
const startsMax = 3;

export function keepBacktest(ports: BacktestPorts): BacktestKeeper {
  const starts = openBacktestStarts(ports.startsPath);
  let own: Own | undefined;
  return {
    standing: () => own && { ...own, isReplaying: !own.isOver },
    take(offer) {
      const asked = offered(offer?.backtestId, own?.backtestId);
      if (asked === "nothing") return;
      if (asked === "end") return own?.calledOff.abort(new Error("The server ended it"));
      own?.calledOff.abort(new Error("Another backtest took its place"));
      const next = newOwn(asked.id);
      own = next;
      tell(ports, next, { state: "preparing" });
      void run(ports, next, offer?.order, starts);
    },
  };
}

function newOwn(backtestId: string): Own {
  const report = create(BacktestReportSchema);
  return { backtestId, calledOff: new AbortController(), isOver: false, version: 0, toldMs: 0, report };
}

/** Verify, fetch and replay. Never rejects. */
async function run(
  ports: BacktestPorts,
  own: Own,
  envelope: Envelope | undefined,
  starts: BacktestStarts,
): Promise<void> {
  const verify = (signed: Envelope) => ports.trust.acceptBacktest(signed, new Date());
  const read = readOrder("backtest", own.backtestId, envelope, verify, ({ backtestId }) => backtestId);
  if (!("order" in read)) return end(ports, own, "refused", read.reason, read.detail);
  const late = AbortSignal.timeout(Math.max(0, read.order.deadlineMs - Date.now()));
  const signal = AbortSignal.any([ports.signal, own.calledOff.signal, late]);
  try {
    const request = await prepare(ports, own, read.order, signal);
    if (request === undefined) return;
    await replay(ports, own, request, starts, signal);
  } catch (error) {
    const { code, message } = problemOf(error, "backtest/crashed");
    if (own.calledOff.signal.aborted) {
      end(ports, own, "stopped", "backtest/ended", (own.calledOff.signal.reason as Error).message);
    } else if (late.aborted) {
      const { reason = "", detail = "" } = own.report.figures ?? {};
      const why = reason === "" ? "" : `: ${reason}: ${detail}`;
      end(ports, own, "stopped", "backtest/too-late", `It was not done when its time was over${why}`);
    } else end(ports, own, "stopped", code, message);
  }
}

/** What is needed for a replay, as soon as all of it is there; undefined when there will be none. */
async function prepare(
  ports: BacktestPorts,
  own: Own,
  { target, sinceMs, untilMs }: BacktestOrder,
  signal: AbortSignal,
): Promise<BacktestRequest | undefined> {
  for (;;) {
    const found = await look(ports, target, signal);
    if (found.ok) {
      const { source, candidate } = found;
      return { ...source, candidate, guard: ports.guard, span: { sinceMs, untilMs } };
    }
    const { reason, detail } = found;
    if (reason === "backtest/no-ring") {
      end(ports, own, "refused", reason, detail);
      return undefined;
    }
    tell(ports, own, { state: "preparing", reason, detail });
    await pause(lookMs, undefined, { signal });
  }
}

async function look(ports: BacktestPorts, target: BacktestOrder["target"], signal: AbortSignal) {
  const refused = (reason: string, detail: string) => ({ ok: false, reason, detail }) as const;
  try {
    const fetched = await fetchCandidate(ports, target, signal);
    if (!("candidate" in fetched)) return refused(fetched.reason, fetched.detail);
    const found = await ports.pipeline.backtestSource();
    if (found === undefined) return refused("pipeline/away", "The pipeline is being started again");
    if (!found.ok) return refused(found.reason, found.detail);
    return { ok: true, source: found.source, candidate: fetched.candidate } as const;
  } catch (error) {
    signal.throwIfAborted();
    const { code, message } = problemOf(error, "backtest/failed");
    return refused(code, message);
  }
}

async function replay(
  ports: BacktestPorts,
  own: Own,
  request: BacktestRequest,
  starts: BacktestStarts,
  signal: AbortSignal,
): Promise<void> {
  if (starts.begin(own.backtestId) > startsMax) {
    const detail = `The agent ended ${startsMax} times while it replayed this candidate, which is not tried again`;
    return end(ports, own, "refused", "backtest/crashed", detail);
  }
  const { backtestId } = own;
  ports.log.info(
    { backtestId, path: request.candidate.released?.path ?? request.candidate.path },
    "the last events are replayed over a candidate",
  );
  let last: BacktestFigures | undefined;
  const onFigures = (figures: BacktestFigures) => {
    last = figures;
    if (figures.state === "replaying") tell(ports, own, reportOf(figures), figures);
  };
  // Also when the agent stops in good order: what counts is that it was killed.
  const refused = await runBacktest(request, onFigures, signal).finally(() => starts.end());
  if (refused !== undefined) return end(ports, own, "refused", refused.reason, refused.detail);
  if (last === undefined) throw new Error("A replay gave nothing");
  own.isOver = true;
  ports.log.info(
    { backtestId, events: last.events, state: last.state },
    "the replay of the last events is over",
  );
  tell(ports, own, reportOf(last), last);
}

/** What was counted so far stays reported. */
function end(
  ports: BacktestPorts,
  own: Own,
  state: "stopped" | "refused",
  reason: string,
  detail: string,
): void {
  own.isOver = true;
  if (ports.signal.aborted) return;
  ports.log.warn(
    { backtestId: own.backtestId, reason, detail },
    `the replay of the last events was ${state}`,
  );
  tell(ports, own, { ...own.report.figures, state, reason, detail });
}

function tell(
  ports: BacktestPorts,
  own: Own,
  figures: Partial<Omit<ShadowReport, "$typeName" | "$unknown">>,
  progress?: Pick<BacktestFigures, "bytesDone" | "bytesTotal" | "missing" | "oldestMs">,
): void {
  const { bytesDone, bytesTotal, missing, oldest } = own.report;
  const next = create(BacktestReportSchema, {
    figures: { ...figures, detail: (figures.detail ?? "").slice(0, detailCharsMax) },
    ...(progress === undefined
      ? { bytesDone, bytesTotal, missing, ...(oldest && { oldest }) }
      : countsOf(progress)),
  });
  if (!takeReport(BacktestReportSchema, own, next)) return;
  const nowMs = performance.now();
  if (!own.isOver && own.version > 1 && nowMs - own.toldMs < progressMs) return;
  own.toldMs = nowMs;
  ports.onChange();
}

function countsOf(progress: Pick<BacktestFigures, "bytesDone" | "bytesTotal" | "missing" | "oldestMs">) {
  const { bytesDone, bytesTotal, missing, oldestMs } = progress;
  return {
    bytesDone: BigInt(bytesDone),
    bytesTotal: BigInt(bytesTotal),
    missing: BigInt(missing),
    ...(oldestMs === undefined ? {} : { oldest: timestampFromMs(Math.round(oldestMs)) }),
  };
}
