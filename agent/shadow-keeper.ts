import type { SaidOfShadow } from "./link/session.ts";
import { create, equals } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Logger } from "pino";
import { ShadowReportSchema } from "#proto/agent/v1/agent";
import type { Envelope, ShadowOffer, ShadowReport } from "#proto/agent/v1/agent";
import { problemOf } from "./agent-error.ts";
import type { BundleStore } from "./bundles.ts";
import { reportOf } from "./candidate-report.ts";
import type { KeptPipeline } from "./keep-pipeline.ts";
import type { AgentConnection } from "./link/clients.ts";
import type { ShadowOrder, TrustStore } from "./trust-store.ts";

export interface ShadowPorts {
  readonly trust: Pick<TrustStore, "acceptShadow" | "checkTarget">;
  /** A store of its own: what applies bundles knows nothing of candidates. */
  readonly candidates: BundleStore;
  readonly pipeline: Pick<KeptPipeline, "beginShadow" | "endShadow" | "shadowFigures">;
  readonly client: () => AgentConnection["client"] | undefined;
  readonly org: string;
  /** Told when there is more to report. */
  readonly onChange: () => void;
  readonly log: Logger;
  /** Ends it, with its timers. */
  readonly signal: AbortSignal;
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
      if (offer === undefined) return;
      if (offer.rolloutId === "") return stop(ports, own);
      const rolloutId = offer.rolloutId.slice(0, 100);
      if (rolloutId === own?.rolloutId) return;
      own = {
        rolloutId,
        envelope: offer.order,
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
    const order = own.envelope && ports.trust.acceptShadow(own.envelope, new Date());
    if (order?.ok !== true) {
      const { code, message } = order?.refusal ?? {
        code: "trust/malformed",
        message: "it came without order",
      };
      return end(ports, own, "refused", code, message);
    }
    if (order.value.rolloutId !== own.rolloutId) {
      return end(ports, own, "refused", "trust/malformed", "The order is for another shadow than the offer");
    }
    own.order = order.value;
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
  const listed = ports.trust.checkTarget(target);
  if (!listed.ok) {
    return tell(ports, own, { ...waiting, reason: listed.refusal.code, detail: listed.refusal.message });
  }
  const path = await ports.candidates.stage(target, ports.client(), ports.signal);
  await ports.candidates.prune([target.sha256]);
  if (!isWanted()) return;
  const released = { org: ports.org, path: target.path };
  const rules = { path, digest: `sha256:${target.sha256}`, released };
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
  const next = create(ShadowReportSchema, { ...report, detail: (report.detail ?? "").slice(0, 1000) });
  if (own.version > 0 && equals(ShadowReportSchema, own.report, next)) return;
  own.report = next;
  own.version += 1;
  // Figures go with the next message; what changes is worth one of its own.
  if (own.isOver) ports.onChange();
}
