import assert from "node:assert/strict";
import { test } from "node:test";
import { parseTraceparent, traceparentOf, type SpanRecord, type SpanStart, type Traces } from "#traces";
import { createApplyTrace } from "./apply-trace.ts";
import type { AttemptRecord } from "./current.ts";
import type { Target } from "./domain/apply-plan.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const pushed = traceparentOf(traceId, "b7ad6b7169203331", true);
const target: Target = { kind: "rules", path: "rules/starter/1", length: 1, sha256: "ab" };
const record: AttemptRecord = {
  sha256: "ab",
  generation: 7,
  phase: "applied",
  reason: "",
  detail: "",
  atMs: 0,
};

/** Traces that remember the names of spans, each under the name of its parent. */
function remembering() {
  const names = new Map<string, string>([[pushed, "push"]]);
  const spans: string[] = [];
  const note = (name: string, { parent }: SpanStart) => {
    const context = traceparentOf(traceId, String(names.size).padStart(16, "0"), true);
    names.set(context, name);
    spans.push(`${names.get(parent ?? "") ?? ""} > ${name}`);
    return context;
  };
  const traces: Traces = {
    isOn: true,
    begin: (name, start = {}) => ({ context: note(name, start), note: () => {}, end: () => {} }),
    record: (span: SpanRecord) => note(span.name, span),
    limited: () => {},
    counts: () => ({ exported: 0, failed: 0, dropped: 0, limited: 0 }),
    stop: () => Promise.resolve(),
  };
  return { spans, traces, nameOf: (context: string) => names.get(context) ?? "" };
}

function tracing() {
  const { spans, traces, nameOf } = remembering();
  const own = { version: 1, running: "" };
  const trace = createApplyTrace({
    traces,
    who: () => ({ clusterId: "cl_1", clusterName: "eu-1", agentId: "ag_1" }),
    reportVersion: () => own.version,
    running: () => own.running,
  });
  return { spans, nameOf, own, trace };
}

test("an assignment that is offered again without a trace goes on in the one that it came with", async () => {
  const { spans, trace } = tracing();
  trace.took({ traceparent: pushed, generation: 7, fromMs: 0 });
  trace.took({ traceparent: "", generation: 7, fromMs: 0 });
  await trace.attempt(
    target,
    7,
    () => record,
    async () => undefined,
  );
  assert.deepEqual(spans, ["push > take assignment", "take assignment > attempt"]);
  trace.took({ traceparent: "", generation: 8, fromMs: 0 });
  await trace.attempt(
    target,
    8,
    () => record,
    async () => undefined,
  );
  assert.equal(spans.length, 2, "another assignment is none of that trace");
});

test("the first report that proves stands under the attempt, also before that is written down, until the server has it", async () => {
  const { spans, nameOf, own, trace } = tracing();
  trace.took({ traceparent: pushed, generation: 7, fromMs: 0 });
  await trace.attempt(
    target,
    7,
    () => record,
    async () => {
      assert.equal(nameOf(trace.telling()), "attempt");
      own.version = 2;
      own.running = "ab";
      assert.equal(nameOf(trace.telling()), "tell proof");
      trace.decided("proof");
    },
  );
  assert.equal(spans.at(-1), "attempt > tell proof");
  trace.told(1);
  assert.equal(nameOf(trace.telling()), "tell proof", "an older report says nothing of it");
  trace.told(2);
  assert.equal(trace.telling(), "");
});

test("what the server sent in the place of a trace is no trace, and one that nobody records is none either", () => {
  const { spans, trace } = tracing();
  const unrecorded = traceparentOf(traceId, "b7ad6b7169203331", false);
  for (const traceparent of ["nonsense".repeat(1_000), unrecorded]) {
    trace.took({ traceparent, generation: 7, fromMs: 0 });
  }
  assert.deepEqual(spans, []);
  assert.ok(parseTraceparent(unrecorded));
});
