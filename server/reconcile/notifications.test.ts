/** From alerts and states in a real database to messages that arrive, with several servers at work. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";

import { freshDatabase } from "../../test/support/postgres.ts";
import type { Occurrence } from "../domain/notify/group.ts";
import { attemptsMax } from "../domain/notify/retry.ts";
import { wholeFleet } from "../domain/scope.ts";
import { listAlertGroups, stepAlertGroups } from "../store/alert-groups.ts";
import { addSilence } from "../store/alert-silences.ts";
import { sql } from "../store/drizzle.ts";
import { listDeadLetters, removeDeadLetters, retryDeadLetters } from "../store/notification-deliveries.ts";
import { listReceivers } from "../store/notification-receivers.ts";
import type { Db } from "../store/pool.ts";
import {
  agents,
  notificationDeliveries,
  notificationGroups,
  notificationReceivers,
} from "../store/schema.ts";
import { alert, at, note, start, startWorld, storeAlerts } from "./fixture.ts";
import { reconcileNotifications } from "./notifications.ts";

/** Another cluster, because what is counted of one cluster has its transactions wait for each other. */
const addNeighbour = (db: Db) =>
  db.execute(sql`insert into clusters (id, name, uid, labels, created_at) select 'cl_2', 'neighbour', 'uid-2', labels, created_at
    from clusters where id = 'cl_1'`);

test("an alert that comes in is told once by any number of servers, after the route's wait, and not what was there before", async (t) => {
  const world = await startWorld(t);
  await storeAlerts(world.db, [alert(), alert(), alert({ rule: "Secret" })], at(0));
  for (const second of [0, 5, 10, 40]) {
    await world.look(second, 3);
    await world.deliver(second, 2);
  }
  assert.deepEqual(world.got().toSorted(), ["Exec 2", "Secret 1"]);
  const links = world.hook.received.map(({ body }) => /"url":"([^"?]*)\?alert=/.exec(body)?.[1]);
  const { rows } = await world.db.execute<{ id: string }>(sql`select id from alert_groups`);
  assert.deepEqual(new Set(links), new Set(rows.map(({ id }) => `https://fleet.example.com/alerts/${id}`)));
  assert.equal((await world.db.select().from(notificationDeliveries)).length, 0);
  const [receiver] = await listReceivers(world.db);
  assert.deepEqual([receiver?.waiting, receiver?.failure, receiver?.sentAt !== null], [0, "", true]);
});

test("an alert whose transaction ends after that of a later one is not missed", async (t) => {
  const world = await startWorld(t);
  await addNeighbour(world.db);
  const { promise: mayEnd, resolve: end } = Promise.withResolvers<void>();
  const { promise: isStored, resolve: stored } = Promise.withResolvers<void>();
  const slow = world.db.transaction(async (tx) => {
    await storeAlerts(tx, [alert({ rule: "Slow" })], at(0));
    stored();
    await mayEnd;
  });
  await isStored;
  await storeAlerts(world.db, [alert({ rule: "Quick", clusterId: "cl_2" })], at(0));
  for (const second of [0, 1, 2, 3]) await world.look(second);
  end();
  await slow;
  for (const second of [4, 5, 6, 60]) await world.look(second);
  await world.deliver(60);
  assert.deepEqual(world.got().toSorted(), ["Quick 1", "Slow 1"]);
});

test("a transaction that runs on in another database of the same Postgres holds nothing up", async (t) => {
  const world = await startWorld(t);
  const neighbour = await freshDatabase(t);
  await neighbour.transaction(async (tx) => {
    await tx.execute(sql`select pg_current_xact_id()`);
    await storeAlerts(world.db, [alert()], at(0));
    for (const second of [0, 1, 60]) await world.look(second);
    await world.deliver(60);
  });
  assert.deepEqual(world.got(), ["Exec 1"]);
});

test("an alert whose transaction got its number after that of a later one is not missed", async (t) => {
  const world = await startWorld(t);
  await addNeighbour(world.db);
  const ended = Promise.withResolvers<void>();
  const stored = Promise.withResolvers<void>();
  let slow: Promise<void> | undefined;
  await world.db.transaction(async (quick) => {
    await quick.execute(sql`select pg_current_xact_id()`);
    slow = world.db.transaction(async (tx) => {
      await storeAlerts(tx, [alert({ rule: "Slow" })], at(0));
      stored.resolve();
      await ended.promise;
    });
    await stored.promise;
    await storeAlerts(quick, [alert({ rule: "Quick", clusterId: "cl_2" })], at(0));
  });
  for (const second of [0, 1, 2, 3]) await world.look(second);
  ended.resolve();
  await slow;
  for (const second of [4, 5, 6, 60]) await world.look(second);
  await world.deliver(60);
  assert.deepEqual(world.got().toSorted(), ["Quick 1", "Slow 1"]);
});

test("an alert that has its place and is held up before it is written is not missed", async (t) => {
  const world = await startWorld(t);
  await addNeighbour(world.db);
  // The first place that is taken is logged, which gives a number by itself; most are not.
  await storeAlerts(world.db, [alert({ rule: "First" })], at(0));
  await world.db.execute(sql`
    create function hold() returns trigger language plpgsql as $$ begin
      if new.rule = 'Slow' then perform pg_advisory_xact_lock_shared(1); end if;
      return new;
    end $$`);
  await world.db.execute(
    sql`create trigger hold before insert on alerts for each row execute function hold()`,
  );
  let slow: Promise<unknown> | undefined;
  await world.db.transaction(async (holder) => {
    await holder.execute(sql`select pg_advisory_xact_lock(1)`);
    slow = world.db.transaction((tx) => storeAlerts(tx, [alert({ rule: "Slow" })], at(0)));
    slow.catch(() => {});
    const isHeld = async () => {
      const { rows } = await holder.execute(
        sql`select 1 from pg_locks where locktype = 'advisory' and not granted and database =
          (select oid from pg_database where datname = current_database())`,
      );
      return rows.length > 0;
    };
    while (!(await isHeld())) await setTimeout(10);
    await storeAlerts(world.db, [alert({ rule: "Quick", clusterId: "cl_2" })], at(0));
    for (const second of [0, 1, 2, 3]) await world.look(second);
  });
  await slow;
  for (const second of [4, 5, 6, 60]) await world.look(second);
  // A receiver gets two messages at a time.
  for (const second of [60, 61]) await world.deliver(second);
  assert.deepEqual(world.got().toSorted(), ["First 1", "Quick 1", "Slow 1"]);
});

test("routes choose by labels, fields and priority; what a silence covers is not told", async (t) => {
  const world = await startWorld(t, [
    { name: "eve", matchers: "ka.user.name=eve, region=eu, priority>=warning" },
    { name: "muted", matchers: "rule=Muted" },
  ]);
  const silence = { id: "si_1", matchers: "rule=Muted", scope: wholeFleet, reason: "known", author: "ada" };
  await addSilence(world.db, { ...silence, createdAt: at(-1), expiresAt: at(9_999) }, note);
  const untagged = { ...silence, id: "si_2", matchers: "rule=Exec, tag!=prod, ka.user.name!~eve" };
  await addSilence(world.db, { ...untagged, createdAt: at(-1), expiresAt: at(9_999) }, note);
  await storeAlerts(world.db, [alert(), alert({ priority: 6 }), alert({ rule: "Muted" })], at(0));
  for (const second of [0, 1, 2, 60]) await world.look(second);
  await world.deliver(60);
  // What a silence leaves out is told.
  assert.deepEqual(world.got(), ["Exec 1"]);
});

test("alerts that silences take long on are told bit by bit, each once, because the database ends a transaction that says nothing for too long", async (t) => {
  const world = await startWorld(t);
  const silence = { id: "si_1", matchers: "output=~x.*", scope: wholeFleet, reason: "known", author: "ada" };
  await addSilence(world.db, { ...silence, createdAt: at(-1), expiresAt: at(9_999) }, note);
  await storeAlerts(
    world.db,
    Array.from({ length: 50 }, () => alert()),
    at(0),
  );
  await world.look(0);
  const counted = async () => {
    const groups = await world.db.select().from(notificationGroups);
    return groups.flatMap(({ entries }) => entries).reduce((sum, { count }) => sum + count, 0);
  };
  // Seconds pass whenever somebody looks at the clock: with each alert more than silences may take.
  let nowMs = 0;
  const clock = t.mock.method(performance, "now", () => (nowMs += 2_000));
  await world.look(1);
  const first = await counted();
  assert.ok(first > 0 && first < 50, `${first} were taken up by one look`);
  for (const second of [2, 3, 4, 5]) await world.look(second);
  clock.mock.restore();
  assert.equal(await counted(), 50);
  await world.look(60);
  await world.deliver(60);
  assert.deepEqual(world.got(), ["Exec 50"]);
});

test("what somebody acknowledged is not repeated, and what somebody resolved is told to be over within the interval", async (t) => {
  const world = await startWorld(t);
  await storeAlerts(world.db, [alert()], at(0));
  for (const second of [0, 1, 40]) await world.look(second);
  const step = async (what: "acknowledge" | "resolve", second: number) => {
    const all = { scope: wholeFleet, selector: [], rules: [], tags: [], matchers: [], states: [] };
    const { groups } = await listAlertGroups(world.db, { ...all, now: at(second) }, 10);
    const change = { step: what, by: "ada", text: "", at: at(second) };
    assert.ok((await stepAlertGroups(world.db, wholeFleet, groups, change, note)).ok);
  };
  await step("acknowledge", 60);
  await storeAlerts(world.db, [alert()], at(90));
  const repeat = 4 * 3_600 + 60;
  for (const second of [100, 101, repeat, repeat + 1]) await world.look(second);
  await step("resolve", repeat + 60);
  await world.look(repeat + 60);
  await world.look(repeat + 60 + 30);
  await storeAlerts(world.db, [alert()], at(repeat + 600));
  for (const second of [600, 601, 640]) await world.look(repeat + second);
  for (const second of [0, 10, 20]) await world.deliver(repeat + 700 + second);
  assert.deepEqual(world.got(), ["Exec 1", "; over: Exec 0", "Exec 1"]);
});

test("a silent agent, a stopped rollout and expiring metadata are told, and that they are over", async (t) => {
  const world = await startWorld(t, [{ matchers: "source=falconry", groupBy: ["source"] }]);
  const agent = {
    id: "ag_1",
    clusterId: "cl_1",
    name: "node-1",
    publicKey: new Uint8Array(1),
    certificateSerial: "1",
  };
  const times = { certificateExpiresAt: at(9_999), createdAt: at(-9_999), lastSeenAt: at(-600) };
  await world.db.insert(agents).values({ ...agent, ...times });
  const expiring: Occurrence = {
    kind: "state",
    subject: "timestamp",
    atMs: start,
    facts: {
      rule: "Metadata expiring",
      priority: 2,
      source: "falconry",
      output: "Trust metadata timestamp expires",
      tags: [],
      actor: "",
      cluster: "",
      labels: {},
      fields: {},
    },
  };
  const ports = { ...world.ports, states: () => [expiring] };
  const look = (seconds: number) => reconcileNotifications(ports, () => at(seconds));
  for (const second of [0, 20, 40]) await look(second);
  await world.deliver(40);
  assert.deepEqual(world.got(), ["Metadata expiring 1, Agent silent 1"]);
  await world.db.update(agents).set({ lastSeenAt: at(3_000) });
  for (const second of [3_010, 3_060]) await look(second);
  await world.deliver(3_060);
  assert.equal(world.got()[1], "Metadata expiring 1; over: Agent silent 1");
  // After a start nobody can have been heard of yet.
  await world.db.update(agents).set({ lastSeenAt: at(3_000) });
  const young = { ...ports, startedAt: at(6_000) };
  // Nor does anybody know whether one that left before is back already.
  const drained = { ...agent, id: "ag_2", name: "node-2", certificateSerial: "2" };
  await world.db.insert(agents).values({ ...drained, ...times, lastSeenAt: at(3_000), leftAt: at(3_000) });
  await world.db
    .update(agents)
    .set({ lastSeenAt: at(6_000) })
    .where(sql`id = 'ag_1'`);
  for (const second of [6_010, 6_060]) await reconcileNotifications(young, () => at(second));
  await world.db.delete(agents).where(sql`id = 'ag_2'`);
  await world.db.update(agents).set({ lastSeenAt: at(3_000) });
  assert.equal((await world.db.select().from(notificationDeliveries)).length, 0);
  // What was told before a start is not told as over because of it.
  for (const second of [6_400, 6_460]) await look(second);
  await world.deliver(6_460);
  assert.equal(world.hook.received.length, 3);
  const restarted = { ...ports, startedAt: at(7_000) };
  for (const second of [7_010, 7_060, 7_400]) await reconcileNotifications(restarted, () => at(second));
  await world.deliver(7_400);
  assert.equal(world.hook.received.length, 3);
});

test("a message that nobody takes becomes a dead letter that people see, and that goes out when they send it again", async (t) => {
  const world = await startWorld(t);
  world.hook.answer = (response) => response.writeHead(503).end("down");
  await storeAlerts(world.db, [alert()], at(0));
  for (const second of [0, 1, 60]) await world.look(second);
  for (let attempt = 0; attempt < attemptsMax + 3; attempt += 1) await world.deliver(60 + attempt * 3_600);
  assert.equal(world.hook.received.length, attemptsMax);
  const [letter, ...others] = await listDeadLetters(world.db, "hook", 10);
  assert.ok(letter !== undefined && others.length === 0);
  // Nobody asks a listing for the texts of a thousand reports.
  const report = { title: "t", summary: "s", fileName: "f", mediaType: "m", text: "long" };
  const message = { ...letter.message, report };
  await world.db.update(notificationDeliveries).set({ message });
  const [listed] = await listDeadLetters(world.db, "hook", 10);
  assert.deepEqual(listed?.message.report, { title: "t", summary: "s", fileName: "f", mediaType: "m" });
  assert.match(letter.failure, /^localhost answered 503: down \(12 attempts\)$/);
  assert.equal((await listReceivers(world.db))[0]?.dead, 1);
  // Another route may tell of it: a receiver that is down cannot.
  await world.look(90_000);
  const groups = await world.db.select().from(notificationGroups);
  assert.ok(groups.some(({ labels }) => labels["rule"] === "Notification failed"));
  world.hook.answer = (response) => response.end();
  assert.equal(await retryDeadLetters(world.db, { ids: [letter.id], receiver: "" }, at(90_000), note), 1);
  await world.deliver(90_000, 2);
  assert.equal(world.got().at(-1), "Exec 1");
  assert.deepEqual(await listDeadLetters(world.db, "", 10), []);
  assert.equal(await removeDeadLetters(world.db, at(99_999)), 0);
});

test("a server that dies while it sends loses nothing: another one sends it when the lease is over", async (t) => {
  const world = await startWorld(t);
  await storeAlerts(world.db, [alert()], at(0));
  for (const second of [0, 1, 60]) await world.look(second);
  const { claimDeliveries } = await import("../store/notification-deliveries.ts");
  const room = { busy: [], left: () => 2, perReceiver: 2 };
  assert.equal((await claimDeliveries(world.db, at(60), 120_000, 16, room)).length, 1);
  await world.deliver(100);
  assert.deepEqual(world.got(), []);
  await world.deliver(181);
  assert.deepEqual(world.got(), ["Exec 1"]);
});

test("a receiver gets no more than its rate, and groups go on gathering while it is behind", async (t) => {
  const world = await startWorld(t, [{ groupBy: ["actor"] }], 4);
  await storeAlerts(
    world.db,
    Array.from({ length: 110 }, (_, i) => alert({ actor: `user ${i}` })),
    at(0),
  );
  for (const second of [0, 1, 60]) await world.look(second);
  assert.equal((await world.db.select().from(notificationDeliveries)).length, 100);
  for (let i = 0; i < 4; i += 1) await world.deliver(61);
  assert.equal(world.hook.received.length, 4);
  // A hundred older ones of a receiver at its rate are not in the way of another's.
  const [receiver] = await world.db.select().from(notificationReceivers);
  const other = { name: "other", kind: "webhook" as const, settings: { url: `${world.hook.url}/other` } };
  const [waiting] = await world.db.select().from(notificationDeliveries).limit(1);
  assert.ok(receiver !== undefined && waiting !== undefined);
  await world.db.insert(notificationReceivers).values({ ...receiver, ...other, busyUntil: at(0) });
  const late = { ...waiting, id: "nd_other", receiver: "other", dueAt: at(61) };
  await world.db.insert(notificationDeliveries).values(late);
  await world.deliver(62);
  assert.deepEqual(
    world.hook.received.slice(4).map(({ path }) => path),
    ["/hook/other"],
  );
});
