import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Pool } from "pg";

import type { LoopStatus } from "./reconcile/driver.ts";
import type { RoleLife } from "./reconcile/lives.ts";
import type { ObserveCall } from "./rpc/interceptors/request-log.ts";

/** What the server tells Prometheus. */
export interface Metrics {
  readonly observeCall: ObserveCall;
  /** A connection that was cut or not let in, a request that was cut, a call that was refused for its size, rate or load. */
  readonly countRefused: (what: "connection" | "request" | "call", reason: string) => void;
  /** Gives a gauge a source that is asked at each scrape. */
  gauge(name: string, help: string, read: () => number): void;
  /** Shows when the trust metadata of each role expires. */
  lives(read: () => readonly RoleLife[]): void;
  text(): Promise<string>;
  readonly contentType: string;
  /** Ends the watch on the event loop. */
  stop(): void;
}

const secondsBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60];

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
    help: "Connections and requests that were cut, and calls that were refused, by the limit that they met.",
    labelNames: ["what", "reason"],
    registers: [registry],
  });
  gauge("falconry_database_connections", "Open connections of the pool.", () => pool.totalCount);
  gauge("falconry_database_connections_idle", "Open connections that nobody uses.", () => pool.idleCount);
  gauge("falconry_database_waiting", "Callers that wait for a connection.", () => pool.waitingCount);
  loopGauges(registry, loops);
  return {
    observeCall: ({ service, method, code, seconds }) => {
      requests.inc({ service, method, code });
      durations.observe({ service, method }, seconds);
    },
    countRefused: (what, reason) => {
      refused.inc({ what, reason });
    },
    gauge,
    lives: (read) => {
      lifeGauges(registry, read);
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
    stop: () => {
      registry.clear();
    },
  };
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
