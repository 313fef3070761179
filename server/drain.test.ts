/** How a server goes: what people and agents hold open, and what the database does meanwhile. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { sql } from "./store/drizzle.ts";
import { AgentService, SyncRequestSchema, type SyncRequest } from "#proto/agent/v1/agent";
import { AlertService } from "#proto/fleet/v1/alert";
import { BundleKind } from "#proto/fleet/v1/common";
import { RolloutService } from "#proto/fleet/v1/rollout";

import { startSimAgent } from "../test/support/sim-agent.ts";
import { startTestFleet, until } from "./rpc/agent-service/fixture.ts";
import { isDatabaseAway } from "./store/pool.ts";
import { startTestServer } from "./testing.ts";

function alert(n: number) {
  return {
    id: n.toString(16).padStart(64, "0"),
    rule: "Exec into pod",
    priority: "Warning",
    source: "k8s_audit",
    time: timestampFromMs(Date.now()),
    output: "exec",
    body: "{}",
    rulesDigest: new Uint8Array(32),
  };
}

/** Reads a stream to its end; gives the name of the code that ended it. */
async function readToEnd(stream: AsyncIterable<unknown>, onMessage: () => void = () => {}): Promise<string> {
  try {
    for await (const _message of stream) onMessage();
    return "Ok";
  } catch (error) {
    return Code[ConnectError.from(error).code] ?? "";
  }
}

test("a drain ends an open tail, a watch and a stream that never said hello at once, and tells them to come back", async (t) => {
  // The drain would wait ten seconds for calls that do not end.
  const fleet = await startTestFleet(t, 1, { env: { FALCONRY_DRAIN_TIMEOUT: "10s" } });
  const identity = await fleet.enrol("eu-1");
  const rollouts = await fleet.at.client(RolloutService);
  const { rollout } = await rollouts.startRollout({ spec: { kind: BundleKind.RULES } });
  const alerts = await fleet.at.client(AlertService);
  const [watched, tailed, heard] = [0, 0, 0].map(() => Promise.withResolvers<void>());
  const watch = readToEnd(rollouts.watchRollout({ rolloutId: rollout?.id ?? "" }), watched?.resolve);
  const tail = readToEnd(alerts.tailAlerts({}), tailed?.resolve);
  const quiet = Promise.withResolvers<void>();
  async function* strange(): AsyncGenerator<SyncRequest> {
    yield create(SyncRequestSchema, { sessionId: "session-1", sequence: 1n });
    await quiet.promise;
  }
  const agent = fleet.at.bare(AgentService, identity);
  const stream = readToEnd(agent.connect(strange()), heard?.resolve);
  const shown = tailed?.promise.then(() => true);
  for (let n = 0; (await Promise.race([shown, delay(50)])) !== true; n += 1) {
    await agent.deliverAlerts({ alerts: [alert(n)] });
  }
  await Promise.all([watched?.promise, heard?.promise]);
  const startedAt = performance.now();
  await fleet.at.server.stop();
  const seconds = (performance.now() - startedAt) / 1000;
  quiet.resolve();
  assert.deepEqual(await Promise.all([watch, tail, stream]), ["Unavailable", "Unavailable", "Unavailable"]);
  assert.ok(seconds < 5, `the drain took ${seconds.toFixed(1)} s`);
});

test("a server whose database went away still drains, and lets go of its port", async (t) => {
  const fleet = await startTestFleet(t, 1);
  const { at } = fleet;
  const agent = startSimAgent(await fleet.enrol("eu-1"));
  t.after(() => agent.kill());
  await agent.connected;
  // Now there is something to write at the end, and no table to write it to.
  await at.db.$client.query("alter table agents rename to agents_gone");
  await at.server.stop();
  await at.db.$client.query("alter table agents_gone rename to agents");
  const next = await startTestServer(t, {
    beside: at,
    env: { FALCONRY_LISTEN: `127.0.0.1:${at.server.port}` },
  });
  assert.equal(next.server.port, at.server.port);
});

test("a connection that breaks in the middle of a transaction is an error that says try again, never the end of the process", async (t) => {
  const { db } = await startTestServer(t);
  const broken = db.transaction(async (tx) => {
    const { rows } = await tx.execute<{ pid: number }>(sql`select pg_backend_pid() as pid`);
    await db.execute(sql`select pg_terminate_backend(${rows[0]?.pid ?? 0})`);
    // The loss arrives while the transaction has no statement under way.
    await until("the backend is gone", async () => {
      const left = await db.execute(sql`select 1 from pg_stat_activity where pid = ${rows[0]?.pid ?? 0}`);
      return left.rows.length === 0;
    });
    await tx.execute(sql`select 1`);
  });
  await assert.rejects(broken, (error) => isDatabaseAway(error));
  assert.equal((await db.execute(sql`select 1`)).rows.length, 1);
});
