import type { ResponsePolicy } from "#layers";
import type { Alert } from "#engine";
import type { ResponseCandidate } from "../respond/responder.ts";

/** So many a second leave the thread; of a flood no more is looked at. */
const perSecondMax = 100;

/** Hands alerts that responses are about to the main thread, at a bounded rate. `missed` were left out before. */
export function createResponseGate(
  post: (candidate: ResponseCandidate, missed: number) => void,
  nowMs: () => number = () => performance.now(),
): (candidate: ResponseCandidate) => void {
  let second = 0;
  let count = 0;
  let missed = 0;
  return (candidate) => {
    const now = Math.floor(nowMs() / 1000);
    if (now !== second) [second, count] = [now, 0];
    count += 1;
    if (count > perSecondMax) {
      missed += 1;
      return;
    }
    post(candidate, missed);
    missed = 0;
  };
}

/**
 * What responses look at of an alert; undefined when none is about its rule. Its time is the event's own: the record may be
 * an envelope with events of hours ago.
 */
export function candidateOf(
  alert: Alert,
  id: string,
  responses: readonly ResponsePolicy[],
  rulesDigest: string,
): ResponseCandidate | undefined {
  const policies = responses.filter(({ rules }) => rules.includes(alert.rule));
  if (policies.length === 0) return undefined;
  const { output_fields: fields = {} } = JSON.parse(alert.body) as {
    output_fields?: Record<string, unknown>;
  };
  const timeMs = Date.parse(alert.time);
  return { alert: { id, rule: alert.rule, timeMs, fields, rulesDigest }, policies };
}
