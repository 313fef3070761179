import type { MonitorConfig, ServiceConfig } from "../config.ts";
import { Options } from "../options.ts";
import { placeOf } from "../problem.ts";
import type { OptionTable } from "../options.ts";
import type { Section } from "../section.ts";
import type { Scope } from "../variables.ts";

const queues = "outputs have their own queues on disk, in the agent's state folder";
const agentOwn = "the agent has its own";
const swapped = "bundles are swapped without a restart";
const noCoroutines = "there are no coroutines";
const asTheSystem = "names are resolved as the system does";
const asWritten = "bytes are handed on as they were written";
const noTicks = "requests leave when they are full, or after flush";
const noStreams = "there is no stream processor";

/** Every key that Fluent Bit documents, and then what becomes of it; and two that it does not know. */
const table: OptionTable = {
  flush: "used",
  grace: "used",
  "scheduler.base": "used",
  "scheduler.cap": "used",
  http_server: "used",
  hot_reload: { ignored: swapped },
  "hot_reload.ensure_thread_safety": { ignored: swapped },
  "hot_reload.timeout": { ignored: swapped },
  daemon: { ignored: agentOwn },
  log_level: { ignored: agentOwn },
  log_file: { ignored: agentOwn },
  parsers_file: { ignored: "all files of the bundle are read" },
  http_listen: "used",
  http_port: "used",
  health_check: { ignored: "health is served wherever http_server is on" },
  hc_errors_count: "used",
  hc_retry_failure_count: "used",
  hc_period: "used",
  plugins_file: { refused: "nothing can be loaded into the agent, use a supported plugin" },
  streams_file: { refused: "use filters, or rules with the output detect" },
  coro_stack_size: { ignored: noCoroutines },
  "dns.mode": { ignored: asTheSystem },
  "dns.resolver": { ignored: asTheSystem },
  "dns.prefer_ipv4": { ignored: asTheSystem },
  "dns.prefer_ipv6": { ignored: asTheSystem },
  enable_chunk_trace: { ignored: "counters and dead letters say what became of records" },
  "flush.adaptive": { ignored: noTicks },
  "flush.adaptive.down_steps": { ignored: noTicks },
  "flush.adaptive.up_steps": { ignored: noTicks },
  "flush.adaptive.high_pressure": { ignored: noTicks },
  "flush.adaptive.medium_pressure": { ignored: noTicks },
  "flush.adaptive.low_pressure": { ignored: noTicks },
  "flush.adaptive.max_interval": { ignored: noTicks },
  "flush.adaptive.min_interval": { ignored: noTicks },
  "json.convert_nan_to_null": { ignored: asWritten },
  "json.escape_unicode": { ignored: asWritten },
  multiline_buffer_limit: { ignored: "a line is a record, and buffer_max_size bounds it" },
  "security.fips_mode": { refused: "run the agent with a Node.js and an OpenSSL in FIPS mode" },
  "sp.convert_from_str_to_num": { ignored: noStreams },
  "windows.maxstdio": { ignored: "agents run on Linux" },
  "telemetry.metrics.logs.tag_records.enabled": { ignored: agentOwn },
  "telemetry.metrics.logs.tag_records.max_series": { ignored: agentOwn },
  "telemetry.metrics.logs.tag_records.max_tag_length": { ignored: agentOwn },
  "storage.path": { ignored: queues },
  "storage.type": { ignored: queues },
  "storage.inherit": { ignored: queues },
  "storage.sync": { ignored: queues },
  "storage.checksum": { ignored: queues },
  "storage.max_chunks_up": { ignored: queues },
  "storage.backlog.mem_limit": { ignored: queues },
  "storage.backlog.flush_on_shutdown": { ignored: "what is not delivered stays on disk" },
  "storage.delete_irrecoverable_chunks": { ignored: "a damaged entry is set aside with its place" },
  "storage.trim_files": { ignored: queues },
  "storage.metrics": { ignored: agentOwn },
  "storage.keep.rejected": { ignored: "refused records are always kept" },
  "storage.rejected.path": { ignored: queues },
  "storage.rejected.limit": { ignored: queues },
  // Ours.
  backtest_ring: "used",
  backtest_ring_size: "used",
};

/** The service section. Later sections override earlier ones key by key, so that a layer can change one value. */
export function readService(
  sections: readonly Section[],
  scope: Scope,
): { config: ServiceConfig; options: Options } {
  const first = sections[0] ?? { kind: "service", file: "", line: 1, column: 1, entries: [] };
  const merged: Section = { ...first, entries: sections.flatMap((section) => section.entries) };
  const options = new Options(merged, scope);
  options.allowOnly("the service section", table);
  const backoffBaseMs = options.duration("scheduler.base", 1000, 10, 3_600_000);
  const config: ServiceConfig = {
    flushMs: options.duration("flush", 1000, 10, 3_600_000),
    graceMs: options.duration("grace", 5000, 0, 600_000),
    backoffBaseMs,
    backoffCapMs: Math.max(backoffBaseMs, options.duration("scheduler.cap", 30_000, 10, 36_000_000)),
    monitor: readMonitor(options),
    ringBytesMax: readRing(options),
  };
  return { config, options };
}

/** Off unless somebody wants it: what it keeps are audit events as they were read, on the disk of the node. */
function readRing(options: Options): number | undefined {
  const size = options.size("backtest_ring_size", 256 * 1024 * 1024, 16_000_000, 64_000_000_000);
  return options.boolean("backtest_ring", false) ? size : undefined;
}

/** Fluent Bit listens on all addresses unless told; here it is said, because what is served is open to whoever can connect. */
function readMonitor(options: Options): MonitorConfig | undefined {
  const host = options.text("http_listen", "127.0.0.1");
  if (!/^[0-9A-Za-z.:-]{1,253}$/.test(host)) {
    options.refuse(
      options.entry("http_listen") ?? options.section,
      `"http_listen" is "${host}" and has to be an address, such as 127.0.0.1`,
    );
  }
  const monitor = {
    at: placeOf(options.entry("http_listen") ?? options.entry("http_server") ?? options.section),
    host,
    port: options.integer("http_port", 2020, 1, 65_535),
    health: {
      errorsMax: options.integer("hc_errors_count", 5, 0, 1_000_000),
      givenUpMax: options.integer("hc_retry_failure_count", 5, 0, 1_000_000),
      periodMs: options.duration("hc_period", 60_000, 1000, 86_400_000),
    },
  };
  return options.boolean("http_server", false) ? monitor : undefined;
}
