import assert from "node:assert/strict";
import { once } from "node:events";
import { get } from "node:https";
import type { IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { test } from "node:test";

import { Code, ConnectError } from "@connectrpc/connect";
import { BundleService } from "#proto/fleet/v1/bundle";

import { until } from "../rpc/agent-service/fixture.ts";
import { publishRoot, push, rulesBundle, signTargets, startTestServer, type TestServer } from "../testing.ts";
import { slowBundle } from "./testing.ts";

/** One line of the metrics; undefined while it is not there. */
async function metric({ baseUrl, ca }: TestServer, name: string): Promise<number | undefined> {
  const [response] = (await once(get(`${baseUrl}/metrics`, { ca, agent: false }), "response")) as [
    IncomingMessage,
  ];
  const line = (await text(response)).split("\n").find((one) => one.startsWith(`${name} `));
  return line === undefined ? undefined : Number(line.slice(name.length));
}

test("while a push at the bounds of the rule language loads, other calls are answered; one that takes too long is refused, and the next good push passes", async (t) => {
  const at = await startTestServer(t);
  const offline = await publishRoot(at);
  const slow = slowBundle("1.0.0");
  const targets = Uint8Array.from(await signTargets(offline, undefined, [slow]));
  const request = { bundles: [Uint8Array.from(slow.bytes)], targets };
  const inWork = (count: number) =>
    until(`${count} loads`, async () => (await metric(at, "falconry_loads_in_work")) === count, 60_000);
  const service = await at.client(BundleService);
  const caller = new AbortController();
  let isSettled = false;
  const pushed = service.pushBundles(request, { signal: caller.signal }).finally(() => (isSettled = true));
  const left = assert.rejects(pushed, (error) => ConnectError.from(error).code === Code.Canceled);
  await inWork(1);
  for (let call = 0; call < 20; call += 1) assert.deepEqual((await service.listBundles({})).bundles, []);
  assert.equal(isSettled, false, "the calls waited for the push");
  caller.abort();
  await left;
  await inWork(0);
  const hasty = await startTestServer(t, { beside: at, env: { FALCONRY_LOADING_TIMEOUT: "1s" } });
  const refused = ConnectError.from(
    await (await hasty.client(BundleService)).pushBundles(request).catch((error: unknown) => error),
  );
  assert.equal(refused.code, Code.ResourceExhausted);
  assert.match(refused.rawMessage, /^Loading what the bundles hold was ended after 1 s: make it smaller/);
  assert.equal(await metric(hasty, 'falconry_refused_total{what="load",reason="too-long"}'), 1);
  await push(at, offline, undefined, [rulesBundle("1.0.0")]);
  assert.equal((await service.listBundles({})).bundles.length, 1);
});
