import type { SaidOfShadow } from "./link/session.ts";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ShadowReportSchema } from "#proto/agent/v1/agent";
import type { Envelope, ShadowOffer, ShadowReport } from "#proto/agent/v1/agent";
import { problemOf } from "./agent-error.ts";
import { reportOf } from "./candidate-report.ts";
import { detailCharsMax, fetchCandidate, offered, readOrder, takeReport } from "./candidate-work.ts";
import type { CandidatePorts } from "./candidate-work.ts";
import type { KeptPipeline } from "./keep-pipeline.ts";
import type { ShadowOrder, TrustStore } from "./trust-store.ts";

export interface ShadowPorts extends CandidatePorts {
  readonly trust: Pick<TrustStore, "acceptShadow" | "checkTarget" | "checkLayer">;
  readonly pipeline: Pick<KeptPipeline, "beginShadow" | "endShadow" | "shadowFigures">;
}

/**
 * Has a candidate evaluated beside what runs, from the server's signed order to its end. It is kept in memory only: an
 * agent that starts again is offered it again, and begins to count anew.
 */
export interface ShadowKeeper {
  take(offer: ShadowOffer | undefined): void;
  /** Undefined while nothing was offered. */
  standing(): SaidOfShadow | undefined;
  /** The worker died; a candidate that it evaluated is not tried again. */
  workerDied(because: string): void;
}

interface Own {
  readonly rolloutId: string;
  readonly envelope: Envelope | undefined;
  order: ShadowOrder | undefined;
  isOver: boolean;
  isBegun: boolean;
  version: number;
  report: ShadowReport;
}

const lookMs = 2_000;

export function keepShadow(ports: ShadowPorts): ShadowKeeper {
  let own: Own | undefined;
  let timer: NodeJS.Timeout | undefined;
  let turn = Promise.resolve();

  const look = (): void => {
    clearTimeout(timer);
    turn = turn.then(async () => {
      const at = own;
      if (at === undefined || at.isOver || ports.signal.aborted) return;
      try {
        await step(ports, at, () => own === at && !at.isOver);
      } catch (error) {
        const { code, message } = problemOf(error, "shadow/failed");
        tell(ports, at, { state: "preparing", reason: code, detail: message });
      }
      if (own === at && !at.isOver && !ports.signal.aborted) timer = setTimeout(look, lookMs);
    });
  };
  ports.signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  return {
    standing: () => own && { ...own, isEvaluating: !own.isOver },
    take(offer) {
      const asked = offered(offer?.rolloutId, own?.rolloutId);
      if (asked === "nothing") return;
      if (asked === "end") return stop(ports, own);
      own = {
        rolloutId: asked.id,
        envelope: offer?.order,
        order: undefined,
        isOver: false,
        isBegun: false,
        version: 0,
        report: create(ShadowReportSchema, { state: "preparing" }),
      };
      tell(ports, own, { state: "preparing" });
      look();
    },
    workerDied(because) {
      if (own === undefined || own.isOver || !own.isBegun) return;
      const detail = `The pipeline died while it evaluated the candidate, which is not tried again: ${because}`;
      end(ports, own, "stopped", "pipeline/crashed", detail);
    },
  };
}

/** Verify, fetch and begin, each until it works; then look at what was counted. */
async function step(ports: ShadowPorts, own: Own, isWanted: () => boolean): Promise<void> {
  if (own.order === undefined) {
    const verify = (envelope: Envelope) => ports.trust.acceptShadow(envelope, new Date());
    const read = readOrder("shadow", own.rolloutId, own.envelope, verify, ({ rolloutId }) => rolloutId);
    if (!("order" in read)) return end(ports, own, "refused", read.reason, read.detail);
    own.order = read.order;
  }
  if (!own.isBegun) return begin(ports, own, own.order, isWanted);
  const figures = await ports.pipeline.shadowFigures();
  if (figures === undefined || !isWanted()) return;
  own.isOver = figures.state !== "evaluating";
  tell(ports, own, reportOf(figures));
}

async function begin(
  ports: ShadowPorts,
  own: Own,
  order: ShadowOrder,
  isWanted: () => boolean,
): Promise<void> {
  const { target, untilMs } = order;
  if (Date.now() >= untilMs) {
    const { reason, detail } = own.report;
    return end(ports, own, "refused", reason === "" ? "shadow/too-late" : reason, detail);
  }
  const fetched = await fetchCandidate(ports, target, ports.signal);
  if (!("candidate" in fetched)) return tell(ports, own, { ...waiting, ...fetched });
  if (!isWanted()) return;
  const rules = fetched.candidate;
  // From here on the candidate may be what the worker dies of.
  own.isBegun = true;
  const begun = await ports.pipeline.beginShadow({ rules, untilMs });
  if (!isWanted()) return void (await ports.pipeline.endShadow());
  own.isBegun = begun?.ok === true;
  if (begun === undefined) return;
  if (begun.ok) {
    ports.log.info(
      { rolloutId: own.rolloutId, path: target.path },
      "a candidate is evaluated beside what runs",
    );
    return tell(ports, own, { state: "evaluating", since: timestampFromMs(Date.now()) });
  }
  const { reason, detail } = begun;
  if (reason === "shadow/nothing-runs") return tell(ports, own, { ...waiting, reason, detail });
  end(ports, own, "refused", reason, detail);
}

const waiting = { state: "preparing" };

/** The server wants it no longer; what was counted so far stays reported. */
function stop(ports: ShadowPorts, own: Own | undefined): void {
  if (own === undefined || own.isOver) return;
  own.isOver = true;
  void ports.pipeline.endShadow();
  tell(ports, own, {
    ...own.report,
    state: "stopped",
    reason: "shadow/ended",
    detail: "The server ended it",
  });
}

function end(
  ports: ShadowPorts,
  own: Own,
  state: "stopped" | "refused",
  reason: string,
  detail: string,
): void {
  own.isOver = true;
  ports.log.warn({ rolloutId: own.rolloutId, reason, detail }, `the evaluation of a candidate was ${state}`);
  tell(ports, own, { ...own.report, state, reason, detail });
}

function tell(
  ports: ShadowPorts,
  own: Own,
  report: Partial<Omit<ShadowReport, "$typeName" | "$unknown">>,
): void {
  const detail = (report.detail ?? "").slice(0, detailCharsMax);
  if (!takeReport(ShadowReportSchema, own, create(ShadowReportSchema, { ...report, detail }))) return;
  // Figures go with the next message; what changes is worth one of its own.
  if (own.isOver) ports.onChange();
}
