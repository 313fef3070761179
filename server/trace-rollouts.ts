import { contextOf, parseTraceparent, type Traces } from "#traces";

import { spansOf, type OnCommitted } from "./domain/rollout-spans.ts";

/** Writes the spans of each step of a rollout that is traced; undefined where nobody records any. */
export function traceRollouts(traces: Traces): OnCommitted | undefined {
  if (!traces.isOn) return undefined;
  return (step) => {
    const call = parseTraceparent(step.before.traceparent ?? "");
    if (call === undefined) return;
    for (const { key, parentKey, ...span } of spansOf(step)) {
      traces.record({
        ...span,
        parent: parentKey === undefined ? call : contextOf(call, parentKey),
        ...(key === undefined ? {} : { as: contextOf(call, key) }),
      });
    }
  };
}
