import type { FilterConfig } from "./filter-config.ts";
import type { ForwardConfig } from "./forward-config.ts";
import type { EsConfig, HttpConfig, LokiConfig } from "./http-config.ts";
import type { KafkaConfig } from "./kafka-config.ts";
import type { Match } from "./match.ts";
import type { Place } from "./problem.ts";

/** A checked shipper config: every value is typed, every variable filled in, every default chosen. */
export interface PipelineConfig {
  readonly service: ServiceConfig;
  readonly inputs: readonly InputConfig[];
  readonly filters: readonly FilterConfig[];
  readonly outputs: readonly OutputConfig[];
}

export interface ServiceConfig {
  /** How long an output may wait to fill a request. */
  readonly flushMs: number;
  /** How long a stop may take to deliver what is queued; the rest stays on disk. */
  readonly graceMs: number;
  readonly backoffBaseMs: number;
  readonly backoffCapMs: number;
  /** Where metrics and health are served; undefined when they are not. */
  readonly monitor: MonitorConfig | undefined;
  /** Most bytes on disk of the last events that `detect` saw, kept for backtests; undefined when none are. */
  readonly ringBytesMax: number | undefined;
}

/** `http_server`: Fluent Bit's own HTTP interface, for looking only. */
export interface MonitorConfig {
  readonly at: Place;
  readonly host: string;
  readonly port: number;
  readonly health: HealthConfig;
}

/** More errors, or more records given up, within the period than these, and the pipeline is not healthy. */
export interface HealthConfig {
  readonly errorsMax: number;
  readonly givenUpMax: number;
  readonly periodMs: number;
}

interface Common {
  readonly at: Place;
  /** Unique among inputs, filters or outputs; names counters and queues. */
  readonly alias: string;
}

export type InputConfig = TailConfig | HttpInputConfig | StdinConfig | DummyConfig;
export type OutputConfig =
  | HttpConfig
  | EsConfig
  | LokiConfig
  | ForwardConfig
  | KafkaConfig
  | FileConfig
  | StdoutConfig
  | NullConfig
  | DetectConfig
  | FleetConfig;

export interface TailConfig extends Common {
  readonly plugin: "tail";
  /** Absolute paths; `*` and `?` stand for parts of a name. */
  readonly paths: readonly string[];
  /** Shell patterns over whole paths. */
  readonly excludePaths: readonly string[];
  /** `*` stands for the path of the file, with dots for slashes. */
  readonly tag: string;
  readonly format: LineFormat;
  /** Keys under which a record gets the path of its file, and the offset of its first line. */
  readonly pathKey: string | undefined;
  readonly offsetKey: string | undefined;
  readonly readFromHead: boolean;
  /** Whether files that appear later are read from their beginning, too. */
  readonly newFilesFromHead: boolean;
  /** Files that were written to longer ago, and that were not read yet, are left alone. */
  readonly ignoreOlderMs: number | undefined;
  readonly refreshMs: number;
  readonly rotateWaitMs: number;
  readonly chunkBytes: number;
  /** A longer line is set aside. */
  readonly lineBytesMax: number;
  readonly skipEmptyLines: boolean;
  /** Whether the input ends when everything that is there was read. */
  readonly exitOnEof: boolean;
}

/** Takes records that clients POST. */
export interface HttpInputConfig extends Common {
  readonly plugin: "http";
  readonly tag: string;
  readonly listen: string;
  readonly port: number;
  /** Paths under which bodies are taken. */
  readonly paths: readonly string[];
  readonly bodyBytesMax: number;
  readonly successStatus: 200 | 201 | 204;
  /** Most bytes that wait on disk; beyond it clients are told to come again. */
  readonly spoolBytesMax: number;
  /** Clients have to know the token in it. */
  readonly bearerTokenFile: string | undefined;
  readonly tls: ServerTlsConfig | undefined;
}

export interface ServerTlsConfig {
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string | undefined;
  /** Whether clients have to show a certificate that one in `caFile` signed. */
  readonly verifyClient: boolean;
}

/** Lines of the standard input. */
export interface StdinConfig extends Common {
  readonly plugin: "stdin";
  readonly tag: string;
  readonly format: LineFormat;
  readonly lineBytesMax: number;
  readonly skipEmptyLines: boolean;
}

/** The same record over and over, to try a config with. */
export interface DummyConfig extends Common {
  readonly plugin: "dummy";
  readonly tag: string;
  /** A JSON object. */
  readonly record: string;
  /** Times a second that a record is made, and how often each time. */
  readonly rate: number;
  readonly copies: number;
  /** After so many times the input ends; undefined means never. */
  readonly samples: number | undefined;
}

/** What lines hold, and how they become records. */
export type LineFormat =
  /** A line becomes the value of `key`. */
  | { readonly kind: "text"; readonly key: string }
  /** A line is a record. */
  | { readonly kind: "json" }
  | ContainerFormat
  /** Lines of the Linux audit log; those of one event become one record. */
  | { readonly kind: "auditd" };

/** What container runtimes write. Parts of a line that a runtime cut are joined. */
export interface ContainerFormat {
  readonly kind: "container";
  readonly accepts: readonly ("cri" | "docker")[];
  /** The keys that Fluent Bit gives the fields of a CRI line besides `time` and `stream`. */
  readonly flagKey: string;
  readonly textKey: string;
}

export interface OutputCommon extends Common {
  readonly match: Match;
  /** Most bytes on the output's disk queue. */
  readonly queueBytesMax: number;
  /** What happens when the queue is full: the reader waits, or the oldest records go. */
  readonly overflow: "wait" | "drop_oldest";
  /** Retries before a batch is set aside; undefined means for ever. */
  readonly retryLimit: number | undefined;
}

export interface FileConfig extends OutputCommon {
  readonly plugin: "file";
  readonly directory: string;
  /** The tag names the file when undefined. */
  readonly file: string | undefined;
  /** `plain`: the record. `out_file`: its tag and time, too. */
  readonly format: "plain" | "out_file";
  /** Whether a missing folder is made. */
  readonly mkdir: boolean;
  /** `full`: each write is on the disk before the next one. `normal`: before positions move. */
  readonly sync: "normal" | "full";
  readonly rotation: RotationConfig;
}

/** When a file is put aside, and what becomes of it then. */
export interface RotationConfig {
  /** A file that would grow beyond it is put aside. */
  readonly bytesMax: number | undefined;
  /** A file holds the records of one such stretch of time, counted from 1970 in UTC. */
  readonly intervalMs: number | undefined;
  /** How many files that were put aside stay; all when undefined. */
  readonly keep: number | undefined;
  readonly compress: boolean;
}

export interface StdoutConfig extends OutputCommon {
  readonly plugin: "stdout";
  readonly format: "json_lines" | "json" | "json_stream";
  readonly dateKey: string | undefined;
  readonly dateFormat: "double" | "epoch" | "epoch_ms" | "iso8601";
}
export interface NullConfig extends OutputCommon {
  readonly plugin: "null";
}
/** Runs the rules over matching records; its alerts come back to the router under `alertTag`. */
export interface DetectConfig extends OutputCommon {
  readonly plugin: "detect";
  readonly alertTag: string;
}
/** Carries alerts to the control plane; records that are not alerts are not its business. */
export interface FleetConfig extends OutputCommon {
  readonly plugin: "fleet";
}
