/** A fleet whose notifications arrive at a hook. */
import type { TestContext } from "node:test";

import { pino } from "pino";

import { freshDatabase, type TestDatabase } from "../../test/support/postgres.ts";
import { defaultIntakeBounds } from "../domain/alert-intake.ts";
import type { Message } from "../domain/notify/message.ts";
import { usualTiming, type Route } from "../domain/notify/route.ts";
import { reachOf, startHook, type Hook } from "../notify/testing.ts";
import type { Vault } from "../notify/vault.ts";
import { createAlertTaker } from "../sessions/take-alerts.ts";
import type { AlertRow } from "../store/alert-intake.ts";
import { putReceiver } from "../store/notification-receivers.ts";
import { addRoute } from "../store/notification-routes.ts";
import type { Db } from "../store/pool.ts";
import { clusters } from "../store/schema.ts";
import { createCourier } from "./deliveries.ts";
import { reconcileNotifications, type NotificationPorts } from "./notifications.ts";

export const start = Date.UTC(2026, 2, 1, 12);
export const at = (seconds: number): Date => new Date(start + seconds * 1_000);
export const note = async () => {};
const secrets = { hmac: "0123456789abcdef0123456789abcdef" };
/** The vault has a test of its own. */
const vault: Vault = {
  seal: async () => ({ sealed: null, sealKey: null, secretNames: [] }),
  open: () => secrets,
  reseal: async () => {},
};

export interface World {
  readonly db: TestDatabase;
  readonly hook: Hook;
  readonly ports: NotificationPorts;
  /** What every server does once, at a time. */
  readonly look: (seconds: number, servers?: number) => Promise<void>;
  readonly deliver: (seconds: number, servers?: number) => Promise<void>;
  /** The subjects of what the hook got. */
  readonly got: () => readonly string[];
}

/** A cluster, and routes that lead to a hook. */
async function openFleet(
  t: TestContext,
  hook: Hook,
  routes: readonly Partial<Route>[],
  perMinute: number,
): Promise<TestDatabase> {
  const db = await freshDatabase(t);
  const cluster = { id: "cl_1", name: "eu-1", uid: "uid-1", labels: { region: "eu" }, createdAt: at(-9_999) };
  await db.insert(clusters).values(cluster);
  const receiver = { name: "hook", kind: "webhook" as const, settings: { url: hook.url }, perMinute };
  const by = { now: at(-9_999), by: "test" };
  const sealed = await vault.seal(receiver, secrets);
  await putReceiver(db, { receiver, sealed, ...by }, false, note);
  const usual = {
    ...usualTiming,
    receiver: "hook",
    matchers: "",
    groupBy: ["rule", "cluster"],
    goesOn: false,
  };
  for (const [i, route] of routes.entries()) {
    await addRoute(db, { ...usual, name: `route-${i}`, ...route }, by, note);
  }
  return db;
}

/** What a message tells, in a line. */
function wordsOf(body: string): string {
  const { firing, resolved } = JSON.parse(body) as Pick<Message, "firing" | "resolved">;
  const words = (entries: Message["firing"]) =>
    entries.map(({ rule, count }) => `${rule} ${count}`).join(", ");
  return `${words(firing)}${resolved.length === 0 ? "" : `; over: ${words(resolved)}`}`;
}

export async function startWorld(
  t: TestContext,
  routes: readonly Partial<Route>[] = [{}],
  perMinute = 20,
): Promise<World> {
  const hook = await startHook(t);
  const db = await openFleet(t, hook, routes, perMinute);
  const ports: NotificationPorts = {
    db,
    org: "default",
    states: () => [],
    startedAt: at(-9_999),
  };
  const couriers = [0, 1].map(() =>
    createCourier({
      db,
      vault,
      reach: reachOf(hook.tls),
      home: () => "https://fleet.example.com/",
      now: () => clock,
      random: () => 0,
      log: pino({ level: "silent" }),
      count: () => {},
    }),
  );
  let clock = at(0);
  const world: World = {
    db,
    hook,
    ports,
    look: async (seconds, servers = 1) => {
      const each = Array.from({ length: servers }, () => reconcileNotifications(ports, () => at(seconds)));
      await Promise.all(each);
    },
    deliver: async (seconds, servers = 1) => {
      clock = at(seconds);
      const used = couriers.slice(0, servers);
      await Promise.all(used.map((courier) => courier.activate()));
      await Promise.all(used.map((courier) => courier.stop()));
    },
    got: () => hook.received.map(({ body }) => wordsOf(body)),
  };
  // The first look marks the place from which on alerts are told.
  await world.look(-60);
  return world;
}

export const storeAlerts = (db: Db, rows: readonly AlertRow[], now: Date) =>
  createAlertTaker(db, defaultIntakeBounds)(rows[0]?.clusterId ?? "", rows, now);

let made = 0;
export function alert(change: Partial<AlertRow> = {}): AlertRow {
  made += 1;
  const id = String(made).padStart(64, "0");
  const words = {
    rule: "Exec",
    source: "k8s_audit",
    output: "sh in gateway-0",
    tags: [],
    auditId: `a${made}`,
  };
  const fields = { "ka.user.name": "eve" };
  const where = {
    clusterId: "cl_1",
    agentId: "ag_1",
    body: "{}",
    fields,
    actor: "eve",
    rulesDigest: "sha256:0",
  };
  return { id, timeUs: BigInt(start) * 1_000n, priority: 4, ...words, ...where, ...change };
}
