import { contextOf, isRecorded, parseTraceparent, traceIdOf, type Attributes, type Traces } from "#traces";

import { clusterKey } from "../domain/rollout-spans.ts";
import type { Report } from "../store/reports.ts";
import type { Desired } from "./desired.ts";

/** What of an agent is in a trace already: one that says the same again and again, in whatever sessions, is one span. */
interface TracedAgent {
  pushed?: { readonly generation: bigint; readonly sessionId: string; readonly context: string };
  taken?: bigint;
}

/** Of the agents that speak with this server. Those that were traced first are forgotten first. */
export interface TraceBook {
  of(agentId: string): TracedAgent;
}

export function createTraceBook(agentsMax = 50_000): TraceBook {
  const agents = new Map<string, TracedAgent>();
  return {
    of: (agentId) => {
      const known = agents.get(agentId);
      if (known !== undefined) return known;
      const [oldest] = agents.keys();
      if (agents.size >= agentsMax && oldest !== undefined) agents.delete(oldest);
      const agent: TracedAgent = {};
      agents.set(agentId, agent);
      return agent;
    },
  };
}

/** Where spans go, and what is in them already. */
export interface AgentTraces {
  readonly traces: Traces;
  readonly traced: TraceBook;
}

interface TracedSession {
  readonly caller: { readonly agentId: string };
  readonly sessionId: string;
}

/**
 * The span of an assignment that is sent to an agent, under that of its cluster; its context, to be sent along, once in each
 * session.
 */
export function tracePush({ traces, traced }: AgentTraces, session: TracedSession, desired: Desired): string {
  if (!traces.isOn || desired.trace === null) return "";
  const call = parseTraceparent(desired.trace.traceparent);
  if (call === undefined) return "";
  const { sessionId } = session;
  const { generation } = desired;
  const agent = traced.of(session.caller.agentId);
  if (agent.pushed?.generation === generation) {
    if (agent.pushed.sessionId === sessionId) return "";
    // The answer may have been lost with the session before.
    agent.pushed = { ...agent.pushed, sessionId };
    return agent.pushed.context;
  }
  const nowMs = Date.now();
  const pushed = traces.record({
    name: "push",
    kind: "producer",
    parent: contextOf(call, clusterKey(desired.trace.rolloutId, desired.clusterId, desired.generation)),
    startMs: nowMs,
    endMs: nowMs,
    attributes: attributesOf(session, desired, desired.trace.rolloutId),
  });
  const context = pushed !== undefined && isRecorded(pushed) ? pushed : "";
  agent.pushed = { generation, sessionId, context };
  return context;
}

/**
 * The span of a report that proves or refuses what was assigned, under the agent's. An agent can name a place only in the
 * trace that it was given itself, and once for each assignment.
 */
export function traceReport(
  { traces, traced }: AgentTraces,
  session: TracedSession,
  desired: Desired | undefined,
  taken: { readonly report: Report; readonly traceparent: string; readonly fromMs: number },
): void {
  const { report, traceparent, fromMs } = taken;
  if (!traces.isOn || traceparent === "" || desired === undefined || desired.trace === null) return;
  if (report.observedGeneration !== desired.generation) return;
  const call = parseTraceparent(desired.trace.traceparent);
  const parent = parseTraceparent(traceparent);
  if (call === undefined || parent === undefined || traceIdOf(call) !== traceIdOf(parent)) return;
  const running = new Set(report.components.map((component) => component.runningDigest));
  const isProof = [...desired.targets, ...desired.layers].every(({ digest }) => running.has(digest));
  const refused = report.attempts.find(
    (attempt) => attempt.generation === desired.generation && attempt.phase === "rejected",
  );
  if (!isProof && refused === undefined) return;
  const agent = traced.of(session.caller.agentId);
  if (agent.taken === desired.generation) return;
  agent.taken = desired.generation;
  traces.record({
    name: isProof ? "take proof" : "take refusal",
    kind: "consumer",
    parent,
    startMs: fromMs,
    endMs: Date.now(),
    attributes: attributesOf(session, desired, desired.trace.rolloutId),
    ...(isProof ? {} : { error: refused?.reason ?? "" }),
  });
}

function attributesOf(session: TracedSession, desired: Desired, rolloutId: string): Attributes {
  return {
    "falconry.rollout.id": rolloutId,
    "falconry.cluster.id": desired.clusterId,
    "falconry.agent.id": session.caller.agentId,
    "falconry.generation": Number(desired.generation),
  };
}
