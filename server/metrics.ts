import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Pool } from "pg";
import type { SpanCounts } from "#traces";

import { isFinished, rolloutStates, type RolloutState } from "./domain/rollout.ts";
import type { LoopStatus } from "./reconcile/driver.ts";
import type { RoleLife } from "./reconcile/lives.ts";
import type { ObserveCall } from "./rpc/interceptors/request-log.ts";

/** What the server tells Prometheus. */
export interface Metrics {
  readonly observeCall: ObserveCall;
  /** A connection that was cut or not let in, a request that was cut, a call that was refused for its size, rate or load, bundles that were not loaded. */
  readonly countRefused: (what: "connection" | "request" | "call" | "load", reason: string) => void;
  /** A call that has to wait for its turn, by its route. */
  readonly countLinedUp: (route: string) => void;
  /** A cluster proved what a rollout gave it, so long after the assignment. */
  readonly observeProof: (kind: string, seconds: number) => void;
  /** The states of the rollouts that have not ended. */
  readonly noteRollouts: (states: readonly RolloutState[]) => void;
  /** An alert was stored, so long after its event. */
  readonly observeAlert: (seconds: number) => void;
  /** Alerts that were stored, and those that were counted only because their cluster sent too many. */
  readonly countAlerts: (taken: { readonly stored: number; readonly notStored: number }) => void;
  /** An attempt to deliver a notification, by what came of it. */
  readonly countNotification: (kind: string, outcome: "sent" | "retried" | "dead") => void;
  /** Gives a gauge a source that is asked at each scrape. */
  gauge(name: string, help: string, read: () => number): void;
  /** Shows what became of the spans of traces. */
  spans(read: () => SpanCounts): void;
  /** Shows when the trust metadata of each role expires. */
  lives(read: () => readonly RoleLife[]): void;
  text(): Promise<string>;
  readonly contentType: string;
  /** Ends the watch on the event loop. */
  stop(): void;
}

const secondsBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60];

/** From what an agent beside the server needs to an hour: what takes longer is no matter of speed. */
const latencyBuckets = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600];

/** A registry of its own, so that two servers in one process do not share counters. */
export function createMetrics(pool: Pool, loops: () => readonly LoopStatus[]): Metrics {
  const registry = new Registry();
  // Event loop delay, memory, CPU and handles of this process.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 20 });
  const labels = ["service", "method", "code"] as const;
  const requests = new Counter({
    name: "falconry_rpc_requests_total",
    help: "Calls that ended, by method and code; ok or the name of a Connect code.",
    labelNames: labels,
    registers: [registry],
  });
  const durations = new Histogram({
    name: "falconry_rpc_duration_seconds",
    help: "How long calls took, by method; streams until their last message.",
    labelNames: ["service", "method"],
    buckets: secondsBuckets,
    registers: [registry],
  });
  function gauge(name: string, help: string, read: () => number): void {
    const made: Gauge = new Gauge({ name, help, registers: [registry], collect: () => made.set(read()) });
  }
  const refused = new Counter({
    name: "falconry_refused_total",
    help: "Connections and requests that were cut, and calls and loads that were refused, by the limit that they met.",
    labelNames: ["what", "reason"],
    registers: [registry],
  });
  const linedUp = new Counter({
    name: "falconry_calls_lined_up_total",
    help: "Calls that had to wait for their turn, because as many of their kind were in work as the server does at once.",
    labelNames: ["route"],
    registers: [registry],
  });
  poolGauges(gauge, pool);
  loopGauges(registry, loops);
  return {
    observeCall: ({ service, method, code, seconds }) => {
      requests.inc({ service, method, code });
      durations.observe({ service, method }, seconds);
    },
    countRefused: (what, reason) => {
      refused.inc({ what, reason });
    },
    countLinedUp: (route) => {
      linedUp.inc({ route });
    },
    ...latencies(registry),
    noteRollouts: rolloutGauge(registry),
    countAlerts: alertCounter(registry),
    countNotification: notificationCounter(registry),
    gauge,
    lives: (read) => lifeGauges(registry, read),
    spans: (read) => spanCounter(registry, read),
    text: () => registry.metrics(),
    contentType: registry.contentType,
    stop: () => {
      registry.clear();
    },
  };
}

function poolGauges(gauge: Metrics["gauge"], pool: Pool): void {
  gauge("falconry_database_connections", "Open connections of the pool.", () => pool.totalCount);
  gauge("falconry_database_connections_idle", "Open connections that nobody uses.", () => pool.idleCount);
  gauge("falconry_database_waiting", "Callers that wait for a connection.", () => pool.waitingCount);
}

/** Of the whole fleet, never of a cluster: thousands of clusters would be thousands of series for each bucket. */
function latencies(registry: Registry): Pick<Metrics, "observeProof" | "observeAlert"> {
  const proofs = new Histogram({
    name: "falconry_push_to_proved_seconds",
    help: "From the assignment of a bundle to a cluster to the proof of all its agents, by kind of bundle, for steps that this server took.",
    labelNames: ["kind"],
    buckets: latencyBuckets,
    registers: [registry],
  });
  const alerts = new Histogram({
    name: "falconry_alert_delay_seconds",
    help: "From the time of an event, by the clock of its cluster, to the alert about it in the database.",
    buckets: latencyBuckets,
    registers: [registry],
  });
  return {
    observeProof: (kind, seconds) => {
      proofs.observe({ kind }, Math.max(0, seconds));
    },
    observeAlert: (seconds) => {
      alerts.observe(Math.max(0, seconds));
    },
  };
}

function rolloutGauge(registry: Registry): Metrics["noteRollouts"] {
  const rollouts = new Gauge({
    name: "falconry_rollouts",
    help: "Rollouts that have not ended, by state: running, paused, rolling-back, awaiting-approval or scheduled. Each server says it of the whole fleet, as it looked last: take the highest and not the sum.",
    labelNames: ["state"],
    registers: [registry],
  });
  const open = rolloutStates.filter((state) => !isFinished(state));
  const note = (states: readonly RolloutState[]) => {
    for (const state of open) rollouts.set({ state }, states.filter((each) => each === state).length);
  };
  // From the beginning, so that none is a number and not a gap.
  note([]);
  return note;
}

function alertCounter(registry: Registry): Metrics["countAlerts"] {
  const alerts = new Counter({
    name: "falconry_alerts_received_total",
    help: "Alerts that came in, each once: stored, or over_bound when their cluster had sent too many to store.",
    labelNames: ["outcome"],
    registers: [registry],
  });
  // From the beginning, so that the first that are not stored are an increase.
  for (const outcome of ["stored", "over_bound"]) alerts.inc({ outcome }, 0);
  return ({ stored, notStored }) => {
    alerts.inc({ outcome: "stored" }, stored);
    alerts.inc({ outcome: "over_bound" }, notStored);
  };
}

function notificationCounter(registry: Registry): Metrics["countNotification"] {
  const attempts = new Counter({
    name: "falconry_notifications_total",
    help: "Attempts to deliver a notification or a report, by the kind of receiver and what came of it.",
    labelNames: ["kind", "outcome"],
    registers: [registry],
  });
  return (kind, outcome) => {
    attempts.inc({ kind, outcome });
  };
}

function spanCounter(registry: Registry, read: () => SpanCounts): void {
  const spans: Counter<"outcome"> = new Counter({
    name: "falconry_trace_spans_total",
    help: "Spans of traces: exported, failed when the collector did not take them, dropped when the queue was full, limited when a caller asked for too many.",
    labelNames: ["outcome"],
    registers: [registry],
    collect: () => {
      spans.reset();
      for (const [outcome, count] of Object.entries(read())) spans.inc({ outcome }, count);
    },
  });
}

function lifeGauges(registry: Registry, read: () => readonly RoleLife[]): void {
  const expiry: Gauge<"role"> = new Gauge({
    name: "falconry_trust_expiry_timestamp_seconds",
    help: "When the published metadata of each role expires, in seconds since 1970.",
    labelNames: ["role"],
    registers: [registry],
    collect: () => {
      for (const { role, life } of read()) expiry.set({ role }, life.ends.getTime() / 1000);
    },
  });
  const used: Gauge<"role"> = new Gauge({
    name: "falconry_trust_life_used_ratio",
    help: "Which part of its life the published metadata of each role has behind it; 1 when it has expired.",
    labelNames: ["role"],
    registers: [registry],
    collect: () => {
      for (const { role, used: part } of read()) used.set({ role }, part);
    },
  });
}

function loopGauges(registry: Registry, loops: () => readonly LoopStatus[]): void {
  const activations: Gauge<"loop"> = new Gauge({
    name: "falconry_loop_activations",
    help: "Activations of each reconciler since the start.",
    labelNames: ["loop"],
    registers: [registry],
    collect: () => {
      for (const loop of loops()) activations.set({ loop: loop.name }, loop.activations);
    },
  });
  const failures: Gauge<"loop"> = new Gauge({
    name: "falconry_loop_failures",
    help: "Activations of each reconciler that failed since the start.",
    labelNames: ["loop"],
    registers: [registry],
    collect: () => {
      for (const loop of loops()) failures.set({ loop: loop.name }, loop.failures);
    },
  });
}
