import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import { startCollector } from "../test/support/collector.ts";
import { setEnv } from "../test/support/run-cli.ts";
import { readTraceSettings } from "./settings.ts";
import { contextOf, parseTraceparent } from "./traceparent.ts";
import { noTraces, openTraces } from "./traces.ts";

const version = "1.2.3";

function settingsOf(env: Readonly<Record<string, string>>) {
  const read = readTraceSettings({ FALCONRY_TRACES: "otlp", ...env }, "falconry-test");
  assert.ok(read.ok);
  return read.settings;
}

test("traces that are off hand out no context and hold nothing", async () => {
  const traces = await openTraces({ settings: undefined, version, onTrouble: () => {} });
  assert.equal(traces, noTraces);
  const span = traces.begin("a");
  span.end();
  assert.equal(span.context, undefined);
});

test("a span arrives with what was said of it, under the parent whose id was known before it was over", async (t) => {
  const collector = await startCollector(t);
  setEnv(t, "OTEL_EXPORTER_OTLP_ENDPOINT", collector.url);
  const traces = await openTraces({ settings: settingsOf({}), version, onTrouble: () => {} });
  const call = traces.begin("call", { kind: "server" });
  assert.ok(call.context);
  const whole = contextOf(call.context, "rollout");
  traces.record({ name: "step", parent: whole, startMs: 2_000.5, endMs: 3_000, error: "it failed" });
  traces.record({ name: "rollout", as: whole, parent: call.context, startMs: 1_000, endMs: 4_000 });
  call.note({ "falconry.rollout.id": "ro_1" });
  call.end();
  await traces.stop(10_000);

  const [step, rollout, root] = collector.spans;
  assert.ok(step && rollout && root);
  assert.deepEqual([step.parentId, rollout.parentId, root.parentId], [rollout.id, root.id, ""]);
  assert.deepEqual([step.error, rollout.error], ["it failed", undefined]);
  assert.deepEqual([rollout.startNs, rollout.endNs], [1_000_000_000n, 4_000_000_000n]);
  assert.equal(step.startNs, 2_000_500_000n);
  assert.deepEqual([root.service, root.kind], ["falconry-test", 2]);
  assert.equal(root.attributes["falconry.rollout.id"], "ro_1");
  assert.deepEqual(traces.counts(), { exported: 3, failed: 0, dropped: 0, limited: 0 });
});

test("a collector that takes nothing makes nobody wait: what finds no room is let go, and all of it is counted", async (t) => {
  const mute = createServer().listen(0, "127.0.0.1");
  await once(mute, "listening");
  const sockets: { destroy(): void }[] = [];
  mute.on("connection", (socket) => void sockets.push(socket));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    mute.close();
  });
  setEnv(t, "OTEL_EXPORTER_OTLP_ENDPOINT", `http://127.0.0.1:${(mute.address() as AddressInfo).port}`);
  setEnv(t, "OTEL_EXPORTER_OTLP_TIMEOUT", "300");
  const told: string[] = [];
  const settings = settingsOf({ OTEL_BSP_MAX_QUEUE_SIZE: "64", OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "16" });
  const traces = await openTraces({ settings, version, onTrouble: (message) => void told.push(message) });
  for (let i = 0; i < 1_000; i += 1) traces.begin("busy").end();
  assert.equal(traces.counts().dropped, 1_000 - 64);
  await traces.stop(10_000);
  assert.deepEqual(traces.counts(), { exported: 0, failed: 64, dropped: 936, limited: 0 });
  assert.equal(told.length, 1, "it is said once, not for each batch");
});

test("a sampler that records none of a caller's traces is obeyed, and its children say so", async (t) => {
  const collector = await startCollector(t);
  setEnv(t, "OTEL_EXPORTER_OTLP_ENDPOINT", collector.url);
  const settings = settingsOf({ OTEL_TRACES_SAMPLER: "always_off" });
  const traces = await openTraces({ settings, version, onTrouble: () => {} });
  const parent = parseTraceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  const span = traces.begin("call", { parent });
  assert.match(span.context ?? "", /^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-00$/);
  span.end();
  await traces.stop(10_000);
  assert.deepEqual(collector.spans, []);
});
