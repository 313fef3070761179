import assert from "node:assert/strict";
import { test } from "node:test";

import { createMailbox } from "./mailbox.ts";
import { createRegistry, type LiveSession } from "./registry.ts";

function session(agentId: string, epoch: bigint, sessionId: string = `s${epoch}`): LiveSession {
  return { agentId, clusterId: "cl_1", sessionId, epoch, mailbox: createMailbox() };
}

test("a newer session of an agent ends the older one here, and never the other way round", () => {
  const registry = createRegistry();
  const [old, young] = [session("ag_1", 1n), session("ag_1", 2n)];
  assert.equal(registry.add(young), true);
  assert.equal(registry.add(old), false);
  assert.equal(young.mailbox.ending, undefined);
  const newest = session("ag_1", 3n);
  registry.add(newest);
  assert.deepEqual(young.mailbox.ending, { kind: "superseded" });
  registry.remove(young);
  assert.equal(registry.size, 1);
});

test("a mailbox holds one mark, however often it is marked, and wakes who waits", async () => {
  const mailbox = createMailbox();
  const waiting = mailbox.wait();
  for (let i = 0; i < 1000; i += 1) mailbox.mark();
  await waiting;
  assert.deepEqual([mailbox.take(), mailbox.take()], [true, false]);
});

test("a drain gives every session its own time, also those that come while it goes on", () => {
  let n = 0;
  const registry = createRegistry(() => (n += 0.25));
  const [one, two, late] = [session("ag_1", 1n), session("ag_2", 1n), session("ag_3", 1n)];
  registry.add(one);
  registry.add(two);
  registry.drain(1000);
  registry.add(late);
  assert.deepEqual(
    [one, two, late].map(({ mailbox }) => mailbox.ending),
    [250, 500, 750].map((reconnectAfterMs) => ({ kind: "drain", reconnectAfterMs })),
  );
});

test("a wake reaches the sessions of its clusters and no others", () => {
  const registry = createRegistry();
  const [here, there] = [session("ag_1", 1n), { ...session("ag_2", 1n), clusterId: "cl_2" }];
  registry.add(here);
  registry.add(there);
  registry.wake(["cl_2", "cl_unknown"]);
  assert.deepEqual([here.mailbox.take(), there.mailbox.take()], [false, true]);
});

test("a wave of a thousand is woken in turns, and who is revoked or replaced meanwhile holds up nobody", () => {
  const registry = createRegistry();
  const all = Array.from({ length: 1_000 }, (_, i) => ({
    ...session(`ag_${i}`, 1n),
    clusterId: `cl_${i}`,
  }));
  for (const each of all) registry.add(each);
  const woken = () => all.filter(({ mailbox }) => mailbox.take()).map(({ agentId }) => agentId);
  registry.wake(all.map(({ clusterId }) => clusterId));
  const first = woken();
  assert.equal(registry.waiting, all.length - first.length);
  assert.ok(first.length > 100 && first.length < 500, `${first.length} at once`);
  for (const agentId of first) registry.took(agentId);
  const second = woken();
  assert.equal(second.length, first.length);
  for (const each of all.slice(0, 900)) registry.remove(each);
  assert.equal(registry.waiting, 0);
  const left = all.slice(900).filter(({ mailbox }) => mailbox.take());
  assert.equal(left.length, 100, "those that are left");
  registry.endCluster("cl_999", { kind: "revoked" });
  assert.deepEqual(all.at(-1)?.mailbox.ending, { kind: "revoked" }, "at once, whoever waits");
});

test("a revoked agent and a retired cluster are ended everywhere, also a stream that has not said hello", () => {
  const registry = createRegistry();
  const [spoken, sibling] = [session("ag_1", 1n), session("ag_2", 1n)];
  const arrivals = [session("ag_1", 2n), { ...session("ag_3", 1n), clusterId: "cl_2" }] as const;
  registry.add(spoken);
  registry.add(sibling);
  for (const arrival of arrivals) registry.arrive(arrival);
  const ended = () => [spoken, sibling, ...arrivals].map(({ mailbox }) => mailbox.ending?.kind === "revoked");
  registry.endAgent("ag_1", { kind: "revoked" });
  assert.deepEqual(ended(), [true, false, true, false]);
  registry.endCluster("cl_2", { kind: "revoked" });
  assert.deepEqual(ended(), [true, false, true, true]);
  registry.endCluster("cl_1", { kind: "revoked" });
  assert.deepEqual(ended(), [true, true, true, true]);
});
