import { createServer } from "node:http";
import type { Server, ServerResponse } from "node:http";
import { isDeepStrictEqual } from "node:util";
import type { MonitorConfig } from "#shipper";
import type { Conditions } from "../conditions.ts";
import type { PipelineStats } from "../pipeline/pipeline.ts";
import { agentVersion } from "../version.ts";
import { HealthWindow } from "./health.ts";
import type { Health } from "./health.ts";

/** Serves what Fluent Bit's HTTP server serves, for as long as the shipper config wants it. */
export interface Monitor {
  /** Takes the figures of now, and listens where they say. To be called about once a second. */
  update(stats: PipelineStats): void;
  stop(): void;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

const startedMs = Date.now();
/** Scrapers come every few seconds; whoever holds more connections than this wants something else. */
const connectionsMax = 32;

export function createMonitor(conditions: Conditions): Monitor {
  const windows = new HealthWindow();
  let server: Server | undefined;
  let listening: MonitorConfig | undefined;
  let stats: PipelineStats | undefined;
  let health: Health | undefined;

  const listen = (config: MonitorConfig | undefined): void => {
    server?.close();
    server?.closeAllConnections();
    server = undefined;
    listening = config;
    conditions.clear("monitor/listen");
    if (config === undefined) return;
    const opened = createServer({ requestTimeout: 10_000, headersTimeout: 5000 }, (request, response) => {
      void answer(request.method ?? "", request.url ?? "", stats, health, config).then((reply) =>
        send(response, reply),
      );
    });
    server = opened;
    opened.maxConnections = connectionsMax;
    opened.on("error", (error) => {
      const where = `${config.host}:${config.port} (http_listen, http_port)`;
      conditions.raise("monitor/listen", `Metrics cannot be served at ${where}: ${error.message}`);
      // Tried again with the next figures.
      if (server === opened) listening = undefined;
    });
    opened.listen(config.port, config.host);
    opened.unref();
  };
  return {
    update(next) {
      stats = next;
      if (next.monitor !== undefined) health = windows.judge(next, next.monitor.health, Date.now());
      if (!isDeepStrictEqual(next.monitor, listening)) listen(next.monitor);
    },
    stop: () => listen(undefined),
  };
}

function send(response: ServerResponse, { status, type, body }: Answer): void {
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body) }).end(body);
}

const text = (status: number, body: string): Answer => ({ status, type: "text/plain; charset=utf-8", body });
const json = (status: number, value: object): Answer => ({
  status,
  type: "application/json",
  body: `${JSON.stringify(value)}\n`,
});

async function answer(
  method: string,
  url: string,
  stats: PipelineStats | undefined,
  health: Health | undefined,
  config: MonitorConfig,
): Promise<Answer> {
  if (method !== "GET" && method !== "HEAD") {
    return text(405, "Only GET: what an agent runs is decided by its control plane\n");
  }
  if (stats === undefined || health === undefined) return text(503, "The pipeline has no figures yet\n");
  const seconds = Math.floor((Date.now() - startedMs) / 1000);
  // Loaded when somebody asks: many agents are never scraped.
  const { metricsJson, renderMetrics } = await import("./metrics.ts");
  switch (url.split("?")[0] ?? "") {
    case "/":
      return json(200, { "fluent-bit": { version: agentVersion, edition: "Falconry", flags: [] } });
    case "/api/v1/uptime":
      return json(200, { uptime_sec: seconds, uptime_hr: `Falconry has been running: ${seconds} seconds` });
    case "/api/v1/metrics":
      return json(200, metricsJson(stats));
    case "/api/v1/metrics/prometheus":
    case "/api/v2/metrics":
    case "/api/v2/metrics/prometheus":
    case "/metrics":
      return {
        status: 200,
        type: "text/plain; version=0.0.4; charset=utf-8",
        body: await renderMetrics(stats, {
          version: agentVersion,
          startedMs,
          nowMs: Date.now(),
          residentBytes: process.memoryUsage.rss(),
        }),
      };
    case "/api/v1/health":
      return health.isHealthy ? text(200, "ok\n") : text(500, `error\n${health.reasons.join("\n")}\n`);
    case "/api/v2/health":
      return json(health.isHealthy ? 200 : 500, healthJson(health, config));
    default:
      return text(404, "There is nothing here. See /api/v1/health and /api/v2/metrics/prometheus\n");
  }
}

function healthJson({ isHealthy, errors, givenUp, reasons }: Health, { health }: MonitorConfig): object {
  return {
    status: isHealthy ? "ok" : "error",
    errors,
    retries_failed: givenUp,
    error_limit: health.errorsMax,
    retry_failure_limit: health.givenUpMax,
    period_limit: health.periodMs / 1000,
    reasons,
  };
}
