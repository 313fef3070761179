import type { SyncRequest } from "#proto/agent/v1/agent";

import type { ShadowRow, ShadowRuleRow, ShadowSampleRow } from "../store/shadows.ts";
import { dateOf, text } from "./read-request.ts";

const rulesMax = 200;
const samplesPerRule = 3;
const samplesMax = 40;
const fieldsMax = 12;
const charsMax = 128;
const states = new Set(["preparing", "evaluating", "done", "stopped", "refused"]);
/** Numbers beyond it do not fit JSON, and no agent counts so far. */
const countMax = 2n ** 48n;

/** What a message says of a candidate, in bounds; what is beyond them is left out, as agents of ours send no such thing. */
export function readShadow(request: SyncRequest, agentId: string, clusterId: string): ShadowRow | undefined {
  const { rolloutId = "", report } = request.shadow ?? {};
  if (report === undefined || rolloutId === "" || rolloutId.length > 100 || !states.has(report.state)) {
    return undefined;
  }
  let room = samplesMax;
  const rules = report.rules.slice(0, rulesMax).map((each): ShadowRuleRow => {
    const samples = each.samples.slice(0, Math.min(samplesPerRule, room));
    room -= samples.length;
    return {
      rule: text(each.rule, 300),
      now: Number(cap(each.now)),
      candidate: Number(cap(each.candidate)),
      new: Number(cap(each.new)),
      gone: Number(cap(each.gone)),
      samples: samples.map(({ isGone, time, fields }): ShadowSampleRow => ({
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
    rolloutId: text(rolloutId, 100),
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
