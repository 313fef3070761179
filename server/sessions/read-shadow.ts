import type { ShadowReport, SyncRequest } from "#proto/agent/v1/agent";

import type { BacktestRow } from "../store/backtests.ts";
import type { CandidateReport, CandidateRuleRow, CandidateSampleRow } from "../store/candidate-reports.ts";
import type { ShadowRow } from "../store/shadows.ts";
import { dateOf, text } from "./read-request.ts";

const rulesMax = 200;
const samplesPerRule = 3;
const samplesMax = 40;
const fieldsMax = 12;
const charsMax = 128;
const idCharsMax = 100;
const shadowStates = new Set(["preparing", "evaluating", "done", "stopped", "refused"]);
const backtestStates = new Set(["preparing", "replaying", "done", "stopped", "refused"]);
/** Numbers beyond it do not fit JSON, and no agent counts so far. */
const countMax = 2n ** 48n;

/** Who reports. */
interface Reporter {
  readonly agentId: string;
  readonly clusterId: string;
}

/** What a message says of a candidate beside what runs, in bounds; what is beyond them is left out, as agents of ours send no such thing. */
export function readShadow(request: SyncRequest, reporter: Reporter): ShadowRow | undefined {
  const { rolloutId = "", report } = request.shadow ?? {};
  if (report === undefined || !isKnown(rolloutId, report, shadowStates)) return undefined;
  return { rolloutId: text(rolloutId, idCharsMax), ...readReport(report, reporter) };
}

/** The same of a candidate that is replayed. */
export function readBacktest(request: SyncRequest, reporter: Reporter): BacktestRow | undefined {
  const { backtestId = "", report } = request.backtest ?? {};
  const figures = report?.figures;
  if (figures === undefined || !isKnown(backtestId, figures, backtestStates)) return undefined;
  return {
    backtestId: text(backtestId, idCharsMax),
    ...readReport(figures, reporter),
    bytesDone: cap(report?.bytesDone ?? 0n),
    bytesTotal: cap(report?.bytesTotal ?? 0n),
    missing: cap(report?.missing ?? 0n),
    oldest: dateOf(report?.oldest),
  };
}

function isKnown(id: string, { state }: ShadowReport, states: ReadonlySet<string>): boolean {
  return id !== "" && id.length <= idCharsMax && states.has(state);
}

function readReport(report: ShadowReport, { agentId, clusterId }: Reporter): CandidateReport {
  let room = samplesMax;
  const rules = report.rules.slice(0, rulesMax).map((each): CandidateRuleRow => {
    const samples = each.samples.slice(0, Math.min(samplesPerRule, room));
    room -= samples.length;
    return {
      rule: text(each.rule, 300),
      now: Number(cap(each.now)),
      candidate: Number(cap(each.candidate)),
      new: Number(cap(each.new)),
      gone: Number(cap(each.gone)),
      samples: samples.map(({ isGone, time, fields }): CandidateSampleRow => ({
        isGone,
        timeMs: dateOf(time)?.getTime() ?? 0,
        fields: Object.fromEntries(
          Object.entries(fields)
            .slice(0, fieldsMax)
            .map(([name, value]) => [text(name, charsMax), text(value, charsMax)]),
        ),
      })),
    };
  });
  return {
    agentId,
    clusterId,
    state: report.state,
    reason: text(report.reason, 100),
    detail: text(report.detail, 1_000),
    since: dateOf(report.since),
    events: cap(report.events),
    skipped: cap(report.skipped),
    undecided: cap(report.undecided),
    failures: cap(report.failures),
    evaluationUs: cap(report.evaluationUs),
    rules,
  };
}

function cap(count: bigint): bigint {
  return count > countMax ? countMax : count;
}
