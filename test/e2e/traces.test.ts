/** A rollout as whoever looks at its trace sees it: from the command over the server to the agent's proof. */
import assert from "node:assert/strict";
import { registerHooks } from "node:module";
import { test } from "node:test";
import { newHome, startAgentFleet, until } from "../../agent/testing.ts";
import { startTestServer } from "../../server/testing.ts";
import { startCollector, type ArrivedSpan, type Collector } from "../support/collector.ts";
import { runCli, setEnv, useContext } from "../support/run-cli.ts";

const loaded: string[] = [];
registerHooks({
  load(url, context, next) {
    if (url.includes("@opentelemetry")) loaded.push(url);
    return next(url, context);
  },
});

const rollOut = ["rollout", "rules", "--all", "--bundle", "starter@1.0.0", "--watch"];

test("without the switch nothing of OpenTelemetry is loaded and no collector spoken to; one that is away costs a command nothing but a word", async (t) => {
  const collector = await startCollector(t);
  setEnv(t, "OTEL_EXPORTER_OTLP_ENDPOINT", collector.url);
  const at = await startTestServer(t);
  await useContext(t, { server: at.baseUrl, ca: at.ca, token: await at.token("admin") });
  const off = await runCli(["cluster", "list"]);
  assert.equal(off.code, 0, off.talk);
  assert.deepEqual([loaded, collector.connections()], [[], 0]);

  setEnv(t, "FALCONRY_TRACES", "otlp");
  setEnv(t, "OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
  const away = await runCli(["cluster", "list"]);
  assert.deepEqual([away.code, away.out], [0, off.out]);
  assert.match(away.talk, /^fleetctl: Spans do not arrive at the collector, 2 are lost so far: /m);
  assert.ok(loaded.length > 0, "the first half saw what would have been loaded");
});

/** What stands above a span, itself first, up to the root. */
function lineOf(spans: readonly ArrivedSpan[], span: ArrivedSpan): readonly string[] {
  const parent = spans.find(({ id }) => id === span.parentId);
  const own = `${span.service}: ${span.name}`;
  return parent === undefined ? [own] : [own, ...lineOf(spans, parent)];
}

function find(collector: Collector, name: string, traceId?: string): ArrivedSpan | undefined {
  return collector.spans.find(
    (span) => span.name === name && (traceId === undefined || span.traceId === traceId),
  );
}

test("one rollout is one trace, in which each step stands under the one that it came of, to the proof", async (t) => {
  const collector = await startCollector(t);
  setEnv(t, "OTEL_EXPORTER_OTLP_ENDPOINT", collector.url);
  setEnv(t, "OTEL_BSP_SCHEDULE_DELAY", "50");
  setEnv(t, "FALCONRY_TRACES", "otlp");
  const env = { FALCONRY_TRACES: "otlp", OTEL_BSP_SCHEDULE_DELAY: "50" };
  const fleet = await startAgentFleet(t, { env });
  const { at } = fleet;
  await newHome(t, await fleet.joinString(), env).start();
  await useContext(t, { server: at.baseUrl, ca: at.ca, token: await at.token("admin") });
  const done = await runCli(rollOut);
  assert.equal(done.code, 0, done.talk);

  const root = await until("the command", () => find(collector, "fleetctl rollout rules"));
  assert.equal(root.parentId, "");
  const whole = await until("the rollout", () => find(collector, "rollout", root.traceId));
  const proof = await until("the proof", () => find(collector, "take proof", root.traceId));
  await until("the agent's word", () => find(collector, "tell proof", root.traceId));
  const spans = collector.spans.filter(({ traceId }) => traceId === root.traceId);

  assert.deepEqual(lineOf(spans, proof), [
    "falconry-server: take proof",
    "falconry-agent: tell proof",
    "falconry-agent: attempt",
    "falconry-agent: take assignment",
    "falconry-server: push",
    "falconry-server: cluster",
    "falconry-server: wave",
    "falconry-server: rollout",
    "falconry-server: fleet.v1.RolloutService/StartRollout",
    "fleetctl: fleet.v1.RolloutService/StartRollout",
    "fleetctl: fleetctl rollout rules",
  ]);
  const attempt = spans.find(({ name }) => name === "attempt");
  const steps = spans.filter(({ parentId }) => parentId === attempt?.id).map(({ name }) => name);
  assert.deepEqual(steps.toSorted(), ["apply", "fetch", "tell proof", "validate", "verify"]);
  const decisions = spans.filter(({ name }) => name === "decide");
  assert.ok(decisions.some(({ attributes }) => attributes["falconry.clusters.assigned"] === "1"));
  assert.ok(decisions.some(({ attributes }) => attributes["falconry.clusters.proved"] === "1"));
  assert.ok(decisions.some(({ attributes }) => attributes["falconry.rollout.state"] === "succeeded"));
  assert.equal(whole.attributes["falconry.rollout.state"], "succeeded");
  assert.equal(find(collector, "cluster", root.traceId)?.attributes["falconry.cluster.name"], "eu-1");
  assert.deepEqual(
    spans.filter(({ error }) => error !== undefined),
    [],
  );
});
