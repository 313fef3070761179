import type { OutputCommon } from "./config.ts";
import type { FieldPath } from "./field-path.ts";
import type { Secret, TlsConfig } from "./http-config.ts";

/** Sends records to topics of a Kafka cluster, one message each. */
export interface KafkaConfig extends OutputCommon {
  readonly plugin: "kafka";
  /** Where to ask for the cluster; all of them may be used. */
  readonly brokers: readonly KafkaBroker[];
  /** The first one takes what names no other one. */
  readonly topics: readonly [string, ...string[]];
  /** The field that names one of the topics. */
  readonly topicKey: FieldPath | undefined;
  /** The field whose text is the key of the message. */
  readonly messageKeyField: FieldPath | undefined;
  /** The key of messages whose record has no such field. */
  readonly messageKey: string | undefined;
  /** Under which key a record gets its time, undefined for none. */
  readonly timestampKey: string | undefined;
  readonly timestampFormat: "double" | "iso8601" | "iso8601_ns";
  readonly clientId: string;
  readonly tls: TlsConfig | undefined;
  readonly sasl: KafkaSasl | undefined;
  readonly compression: "none" | "gzip" | "snappy" | "lz4" | "zstd";
  /** `all`: all replicas in sync have it, and retries of the client write it once. `leader`: one broker has it. */
  readonly acks: "all" | "leader";
  /** The most that one request carries for a partition, before compression. */
  readonly requestBytesMax: number;
  readonly requestTimeoutMs: number;
  readonly connectTimeoutMs: number;
}

export interface KafkaBroker {
  readonly host: string;
  readonly port: number;
}

export interface KafkaSasl {
  readonly mechanism: "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512";
  readonly user: string;
  readonly password: Secret;
}
