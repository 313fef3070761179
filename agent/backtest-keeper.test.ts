/** What a server in wrong hands can make an agent replay: nothing that people did not release, and nothing that it was not ordered. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { create } from "@bufbuild/protobuf";
import { BacktestOfferSchema } from "#proto/agent/v1/agent";
import { signBacktest, type Envelope } from "#trust";
import { joined, makeBundle, makeRelease, makeRoot, newKeys } from "../trust/fixture.ts";
import { keepBacktest } from "./backtest-keeper.ts";
import { log, until } from "./testing.ts";
import { openTrustStore, writeTrusted } from "./trust-store.ts";

const now = new Date(Math.floor(Date.now() / 1000) * 1000);
const later = (ms: number) => new Date(now.getTime() + ms);
const keys = newKeys();
const released = makeBundle();
const trusted = joined(await makeRoot(keys, now), await makeRelease(keys, now, [released]), now);
const order = {
  org: "default",
  clusterId: "cl_1",
  backtestId: "bt_1",
  target: released.target,
  since: later(-3_600_000),
  until: now,
  notBefore: later(-60_000),
  expires: later(3_600_000),
};
const [assigner] = keys.assignment;
const sign = (change: object = {}, key = assigner!) => signBacktest({ ...order, ...change }, key);

/** An agent that would fetch and replay anything, so that a test sees whether it got so far. */
function keeper(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), "falconry-backtest-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  writeTrusted(join(dir, "trusted.json"), trusted);
  const stopping = new AbortController();
  t.after(() => stopping.abort());
  let fetched = 0;
  const kept = keepBacktest({
    trust: openTrustStore(join(dir, "trusted.json"), { org: "default", clusterId: "cl_1" }),
    candidates: {
      pathOf: (sha256) => join(dir, sha256),
      stage: async (target) => {
        fetched += 1;
        return join(dir, target.sha256);
      },
      enclose: () => {},
      keep: () => Promise.resolve(),
      prune: async () => {},
    },
    startsPath: join(dir, "starts.json"),
    pipeline: { backtestSource: async () => undefined },
    rules: () => undefined,
    labels: () => ({}),
    client: () => undefined,
    org: "default",
    guard: {},
    onChange: () => {},
    log,
    signal: stopping.signal,
  });
  const offer = (envelope?: Envelope, backtestId = "bt_1") => {
    if (envelope === undefined) return kept.take(create(BacktestOfferSchema, { backtestId }));
    const { payloadType, payload, signatures } = envelope;
    const wire = {
      payloadType,
      payload: Uint8Array.from(payload),
      signatures: signatures.map(({ keyId, signature }) => ({
        keyId,
        signature: Uint8Array.from(signature),
      })),
    };
    return kept.take(create(BacktestOfferSchema, { backtestId, order: wire }));
  };
  const figures = () => kept.standing()?.report.figures;
  return { offer, figures, fetched: () => fetched, isReplaying: () => kept.standing()?.isReplaying };
}

const attacks: readonly (readonly [string, Envelope | undefined, string])[] = [
  ["signed by nobody", { ...(await sign()), signatures: [] }, "trust/threshold-not-met"],
  ["signed by a stranger", await sign({}, newKeys().assignment[0]), "trust/unknown-key"],
  ["for another cluster", await sign({ clusterId: "cl_2" }), "trust/wrong-cluster"],
  ["that is over", await sign({ expires: later(-1_000) }), "trust/expired"],
  ["for another backtest than is offered", await sign({ backtestId: "bt_2" }), "trust/malformed"],
  ["that is missing", undefined, "trust/malformed"],
];
for (const [name, envelope, code] of attacks) {
  test(`an agent refuses a backtest with an order ${name}, and fetches nothing`, async (t) => {
    const { offer, figures, fetched, isReplaying } = keeper(t);
    offer(envelope);
    await until("it says so", () => figures()?.state === "refused");
    assert.deepEqual([figures()?.reason, fetched(), isReplaying()], [code, 0, false]);
  });
}

test("an agent fetches nothing that is not released, however well the order is signed, and stops when told to", async (t) => {
  const { offer, figures, fetched, isReplaying } = keeper(t);
  offer(await sign({ target: { ...released.target, sha256: "0".repeat(64) } }));
  await until("it says what it waits for", () => figures()?.reason !== "");
  assert.deepEqual([figures()?.state, figures()?.reason, fetched()], ["preparing", "trust/hash-mismatch", 0]);
  offer(undefined, "");
  await until("it stopped", () => figures()?.state === "stopped");
  assert.deepEqual([figures()?.reason, isReplaying()], ["backtest/ended", false]);
  offer(await sign({ backtestId: "bt_3" }), "bt_3");
  await until("the next one is fetched", () => fetched() === 1);
});
