import { Counter, Gauge, Registry } from "prom-client";
import { renderHistogram } from "../domain/prometheus-text.ts";
import type { PipelineStats } from "../pipeline/pipeline.ts";

/** What the process says of itself. */
export interface ProcessFacts {
  readonly version: string;
  readonly startedMs: number;
  readonly nowMs: number;
  readonly residentBytes: number;
}

type Labels = Readonly<Record<string, string>>;

/**
 * The figures of a pipeline as Prometheus text. Names that begin with `fluentbit_` are Fluent Bit's, so that dashboards made for
 * it go on working; what Fluent Bit has no name for begins with `falconry_`.
 */
export function renderMetrics(stats: PipelineStats, facts: ProcessFacts): Promise<string> {
  const registry = new Registry();
  const add = (kind: typeof Counter | typeof Gauge) => {
    return (name: string, help: string, values: readonly (readonly [Labels, number])[]) => {
      const labelNames = Object.keys(values[0]?.[0] ?? {});
      const metric = new kind({ name, help, labelNames, registers: [registry] });
      for (const [labels, value] of values) metric.inc(labels, value);
    };
  };
  addProcess(add(Counter), add(Gauge), facts);
  addInputs(add(Counter), add(Gauge), stats);
  addInputsOwn(add(Counter), add(Gauge), stats);
  addFilters(add(Counter), stats);
  addOutputs(add(Counter), add(Gauge), stats);
  addDetection(add(Counter), add(Gauge), stats);
  addRing(add(Counter), add(Gauge), stats);
  addResponses(add(Counter), add(Gauge), stats);
  addSpans(add(Counter), stats);
  return registry.metrics().then((text) => text + latencies(stats));
}

type Add = (name: string, help: string, values: readonly (readonly [Labels, number])[]) => void;

function addProcess(counter: Add, gauge: Add, facts: ProcessFacts): void {
  const seconds = (facts.nowMs - facts.startedMs) / 1000;
  counter("fluentbit_uptime", "Seconds that the agent has been running.", [[{}, Math.floor(seconds)]]);
  gauge("fluentbit_process_start_time_seconds", "When the agent started, seconds since the epoch.", [
    [{}, Math.floor(facts.startedMs / 1000)],
  ]);
  gauge("fluentbit_build_info", "The agent that stands in for Fluent Bit.", [
    [{ version: facts.version, os: process.platform, edition: "falconry" }, 1],
  ]);
  gauge("process_resident_memory_bytes", "Resident memory of the agent.", [[{}, facts.residentBytes]]);
}

function addInputs(counter: Add, gauge: Add, { inputs }: PipelineStats): void {
  const each = (value: (input: PipelineStats["inputs"][number]) => number) =>
    inputs.map((input) => [{ name: input.alias }, value(input)] as const);
  counter(
    "fluentbit_input_records_total",
    "Records read.",
    each((i) => i.records),
  );
  counter(
    "fluentbit_input_bytes_total",
    "Bytes read.",
    each((i) => i.bytes),
  );
  gauge(
    "fluentbit_input_ingestion_paused",
    "1 while reading waits for an output.",
    each((i) => Number(i.paused)),
  );
  counter(
    "fluentbit_input_files_rotated_total",
    "Files found renamed, copied or replaced.",
    each((i) => i.rotated),
  );
  counter(
    "fluentbit_input_long_line_skipped_total",
    "Lines over buffer_max_size, kept aside whole.",
    each((i) => i.longLines),
  );
}

function addInputsOwn(counter: Add, gauge: Add, { inputs }: PipelineStats): void {
  const each = (value: (input: PipelineStats["inputs"][number]) => number) =>
    inputs.map((input) => [{ name: input.alias }, value(input)] as const);
  gauge(
    "falconry_input_files_open",
    "Files that are open.",
    each((i) => i.filesOpen),
  );
  gauge(
    "falconry_input_files_failing",
    "Files that cannot be read at the moment.",
    each((i) => i.filesFailing),
  );
  gauge(
    "falconry_input_lag_seconds",
    "Age of the oldest record that was not read.",
    each((i) => i.lagMs / 1000),
  );
  counter(
    "falconry_input_files_lost_total",
    "Files that went away before they were read.",
    each((i) => i.lost),
  );
  counter(
    "falconry_input_truncations_total",
    "Files cut without a copy.",
    each((i) => i.truncations),
  );
  counter(
    "falconry_input_parked_records_total",
    "What was set aside, by reason.",
    inputs.flatMap(({ alias, parked }) =>
      Object.entries(parked).map(([reason, count]) => [{ name: alias, reason }, count] as const),
    ),
  );
  counter(
    "falconry_input_requests_total",
    "Requests, by status of their answer.",
    inputs.flatMap(({ alias, requests }) =>
      Object.entries(requests).map(([status, count]) => [{ name: alias, status }, count] as const),
    ),
  );
  gauge(
    "falconry_input_spool_bytes",
    "Bytes that were accepted and not read yet.",
    each((i) => i.spoolBytes),
  );
}

function addFilters(counter: Add, { filters }: PipelineStats): void {
  const each = (value: (filter: PipelineStats["filters"][number]) => number) =>
    filters.map((filter) => [{ name: filter.alias }, value(filter)] as const);
  counter(
    "fluentbit_filter_records_total",
    "Records that came in.",
    each((f) => f.records),
  );
  counter(
    "fluentbit_filter_bytes_total",
    "Their bytes.",
    each((f) => f.bytes),
  );
  counter(
    "fluentbit_filter_drop_records_total",
    "Records that a filter dropped.",
    each((f) => f.dropped),
  );
  counter(
    "fluentbit_filter_drop_bytes_total",
    "Their bytes.",
    each((f) => f.droppedBytes),
  );
  counter(
    "falconry_filter_changed_records_total",
    "Records that left in another form.",
    each((f) => f.changed),
  );
}

function addOutputs(counter: Add, gauge: Add, { outputs }: PipelineStats): void {
  const each = (value: (output: PipelineStats["outputs"][number]) => number) =>
    outputs.map((output) => [{ name: output.alias }, value(output)] as const);
  counter(
    "fluentbit_output_proc_records_total",
    "Records delivered.",
    each((o) => o.delivered),
  );
  counter(
    "fluentbit_output_proc_bytes_total",
    "Bytes delivered.",
    each((o) => o.deliveredBytes),
  );
  counter(
    "fluentbit_output_errors_total",
    "Attempts to deliver that failed.",
    each((o) => o.retries),
  );
  counter(
    "fluentbit_output_retries_total",
    "Attempts that were made again.",
    each((o) => o.retries),
  );
  counter(
    "fluentbit_output_dropped_records_total",
    "Records that the destination never got: set aside, or let go by a full queue.",
    each((o) => o.parked + o.dropped),
  );
  counter(
    "falconry_output_parked_records_total",
    "Records set aside in the dead letter folder.",
    each((o) => o.parked),
  );
  gauge(
    "falconry_output_queue_records",
    "Records on the output's queue.",
    each((o) => o.queueRecords),
  );
  gauge(
    "falconry_output_queue_bytes",
    "Bytes on the output's queue.",
    each((o) => o.queueBytes),
  );
  gauge(
    "falconry_output_queue_full",
    "1 while the output takes nothing more.",
    each((o) => Number(o.full)),
  );
  gauge(
    "falconry_output_behind_seconds",
    "How far the output is behind others, in files that it reads by itself; 0 when it is with them.",
    each((o) => o.behindMs / 1000),
  );
}

function addDetection(counter: Add, gauge: Add, stats: PipelineStats): void {
  counter("falconry_alerts_total", "Alerts that rules raised.", [[{}, stats.alerts]]);
  counter("falconry_detection_seconds_total", "Time spent in rules.", [[{}, stats.detectionUs / 1e6]]);
  counter("falconry_undetected_records_total", "Records that rules could not look at.", [
    [{}, stats.undetected],
  ]);
  counter(
    "falconry_dropped_total",
    "Dead letter files that had to go, and records that full queues let go.",
    [[{}, stats.dropped]],
  );
  gauge("falconry_pipeline_lag_seconds", "Age of the oldest record that is not delivered.", [
    [{}, stats.lagMs / 1000],
  ]);
  gauge("falconry_running_info", "Digests of the bundles that run.", [
    [{ rules: stats.running.rules ?? "", shipper: stats.running.shipper ?? "" }, 1],
  ]);
}

function addRing(counter: Add, gauge: Add, { ring }: PipelineStats): void {
  if (ring === undefined) return;
  gauge("falconry_ring_bytes", "Bytes on disk of events that are kept for backtests.", [[{}, ring.bytes]]);
  gauge("falconry_ring_limit_bytes", "Most bytes that they may take.", [[{}, ring.bytesMax]]);
  gauge("falconry_ring_oldest_timestamp_seconds", "Time of the oldest of them, 0 without any.", [
    [{}, (ring.oldestMs ?? 0) / 1000],
  ]);
  counter("falconry_ring_events_total", "Events that were to be kept for backtests.", [[{}, ring.events]]);
  counter("falconry_ring_lost_events_total", "Those of them that could not be kept.", [[{}, ring.lost]]);
}

function addSpans(counter: Add, { spans }: PipelineStats): void {
  if (spans === undefined) return;
  counter(
    "falconry_trace_spans_total",
    "Spans of traces: exported, failed when the collector did not take them, dropped when the queue was full.",
    [
      [{ outcome: "exported" }, spans.exported],
      [{ outcome: "failed" }, spans.failed],
      [{ outcome: "dropped" }, spans.dropped],
    ],
  );
}

function addResponses(counter: Add, gauge: Add, { responses }: PipelineStats): void {
  if (responses === undefined) return;
  counter(
    "falconry_responses_total",
    "What was done about alerts, by action and outcome.",
    responses.counts.map(({ action, outcome, count }) => [{ action, outcome }, count] as const),
  );
  gauge("falconry_responses_queued", "Responses that wait to be done.", [[{}, responses.queued]]);
  gauge("falconry_responses_untold", "Responses that the server does not know of.", [[{}, responses.untold]]);
  counter("falconry_responses_left_out_total", "Alerts that responses left out in silence.", [
    [{}, responses.leftOut],
  ]);
  counter("falconry_responses_lost_total", "Responses that the server was never told of.", [
    [{}, responses.lost],
  ]);
}

/** What was counted elsewhere, in another thread, is written down as it is. */
function latencies({ detectionDelay, applies, outputs }: PipelineStats): string {
  return [
    renderHistogram(
      "falconry_detection_latency_seconds",
      "From the time of an event to the alert about it, by alert.",
      [[{}, detectionDelay]],
    ),
    renderHistogram(
      "falconry_output_latency_seconds",
      "From the time of the oldest record of a batch to its delivery, by batch, for outputs that have a queue.",
      outputs.flatMap(({ alias, latency }) => (latency === undefined ? [] : [[{ name: alias }, latency]])),
    ),
    renderHistogram(
      "falconry_apply_seconds",
      "How long bundles took to load and to be swapped in, or to be refused, by result.",
      applies === undefined
        ? []
        : [
            [{ result: "applied" }, applies.applied],
            [{ result: "refused" }, applies.refused],
          ],
    ),
  ].join("");
}

/** The same figures as Fluent Bit's `/api/v1/metrics` has them; what is not counted here is left out. */
export function metricsJson({ inputs, filters, outputs }: PipelineStats): object {
  const named = <T extends { readonly alias: string }>(all: readonly T[], value: (one: T) => object) =>
    Object.fromEntries(all.map((one) => [one.alias, value(one)]));
  return {
    input: named(inputs, (i) => ({
      records: i.records,
      bytes: i.bytes,
      files_rotated: i.rotated,
      long_line_skipped: i.longLines,
    })),
    filter: named(filters, (f) => ({
      records: f.records,
      bytes: f.bytes,
      drop_records: f.dropped,
    })),
    output: named(outputs, (o) => ({
      proc_records: o.delivered,
      proc_bytes: o.deliveredBytes,
      errors: o.retries,
      retries: o.retries,
      dropped_records: o.parked + o.dropped,
    })),
  };
}
