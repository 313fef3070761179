/** What only a stream does. Real Postgres, no network: the other end is an iterator that can stop reading. */
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test, type TestContext } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { sql } from "../../store/drizzle.ts";
import { pino } from "pino";
import { SyncRequestSchema, type SyncRequest, type SyncResponse } from "#proto/agent/v1/agent";
import { signEnvelope, generateKey } from "#trust";

import { freshDatabase, type TestDatabase } from "../../../test/support/postgres.ts";
import type { CaKeeper } from "../../ca-keeper.ts";
import { createMailbox } from "../../sessions/mailbox.ts";
import type { LiveSession, Registry } from "../../sessions/registry.ts";
import { createSessions, type SessionsOptions } from "../../sessions/sessions.ts";
import type { Tuning } from "../../sessions/tuning.ts";
import { agents } from "../../store/schema.ts";
import { connect } from "./connect.ts";
import { until } from "./fixture.ts";

/** A fleet whose CA is not being replaced. */
const oneCa: CaKeeper = {
  current: () => ({
    issuer: { pin: "sha256:ca", certificate: new Uint8Array(), privateKey: "" },
    trusted: [],
    trustedPins: ["sha256:ca"],
    trustedCas: [],
    bundleVersion: 0,
    switchedAtMs: undefined,
  }),
  refresh: () => Promise.resolve(),
  onChange: () => {},
};

async function setUp(t: TestContext, tuning: Partial<Tuning>, more: Partial<SessionsOptions> = {}) {
  const db = await freshDatabase(t);
  await db.execute(sql`insert into clusters (id, name, uid, labels, created_at)
    values ('cl_1', 'eu-1', 'uid-1', '{"region":"eu"}', now())`);
  await db.execute(sql`insert into agents (id, cluster_id, name, public_key, certificate_serial, certificate_expires_at, created_at)
    values ('ag_1', 'cl_1', 'node-1', '\\x00', '', now(), now())`);
  const key = generateKey();
  const sessions = createSessions({
    db,
    org: "default",
    sign: () => signEnvelope("test", new Uint8Array(), [key]),
    signShadow: () => signEnvelope("test", new Uint8Array(), [key]),
    signBacktest: () => signEnvelope("test", new Uint8Array(), [key]),
    signCas: () => signEnvelope("test", new Uint8Array(), [key]),
    cas: oneCa,
    certificateMs: 1000,
    onReport: () => {},
    log: pino({ level: "silent" }),
    clock: () => new Date(),
    random: () => 0.5,
    tuning,
    ...more,
  });
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const caller = {
    clusterId: "cl_1",
    agentId: "ag_1",
    publicKey,
    certificateExpiresAt: new Date(Date.now() + 3_600_000),
    certificateCa: "sha256:ca",
    certificateSerial: "",
  };
  const gone = new AbortController();
  t.after(() => gone.abort());
  let cuts = 0;
  const line = {
    signal: gone.signal,
    cut: () => {
      cuts += 1;
      gone.abort();
    },
  };
  const open = (requests: AsyncIterable<SyncRequest>) => connect(sessions.ports, caller, requests, line);
  return { db, sessions, open, gone, cuts: () => cuts };
}

setFlagsFromString("--expose-gc");
/** Frees what nobody holds. */
const collect = runInNewContext("gc") as () => void;

const hello = { clusterUid: "uid-1", transport: "stream", protocolMin: 1, protocolMax: 1 };

function message(sequence: bigint, more: object = {}): SyncRequest {
  return create(SyncRequestSchema, {
    sessionId: "session-1",
    sequence,
    ...(sequence === 1n ? { hello } : {}),
    ...more,
  });
}

/** Says these messages, and then nothing more without ending. */
async function* quietAfter(...messages: readonly SyncRequest[]): AsyncGenerator<SyncRequest> {
  yield* messages;
  await new Promise(() => {});
}

async function readToEnd(
  stream: AsyncIterable<SyncResponse>,
): Promise<{ said: SyncResponse[]; error: ConnectError }> {
  const said: SyncResponse[] = [];
  try {
    for await (const response of stream) said.push(response);
  } catch (error) {
    return { said, error: ConnectError.from(error) };
  }
  return assert.fail("the stream ended without a reason");
}

/** Makes every statement fail until the answer is called. */
function takeAway(db: TestDatabase, error: Error): () => void {
  const execute = db.execute.bind(db);
  db.execute = (() => Promise.reject(error)) as unknown as typeof db.execute;
  return () => {
    db.execute = execute;
  };
}

test("a stream of which nothing is heard is let go, so that a half-open connection does not look alive", async (t) => {
  const { open, sessions } = await setUp(t, { silentMs: 50 });
  const { said, error } = await readToEnd(open(quietAfter(message(1n))));
  assert.equal(error.code, Code.Unavailable);
  assert.ok(said.length >= 1);
  assert.equal(sessions.size, 0);
});

test("an agent that takes no message is cut off, and a broadcast to others never waits for it", async (t) => {
  const { open, sessions, cuts, db } = await setUp(t, { stallMs: 50 });
  const stream = open(quietAfter(message(1n)));
  const first = await stream.next();
  assert.equal(first.done, false);
  await until("it has entered", () => sessions.size === 1 || stream.next().then(() => false));
  const startedAt = performance.now();
  sessions.ports.registry.wakeAll();
  assert.ok(performance.now() - startedAt < 20);
  await until("it is cut off", () => cuts() === 1);
  await until("its place is free and its end is noted", async () => {
    const [row] = await db.select().from(agents);
    assert.equal(row?.leftAt, null, "it said no goodbye");
    return sessions.size === 0 && row?.disconnectedAt !== null;
  });
});

test("what an agent says for hours while nothing changes is not kept in memory", async (t) => {
  const { open } = await setUp(t, {});
  const heard: WeakRef<SyncRequest>[] = [];
  let turn = Promise.withResolvers<void>();
  async function* messages(): AsyncGenerator<SyncRequest> {
    for (let sequence = 1n; ; sequence += 1n) {
      const said = message(sequence);
      heard.push(new WeakRef(said));
      yield said;
      await turn.promise;
      turn = Promise.withResolvers();
    }
  }
  const stream = open(messages());
  let resting = stream.next();
  for (let sequence = 1n; sequence <= 9n; sequence += 1n) {
    while ((await resting).value?.ackSequence !== sequence) resting = stream.next();
    // Asked for more than it has to say, the stream rests; only then the agent speaks again.
    resting = stream.next();
    if (sequence < 9n) turn.resolve();
  }
  await until("all but the last are gone", async () => {
    collect();
    return heard.slice(0, -1).every((each) => each.deref() === undefined);
  });
  resting.catch(() => {});
});

/** Sessions of other clusters that are woken and do nothing: so many that the last ones have to wait. */
function crowd(registry: Registry): readonly LiveSession[] {
  const all = Array.from({ length: 300 }, (_, i) => ({
    agentId: `ag_of_${i}`,
    clusterId: `cl_of_${i}`,
    sessionId: "s",
    epoch: 1n,
    mailbox: createMailbox(),
  }));
  for (const each of all) registry.add(each);
  return all;
}

test("an agent for which there is nothing leaves its turn to the next one at once", async (t) => {
  const { open, sessions } = await setUp(t, {});
  const { registry } = sessions.ports;
  const stream = open(quietAfter(message(1n)));
  await stream.next();
  const resting = stream.next();
  resting.catch(() => {});
  await until("it has entered", () => registry.size === 1);
  const others = crowd(registry);
  registry.wake(["cl_1", ...others.map(({ clusterId }) => clusterId)]);
  const waiting = registry.waiting;
  assert.ok(waiting > 0);
  await until("one more has been woken", () => registry.waiting === waiting - 1);
});

test("an agent whose turn has not come is given what it lacks in answer to what it says, and is not woken for it again", async (t) => {
  const { open, sessions, db } = await setUp(t, {});
  const { registry } = sessions.ports;
  // What has changed until now is told to nobody.
  await sessions.pollChanges();
  const beat = Promise.withResolvers<void>();
  async function* messages(): AsyncGenerator<SyncRequest> {
    yield message(1n);
    await beat.promise;
    yield* quietAfter(message(2n));
  }
  const stream = open(messages());
  await stream.next();
  const given = stream.next();
  await until("it has entered", () => registry.size === 1);
  const others = crowd(registry);
  registry.wake(others.map(({ clusterId }) => clusterId));
  const before = registry.waiting;
  const digest = `sha256:${"a".repeat(64)}`;
  await db.execute(sql`insert into bundles (digest, kind, name, version, target_path, length, content, targets_version, pushed_at, pushed_by)
    values (${digest}, 'rules', 'starter', '1.0.0', 'p', 1, '\\x00', 1, now(), 'test')`);
  await db.execute(
    sql`insert into assignments (cluster_id, generation, rules_digest, changed_at) values ('cl_1', 1, ${digest}, now())`,
  );
  await sessions.pollChanges();
  assert.equal(registry.waiting, before + 1, "it stands in line");
  beat.resolve();
  assert.notEqual((await given).value?.assignment, undefined);
  assert.equal(registry.waiting, before);
});

test("a drain sends every stream away with a time of its own to come back", async (t) => {
  const { open, sessions } = await setUp(t, {});
  const ended = readToEnd(open(quietAfter(message(1n))));
  await until("it has entered", () => sessions.size === 1);
  sessions.drain(10_000);
  const { said, error } = await ended;
  assert.equal(said.at(-1)?.drain?.reconnectAfterMs, 5_000);
  assert.equal(error.code, Code.Unavailable);
  const late = await readToEnd(open(quietAfter(message(1n, { sessionId: "session-2" }))));
  assert.equal(late.said.at(-1)?.drain?.reconnectAfterMs, 5_000);
});

test("a stream that has grown old is sent away, so that servers share the agents again", async (t) => {
  const { open } = await setUp(t, { streamAgeMs: 40, reconnectWindowMs: 1_000 });
  const { said } = await readToEnd(open(quietAfter(message(1n))));
  assert.equal(said.at(-1)?.drain?.reconnectAfterMs, 500);
});

test("agents of a fleet that has grown are told a longer window to come back in, once, and a drain spreads them over it", async (t) => {
  const { open, sessions, db } = await setUp(t, {});
  const grown = Promise.withResolvers<void>();
  async function* messages(): AsyncGenerator<SyncRequest> {
    yield message(1n);
    await grown.promise;
    yield* quietAfter(message(2n), message(3n));
  }
  const stream = open(messages());
  const windowOf = async () => (await stream.next()).value?.tuning?.reconnectWindowMs;
  assert.equal(await windowOf(), 5_000);
  await db.execute(sql`insert into agents (id, cluster_id, name, public_key, certificate_serial, certificate_expires_at, created_at)
    select 'ag_of_' || i, 'cl_1', 'node-of-' || i, '\\x00', '', now(), now() from generate_series(1, 600) i`);
  await sessions.measureFleet();
  grown.resolve();
  assert.equal(await windowOf(), 10_000);
  assert.equal(await windowOf(), undefined);
  sessions.drain(5_000);
  const { said } = await readToEnd(stream);
  assert.equal(said.at(-1)?.drain?.reconnectAfterMs, 5_000);
});

test("a session that was taken over through another server ends here with the next flush", async (t) => {
  const { open, sessions, db } = await setUp(t, { presenceRestMs: 0 });
  const ended = readToEnd(open(quietAfter(message(1n))));
  await until("it has entered", () => sessions.size === 1);
  await sessions.flushPresence();
  assert.equal(sessions.size, 1);
  await db.execute(sql`update agents set session_id = 'elsewhere', session_epoch = session_epoch + 1`);
  sessions.ports.presence.note({ agentId: "ag_1", sessionId: "session-1", epoch: 1n });
  await sessions.flushPresence();
  assert.equal((await ended).error.code, Code.Aborted);
});

test("while the database is away a stream stays, and the agent is asked to say everything again", async (t) => {
  const { open, sessions, db } = await setUp(t, {});
  const next = Promise.withResolvers<void>();
  async function* messages(): AsyncGenerator<SyncRequest> {
    yield message(1n);
    await next.promise;
    yield message(2n, {
      rates: [{ minute: { seconds: BigInt(Math.floor(Date.now() / 60_000) * 60) }, seconds: 60 }],
    });
    await new Promise(() => {});
  }
  const stream = open(messages());
  await stream.next();
  const comeBack = takeAway(db, Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" }));
  next.resolve();
  const answer = await stream.next();
  comeBack();
  assert.deepEqual([answer.done, answer.value?.needHello, answer.value?.ackSequence], [false, true, 1n]);
  assert.equal(sessions.size, 1);
  await stream.return(undefined);
});

test("an agent that says nothing new is written now and then, and at once when it holds other metadata", async (t) => {
  const { sessions, db } = await setUp(t, { presenceRestMs: 3_600_000 });
  await db.execute(sql`update agents set session_id = 's', session_epoch = 1`);
  const note = (root?: bigint) =>
    sessions.ports.presence.note({
      agentId: "ag_1",
      sessionId: "s",
      epoch: 1n,
      ...(root === undefined
        ? {}
        : {
            trustVersions: {
              root,
              targets: 1n,
            },
          }),
    });
  const seenAfter = async (root?: bigint) => {
    note(root);
    await sessions.flushPresence();
    const [row] = await db.select().from(agents);
    return [row?.lastSeenAt?.getTime(), row?.rootVersion];
  };
  const first = await seenAfter();
  assert.deepEqual(await seenAfter(), first);
  const [secondMs, root] = await seenAfter(2n);
  assert.ok(Number(secondMs) > Number(first[0]));
  assert.equal(root, 2n);
  assert.deepEqual(await seenAfter(2n), [secondMs, 2n]);
});

test("presence that could not be written is written with the next flush", async (t) => {
  const { sessions, db } = await setUp(t, {});
  await db.execute(sql`update agents set session_id = 's', session_epoch = 1`);
  sessions.ports.presence.note({ agentId: "ag_1", sessionId: "s", epoch: 1n });
  const comeBack = takeAway(db, new Error("away"));
  await assert.rejects(sessions.flushPresence());
  comeBack();
  await sessions.flushPresence();
  const [row] = await db.select().from(agents);
  assert.notEqual(row?.lastSeenAt, null);
});
