import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ShadowReportSchema } from "#proto/agent/v1/agent";
import type { ShadowReport } from "#proto/agent/v1/agent";
import { timestampOf } from "./alerts.ts";
import type { ShadowFigures } from "./pipeline/pipeline.ts";

type Figures = Omit<ShadowFigures, "state"> & { readonly state: string };

/** What a candidate gave, as it is reported. */
export function reportOf(figures: Figures): ShadowReport {
  const { state, reason, detail, sinceMs, rulesLeftOut } = figures;
  return create(ShadowReportSchema, {
    state,
    reason,
    detail,
    since: timestampFromMs(sinceMs),
    events: BigInt(figures.events),
    skipped: BigInt(figures.skipped),
    undecided: BigInt(figures.undecided),
    failures: BigInt(figures.failures),
    evaluationUs: BigInt(figures.evaluationUs),
    rulesLeftOut,
    rules: figures.rules.map(({ rule, samples, ...counts }) => ({
      rule,
      now: BigInt(counts.now),
      candidate: BigInt(counts.candidate),
      new: BigInt(counts.new),
      gone: BigInt(counts.gone),
      samples: samples.map(({ isGone, time, fields }) => ({
        isGone,
        time: timeOf(time),
        fields: { ...fields },
      })),
    })),
  });
}

/** An alert whose time cannot be read is still a sample. */
function timeOf(time: string) {
  try {
    return timestampOf(time);
  } catch {
    return timestampFromMs(0);
  }
}
