import assert from "node:assert/strict";
import { test } from "node:test";
import { readTraceSettings } from "./settings.ts";

test("readTraceSettings() leaves traces off until the switch says otherwise, whatever OpenTelemetry is told", () => {
  const told = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318", OTEL_TRACES_SAMPLER: "nonsense" };
  for (const env of [told, { ...told, FALCONRY_TRACES: "off" }, { ...told, FALCONRY_TRACES: "" }]) {
    assert.deepEqual(readTraceSettings(env, "p"), { ok: true, settings: undefined });
  }
  const disabled = { FALCONRY_TRACES: "otlp", OTEL_SDK_DISABLED: "true" };
  assert.deepEqual(readTraceSettings(disabled, "p"), { ok: true, settings: undefined });
});

test("readTraceSettings() reads what OpenTelemetry names, within bounds", () => {
  const read = readTraceSettings(
    {
      FALCONRY_TRACES: "otlp",
      OTEL_TRACES_SAMPLER: "parentbased_traceidratio",
      OTEL_TRACES_SAMPLER_ARG: "0.25",
      OTEL_BSP_MAX_QUEUE_SIZE: "100",
    },
    "falconry-agent",
  );
  assert.deepEqual(read.ok && read.settings, {
    serviceName: "falconry-agent",
    sampler: "parentbased_traceidratio",
    ratio: 0.25,
    queueMax: 100,
    batchMax: 100,
    delayMs: 5_000,
  });
});

test("readTraceSettings() names everything that is wrong at once, and repeats no password of an address", () => {
  const read = readTraceSettings(
    {
      FALCONRY_TRACES: "otlp",
      OTEL_EXPORTER_OTLP_ENDPOINT: "ftp://user:secret@collector",
      OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
      OTEL_TRACES_SAMPLER: "sometimes",
      OTEL_TRACES_SAMPLER_ARG: "2",
      OTEL_BSP_MAX_QUEUE_SIZE: "1000000",
    },
    "p",
  );
  assert.ok(!read.ok);
  assert.equal(read.problems.length, 5);
  assert.doesNotMatch(read.problems.join(), /secret/);
});
