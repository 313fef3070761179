import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { createConditions } from "../conditions.ts";
import { newHistogram, observeSeconds } from "../domain/histogram.ts";
import { until } from "../pipeline/testing/until.ts";
import type { PipelineStats } from "../pipeline/pipeline.ts";
import { createMonitor } from "./monitor.ts";
import type { Monitor } from "./monitor.ts";

const detectionDelay = newHistogram([1, 60]);
for (const seconds of [0.5, 2, 90]) observeSeconds(detectionDelay, seconds);
const output = {
  alias: "store",
  plugin: "http",
  delivered: 90,
  deliveredBytes: 9000,
  parked: 2,
  dropped: 1,
  retries: 3,
  queueBytes: 700,
  queueRecords: 7,
  full: false,
  latency: newHistogram([1]),
  isBehind: false,
  behindMs: 0,
  lastError: undefined,
};
const input = {
  alias: "audit",
  plugin: "tail",
  records: 100,
  bytes: 10_000,
  parked: { "no JSON": 4 },
  longLines: 1,
  rotated: 5,
  lost: 0,
  truncations: 0,
  lagMs: 2500,
  paused: false,
  waitingFor: undefined,
  filesOpen: 2,
  filesFailing: 0,
  requests: {},
  spoolBytes: 0,
  atEnd: true,
  ended: false,
  lastError: undefined,
};
const filter = {
  alias: "quiet",
  plugin: "grep",
  records: 100,
  bytes: 10_000,
  changed: 0,
  dropped: 6,
  droppedBytes: 600,
  drops: [],
};

function statsAt(port: number, more: Partial<PipelineStats> = {}): PipelineStats {
  return {
    events: 100,
    bytes: 10_000,
    alerts: 8,
    dropped: 0,
    parked: 6,
    undetected: 0,
    truncations: 0,
    lostFiles: 0,
    lagMs: 1500,
    atEnd: false,
    ended: false,
    ring: { bytes: 50, bytesMax: 100, oldestMs: 4_000, events: 9, lost: 2, lastError: undefined },
    waitingFor: undefined,
    unfedSources: [],
    detectionUs: 2_000_000,
    detectionDelay,
    applies: { applied: newHistogram([1]), refused: newHistogram([1]) },
    running: { rules: "sha256:aa", shipper: "sha256:bb" },
    monitor: {
      at: { file: "a.conf", line: 1, column: 1 },
      host: "127.0.0.1",
      port,
      health: { errorsMax: 5, givenUpMax: 5, periodMs: 60_000 },
    },
    inputs: [input],
    filters: [filter],
    outputs: [output],
    ...more,
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

function opened(
  t: TestContext,
  stats: PipelineStats,
): { monitor: Monitor; conditions: () => readonly string[] } {
  const conditions = createConditions(() => {});
  const monitor = createMonitor(conditions);
  t.after(() => monitor.stop());
  monitor.update(stats);
  return { monitor, conditions: () => conditions.list().map(({ message }) => message) };
}

async function get(port: number, path: string): Promise<{ status: number; text: string }> {
  const url = `http://127.0.0.1:${port}${path}`;
  await until("the monitor to listen", () =>
    fetch(url).then(
      () => true,
      () => false,
    ),
  );
  const response = await fetch(url);
  return { status: response.status, text: await response.text() };
}

test("a dashboard made for Fluent Bit finds its names, with the alias as label", async (t) => {
  const port = await freePort();
  opened(t, statsAt(port));
  const { status, text } = await get(port, "/api/v2/metrics/prometheus");
  assert.equal(status, 200);
  for (const line of [
    'fluentbit_input_records_total{name="audit"} 100',
    'fluentbit_input_bytes_total{name="audit"} 10000',
    'fluentbit_input_ingestion_paused{name="audit"} 0',
    'fluentbit_filter_drop_records_total{name="quiet"} 6',
    'fluentbit_output_proc_records_total{name="store"} 90',
    'fluentbit_output_retries_total{name="store"} 3',
    'fluentbit_output_dropped_records_total{name="store"} 3',
    'falconry_output_queue_records{name="store"} 7',
    'falconry_input_parked_records_total{name="audit",reason="no JSON"} 4',
    "falconry_alerts_total 8",
    "falconry_ring_bytes 50",
    "falconry_ring_limit_bytes 100",
    "falconry_ring_oldest_timestamp_seconds 4",
    "falconry_ring_events_total 9",
    "falconry_ring_lost_events_total 2",
    'falconry_detection_latency_seconds_bucket{le="1"} 1',
    'falconry_detection_latency_seconds_bucket{le="60"} 2',
    'falconry_detection_latency_seconds_bucket{le="+Inf"} 3',
    "falconry_detection_latency_seconds_sum 92.5",
    'falconry_output_latency_seconds_count{name="store"} 0',
    'falconry_apply_seconds_count{result="refused"} 0',
  ]) {
    assert.ok(text.split("\n").includes(line), `${line} is missing in:\n${text}`);
  }
  const v1 = JSON.parse((await get(port, "/api/v1/metrics")).text) as {
    output: Record<string, { proc_records: number }>;
  };
  assert.equal(v1.output["store"]?.proc_records, 90);
});

test("health is an error, with the reason, when more attempts fail within the period than allowed", async (t) => {
  const port = await freePort();
  const { monitor } = opened(t, statsAt(port));
  assert.deepEqual(await get(port, "/api/v1/health"), { status: 200, text: "ok\n" });
  monitor.update(statsAt(port, { outputs: [{ ...output, retries: output.retries + 5 }] }));
  assert.equal((await get(port, "/api/v1/health")).status, 200);
  monitor.update(statsAt(port, { outputs: [{ ...output, retries: output.retries + 6 }] }));
  const { status, text } = await get(port, "/api/v1/health");
  assert.equal(status, 500);
  assert.match(text, /6 attempts to deliver failed in 60 s/);
  const v2 = JSON.parse((await get(port, "/api/v2/health")).text) as { status: string; errors: number };
  assert.deepEqual([v2.status, v2.errors], ["error", 6]);
});

test("a reader that waits for a full queue is not healthy, although no attempt fails", async (t) => {
  const port = await freePort();
  opened(t, statsAt(port, { outputs: [{ ...output, full: true }] }));
  const { status, text } = await get(port, "/api/v1/health");
  assert.equal(status, 500);
  assert.match(text, /queue of output "store" is full/);
});

test("a port that is taken is said, and taken up when it is free", async (t) => {
  const port = await freePort();
  const other = createServer().listen(port, "127.0.0.1");
  await once(other, "listening");
  const { monitor, conditions } = opened(t, statsAt(port));
  await until("the condition", () =>
    conditions().some((message) => /cannot be served.*EADDRINUSE/.test(message)),
  );
  other.close();
  await once(other, "close");
  monitor.update(statsAt(port));
  assert.equal((await get(port, "/api/v1/health")).status, 200);
  assert.deepEqual(conditions(), []);
});

test("nothing can be changed over the monitor, and a config without it closes it", async (t) => {
  const port = await freePort();
  const { monitor } = opened(t, statsAt(port));
  await get(port, "/");
  const reload = await fetch(`http://127.0.0.1:${port}/api/v2/reload`, { method: "POST" });
  assert.equal(reload.status, 405);
  monitor.update(statsAt(port, { monitor: undefined }));
  await assert.rejects(fetch(`http://127.0.0.1:${port}/`));
});
