import assert from "node:assert/strict";
import { test } from "node:test";

import { noTraces, parseTraceparent, type SpanRecord, type Traces } from "#traces";

import type { Report } from "../store/reports.ts";
import type { Desired } from "./desired.ts";
import { createTraceBook, tracePush, traceReport } from "./trace-agent.ts";

const rollout = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
const pushed = `00-${"a".repeat(32)}-${"c".repeat(16)}-01`;
const desired = (generation: bigint): Desired =>
  ({
    clusterId: "cl_1",
    generation,
    targets: [],
    layers: [],
    trace: { rolloutId: "ro_1", traceparent: rollout },
  }) as unknown as Desired;
const report = (observedGeneration: bigint): Report =>
  ({ observedGeneration, components: [], attempts: [] }) as unknown as Report;
const session = (sessionId: string, agentId = "ag_1") => ({ caller: { agentId }, sessionId });

function recorder(agentsMax?: number) {
  const spans: SpanRecord[] = [];
  const traces: Traces = {
    ...noTraces,
    isOn: true,
    record: (span) => {
      spans.push(span);
      return parseTraceparent(pushed);
    },
  };
  return {
    ports: { traces, traced: createTraceBook(agentsMax) },
    names: () => spans.map(({ name }) => name),
  };
}

test("an agent that repeats its proof with every long poll, in whatever sessions, makes one span of it", () => {
  const { ports, names } = recorder();
  const say = (sessionId: string, generation: bigint) => {
    const taken = { report: report(generation), traceparent: pushed, fromMs: 0 };
    traceReport(ports, session(sessionId), desired(generation), taken);
  };
  for (let call = 0; call < 100; call += 1) say(`se_${call % 5}`, 7n);
  assert.deepEqual(names(), ["take proof"]);
  say("se_1", 8n);
  assert.equal(names().length, 2);
});

test("what an agent is sent again is one push, whose context it gets once in each session", () => {
  const { ports, names } = recorder();
  const push = (sessionId: string) => tracePush(ports, session(sessionId), desired(7n));
  assert.deepEqual([push("se_1"), push("se_1"), push("se_2"), push("se_2")], [pushed, "", pushed, ""]);
  assert.deepEqual(names(), ["push"]);
});

test("what is remembered of traced agents has a bound, and the first is forgotten first", () => {
  const { ports, names } = recorder(2);
  for (const agentId of ["ag_1", "ag_2", "ag_3", "ag_3", "ag_1"]) {
    tracePush(ports, session("se_1", agentId), desired(7n));
  }
  assert.equal(names().length, 4);
});
