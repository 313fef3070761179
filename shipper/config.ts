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
}

/** `http_server`: Fluent Bit's own HTTP interface, for looking only. */
export interface MonitorConfig {
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

export type InputConfig = TailConfig;
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
  readonly excludePaths: readonly string[];
  /** `*` stands for the path of the file, with dots for slashes. */
  readonly tag: string;
  /** `json`: a line is a record. `text`: a line becomes the value of `key`. */
  readonly parser: "json" | "text";
  readonly key: string;
  readonly readFromHead: boolean;
  readonly refreshMs: number;
  readonly rotateWaitMs: number;
  readonly chunkBytes: number;
  /** A longer line is set aside. */
  readonly lineBytesMax: number;
  readonly skipEmptyLines: boolean;
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
