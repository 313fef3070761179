import assert from "node:assert/strict";
import { test } from "node:test";
import type { KafkaConfig } from "./index.ts";
import { checkAllowed, parseShipperConfig, renderProblems } from "./index.ts";

function read(options: string) {
  const content = `[INPUT]\n Name tail\n Tag a\n Path /var/log/a\n[OUTPUT]\n Name kafka\n Match *\n${options}`;
  return parseShipperConfig([{ name: "a.conf", content }], { PW: "p" });
}

function accepted(options: string): KafkaConfig {
  const parsed = read(options);
  assert.ok(parsed.ok, parsed.ok ? "" : renderProblems(parsed.problems));
  const [output] = parsed.config.outputs;
  assert.ok(output?.plugin === "kafka");
  return output;
}

test("kafka has Fluent Bit's defaults, written by all replicas and once", () => {
  const { brokers, topics, timestampKey, timestampFormat, acks, compression, tls, sasl } = accepted(
    " Brokers k1,k2:9093,[::1]:9\n",
  );
  assert.deepEqual(
    { brokers, topics, timestampKey, timestampFormat, acks, compression, tls, sasl },
    {
      brokers: [
        { host: "k1", port: 9092 },
        { host: "k2", port: 9093 },
        { host: "::1", port: 9 },
      ],
      topics: ["fluent-bit"],
      timestampKey: "@timestamp",
      timestampFormat: "double",
      acks: "all",
      compression: "none",
      tls: undefined,
      sasl: undefined,
    },
  );
});

test("kafka takes librdkafka's names for TLS, SASL, compression and acks", () => {
  const output = accepted(
    " Brokers k:9093\n Topics a,b\n Topic_Key $to['topic']\n rdkafka.security.protocol SASL_SSL\n rdkafka.ssl.ca.location /etc/ca.pem\n rdkafka.sasl.mechanisms SCRAM-SHA-512\n rdkafka.sasl.username u\n rdkafka.sasl.password ${PW}\n rdkafka.compression.type lz4\n rdkafka.request.required.acks 1\n",
  );
  assert.deepEqual(output.topics, ["a", "b"]);
  assert.deepEqual(output.topicKey, [
    { kind: "key", name: "to" },
    { kind: "key", name: "topic" },
  ]);
  assert.deepEqual([output.tls?.verify, output.tls?.caFile], [true, "/etc/ca.pem"]);
  assert.deepEqual(output.sasl, {
    mechanism: "SCRAM-SHA-512",
    user: "u",
    password: { kind: "text", text: "p" },
  });
  assert.deepEqual([output.compression, output.acks], ["lz4", "leader"]);
});

for (const [what, options, expected] of [
  ["no broker", "", /"brokers" is missing/],
  [
    "a broker that is none",
    " Brokers k:99999\n",
    /"brokers" names "k:99999", which has to be HOST or HOST:PORT/,
  ],
  [
    "topics that a record makes",
    " Brokers k\n Dynamic_Topic on\n",
    /"dynamic_topic".*not supported: a record could then write to any topic/,
  ],
  ["a format that is not JSON", " Brokers k\n Format avro\n", /"format avro" is not supported/],
  [
    "writing without an answer",
    " Brokers k\n rdkafka.acks 0\n",
    /"rdkafka\.acks" is "0".*nobody knows what arrived/,
  ],
  [
    "a property that means nothing here",
    " Brokers k\n rdkafka.statistics.interval.ms 5\n",
    /Option "rdkafka\.statistics\.interval\.ms" .* is not supported/,
  ],
  [
    "a mechanism that is not there",
    " Brokers k\n rdkafka.security.protocol sasl_ssl\n rdkafka.sasl.mechanism GSSAPI\n rdkafka.sasl.username u\n rdkafka.sasl.password ${PW}\n",
    /has to be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512/,
  ],
  [
    "SASL that has no effect",
    " Brokers k\n rdkafka.sasl.username u\n",
    /"rdkafka\.sasl\.username" has no effect: add "rdkafka\.security\.protocol/,
  ],
  [
    "the same property twice",
    " Brokers k\n rdkafka.acks all\n rdkafka.request.required.acks 1\n",
    /are the same and both there/,
  ],
] as const) {
  test(`kafka: ${what} is refused`, () => {
    const parsed = read(options);
    assert.ok(!parsed.ok, "the config was accepted");
    assert.match(renderProblems(parsed.problems), expected);
  });
}

test("the allow-list holds for every broker of kafka, and for its secrets", () => {
  const parsed = read(
    " Brokers k1,k2\n rdkafka.security.protocol ssl\n rdkafka.ssl.certificate.location /etc/k/c\n rdkafka.ssl.key.location /etc/k/k\n",
  );
  assert.ok(parsed.ok);
  const denied = (hosts: readonly string[], secrets: readonly string[]) =>
    renderProblems(
      checkAllowed(parsed.config, {
        destinations: hosts.map((host) => ({ host, port: 9092, tls: "required" })),
        fileDirectories: [],
        tailDirectories: ["/var/log"],
        secretDirectories: secrets,
      }),
    );
  assert.match(denied(["k1"], ["/etc/k"]), /may not send to k2:9092/);
  assert.match(denied(["k1", "k2"], []), /may not use the secret "\/etc\/k\/c"/);
  assert.equal(denied(["k1", "k2"], ["/etc/k"]), "");
});
