import { parseFieldPath } from "../field-path.ts";
import type { FieldPath } from "../field-path.ts";
import type { TlsConfig } from "../http-config.ts";
import type { KafkaBroker, KafkaConfig, KafkaSasl } from "../kafka-config.ts";
import type { OptionTable, Options } from "../options.ts";
import { outputOptions, readOutputBase } from "./common.ts";
import type { Plugin } from "./common.ts";
import { readSecret } from "./secret.ts";

const onDisk = "records wait in the output's own queue on disk";
const reported = "what fails is always reported";
const noSchema = 'records are sent as JSON: leave it out, and write "format json"';

const table: OptionTable = {
  ...outputOptions,
  brokers: "used",
  topics: "used",
  topic_key: "used",
  format: "used",
  message_key: "used",
  message_key_field: "used",
  timestamp_key: "used",
  timestamp_format: "used",
  client_id: "used",
  dynamic_topic: {
    refused: 'a record could then write to any topic: list those that it may name with "topics"',
  },
  queue_full_retries: { ignored: onDisk },
  raw_log_key: { refused: noSchema },
  schema_id: { refused: noSchema },
  schema_str: { refused: noSchema },
  gelf_timestamp_key: { refused: noSchema },
  gelf_host_key: { refused: noSchema },
  gelf_short_message_key: { refused: noSchema },
  gelf_full_message_key: { refused: noSchema },
  gelf_level_key: { refused: noSchema },
  aws_msk_iam: { refused: "use SASL with SCRAM, or TLS with a certificate" },
  aws_msk_iam_cluster_arn: { refused: "use SASL with SCRAM, or TLS with a certificate" },
  "rdkafka.client.id": "used",
  "rdkafka.security.protocol": "used",
  "rdkafka.sasl.mechanism": "used",
  "rdkafka.sasl.mechanisms": "used",
  "rdkafka.sasl.username": "used",
  "rdkafka.sasl.password": "used",
  "rdkafka.sasl.password_file": "used",
  "rdkafka.ssl.ca.location": "used",
  "rdkafka.ssl.certificate.location": "used",
  "rdkafka.ssl.key.location": "used",
  "rdkafka.ssl.key.password": "used",
  "rdkafka.ssl.key.password_file": "used",
  "rdkafka.enable.ssl.certificate.verification": "used",
  "rdkafka.compression.codec": "used",
  "rdkafka.compression.type": "used",
  "rdkafka.acks": "used",
  "rdkafka.request.required.acks": "used",
  "rdkafka.message.max.bytes": "used",
  "rdkafka.request.timeout.ms": "used",
  "rdkafka.socket.connection.setup.timeout.ms": "used",
  "rdkafka.enable.idempotence": {
    ignored: 'it is on with "rdkafka.acks all", and cannot be had without',
  },
  "rdkafka.message.timeout.ms": { ignored: "a record is tried until it is delivered: see retry_limit" },
  "rdkafka.retries": { ignored: "a record is tried until it is delivered: see retry_limit" },
  "rdkafka.message.send.max.retries": { ignored: "a record is tried until it is delivered: see retry_limit" },
  "rdkafka.queue.buffering.max.messages": { ignored: onDisk },
  "rdkafka.queue.buffering.max.kbytes": { ignored: onDisk },
  "rdkafka.queue.buffering.max.ms": {
    ignored: 'the "flush" of the service section says how long records gather',
  },
  "rdkafka.linger.ms": { ignored: 'the "flush" of the service section says how long records gather' },
  "rdkafka.log.connection.close": { ignored: reported },
  "rdkafka.log_level": { ignored: reported },
  "rdkafka.debug": { ignored: reported },
};

/** `kafka`. Idempotent and acknowledged by all replicas in sync, unless the config says otherwise. */
export const kafka: Plugin<KafkaConfig> = {
  name: "kafka",
  options: table,
  read(options, alias) {
    const format = options.text("format", "json").toLowerCase();
    if (format !== "json") {
      const place = options.entry("format") ?? options.section;
      options.refuse(place, `"format ${format}" is not supported: write "format json"`);
    }
    const tls = readTls(options);
    return {
      ...readOutputBase(options, alias),
      plugin: "kafka",
      brokers: readBrokers(options),
      topics: readTopics(options),
      topicKey: readField(options, "topic_key"),
      messageKeyField: readField(options, "message_key_field"),
      messageKey: options.text("message_key"),
      ...readTimestamp(options),
      clientId: readClientId(options),
      tls,
      sasl: readSasl(options),
      compression: options.oneOf(
        either(options, "rdkafka.compression.codec", "rdkafka.compression.type"),
        ["none", "gzip", "snappy", "lz4", "zstd"],
        "none",
      ),
      acks: readAcks(options),
      requestBytesMax: options.size("rdkafka.message.max.bytes", 1_000_000, 1000, 100_000_000),
      requestTimeoutMs: options.integer("rdkafka.request.timeout.ms", 30_000, 100, 900_000),
      connectTimeoutMs: options.integer("rdkafka.socket.connection.setup.timeout.ms", 10_000, 100, 600_000),
    };
  },
};

/** Which of two names of one property is written; the last one counts in librdkafka, both at once are a mistake here. */
function either(options: Options, first: string, second: string): string {
  const other = options.entry(second);
  if (other === undefined) return first;
  if (options.entry(first) !== undefined) {
    options.refuse(other, `"${first}" and "${second}" are the same and both there: keep one`);
  }
  return second;
}

function readBrokers(options: Options): readonly KafkaBroker[] {
  const text = options.required("brokers", '"brokers kafka-1.example.com:9092"');
  const place = options.entry("brokers") ?? options.section;
  return text.split(",").flatMap((part) => {
    const [, bracketed, plain, port = "9092"] =
      /^\s*(?:\[([0-9A-Fa-f:]+)\]|([A-Za-z0-9._-]{1,253}))(?::(\d{1,5}))?\s*$/.exec(part) ?? [];
    const host = bracketed ?? plain;
    if (host !== undefined && Number(port) >= 1 && Number(port) <= 65_535) {
      return [{ host, port: Number(port) }];
    }
    if (text !== "") {
      options.refuse(place, `"brokers" names "${part.trim()}", which has to be HOST or HOST:PORT`);
    }
    return [];
  });
}

function readTopics(options: Options): KafkaConfig["topics"] {
  const names = options
    .text("topics", "fluent-bit")
    .split(",")
    .map((name) => name.trim());
  const wrong = names.find((name) => !/^[A-Za-z0-9._-]{1,249}$/.test(name) || name === "." || name === "..");
  if (wrong !== undefined) {
    const place = options.entry("topics") ?? options.section;
    options.refuse(place, `"topics" names "${wrong}", which is no name of a topic`);
  }
  const [first = "fluent-bit", ...others] = names;
  return [first, ...others];
}

function readField(options: Options, key: string): FieldPath | undefined {
  const text = options.text(key);
  if (text === undefined) return undefined;
  const path = parseFieldPath(text);
  if (path !== undefined && path.every(({ kind }) => kind !== "any")) return path;
  options.refuse(
    options.entry(key) ?? options.section,
    `"${key}" is "${text}" and has to be a key, or $key['inner']`,
  );
  return undefined;
}

function readTimestamp(options: Options): Pick<KafkaConfig, "timestampKey" | "timestampFormat"> {
  const key = options.text("timestamp_key", "@timestamp");
  return {
    timestampKey: ["false", "off", ""].includes(key.toLowerCase()) ? undefined : key,
    timestampFormat: options.oneOf("timestamp_format", ["double", "iso8601", "iso8601_ns"], "double"),
  };
}

function readClientId(options: Options): string {
  const key = either(options, "client_id", "rdkafka.client.id");
  const id = options.text(key, "falconry");
  if (/^[A-Za-z0-9._-]{1,200}$/.test(id)) return id;
  const place = options.entry(key) ?? options.section;
  options.refuse(place, `"${key}" is "${id}" and has to be letters, digits, dots, dashes and underscores`);
  return "falconry";
}

function protocolOf(options: Options): "plaintext" | "ssl" | "sasl_plaintext" | "sasl_ssl" {
  const protocols = ["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] as const;
  return options.oneOf("rdkafka.security.protocol", protocols, "plaintext");
}

function readTls(options: Options): TlsConfig | undefined {
  const caFile = readPath(options, "rdkafka.ssl.ca.location");
  const certFile = readPath(options, "rdkafka.ssl.certificate.location");
  const keyFile = readPath(options, "rdkafka.ssl.key.location");
  const password = readSecret(options, "rdkafka.ssl.key.password");
  if (!["ssl", "sasl_ssl"].includes(protocolOf(options))) {
    const orphan = options.section.entries.find(({ key }) => key.startsWith("rdkafka.ssl."));
    if (orphan !== undefined) {
      options.refuse(
        orphan,
        `"${orphan.key}" has no effect: add "rdkafka.security.protocol ssl" or sasl_ssl`,
      );
    }
    return undefined;
  }
  const isPair = (certFile === undefined) === (keyFile === undefined);
  if (!isPair) {
    options.refuse(
      options.section,
      '"rdkafka.ssl.certificate.location" and "rdkafka.ssl.key.location" belong together',
    );
  }
  return {
    verify: options.boolean("rdkafka.enable.ssl.certificate.verification", true),
    caFile,
    vhost: undefined,
    client: certFile === undefined || keyFile === undefined ? undefined : { certFile, keyFile, password },
  };
}

function readPath(options: Options, key: string): string | undefined {
  const path = options.text(key);
  if (path !== undefined && !path.startsWith("/")) {
    options.refuse(
      options.entry(key) ?? options.section,
      `"${key}" is "${path}" and has to be absolute: begin it with /`,
    );
  }
  return path;
}

function readSasl(options: Options): KafkaSasl | undefined {
  const key = either(options, "rdkafka.sasl.mechanism", "rdkafka.sasl.mechanisms");
  const user = options.text("rdkafka.sasl.username");
  const password = readSecret(options, "rdkafka.sasl.password");
  if (!["sasl_plaintext", "sasl_ssl"].includes(protocolOf(options))) {
    const orphan = options.section.entries.find((entry) => entry.key.startsWith("rdkafka.sasl."));
    if (orphan !== undefined) {
      options.refuse(orphan, `"${orphan.key}" has no effect: add "rdkafka.security.protocol sasl_ssl"`);
    }
    return undefined;
  }
  const written = options.text(key, "").toUpperCase();
  const mechanism = (["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] as const).find((one) => one === written);
  if (mechanism === undefined) {
    const place = options.entry(key) ?? options.section;
    options.refuse(place, `"${key}" is "${written}" and has to be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512`);
  }
  if (user === undefined || password === undefined) {
    options.refuse(options.section, 'SASL needs "rdkafka.sasl.username" and "rdkafka.sasl.password"');
    return undefined;
  }
  return { mechanism: mechanism ?? "PLAIN", user, password };
}

/** `0` would mean that nobody ever knows whether a record arrived. */
function readAcks(options: Options): KafkaConfig["acks"] {
  const key = either(options, "rdkafka.acks", "rdkafka.request.required.acks");
  const written = options.text(key, "all").toLowerCase();
  if (written === "all" || written === "-1") return "all";
  if (written === "1") return "leader";
  const place = options.entry(key) ?? options.section;
  options.refuse(
    place,
    `"${key}" is "${written}" and has to be all (or -1), or 1: with 0 nobody knows what arrived`,
  );
  return "all";
}
