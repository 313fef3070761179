import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  DeadLetterSchema,
  ReceiverSchema,
  RouteSchema,
  type DeadLetter,
  type NotificationService,
  type Receiver as ReceiverMessage,
  type Route as RouteMessage,
} from "#proto/fleet/v1/notification";

import { fleetState } from "../domain/notify/fleet-state.ts";
import { entryKey, withOccurrence } from "../domain/notify/group.ts";
import { subjectOf, type Message } from "../domain/notify/message.ts";
import { parseReceiver } from "../domain/notify/receiver.ts";
import { parseRoute } from "../domain/notify/route.ts";
import type { Delivered } from "../domain/notify/retry.ts";
import type { Permission } from "../domain/permission.ts";
import { invalid } from "../domain/refusal.ts";
import { signingProblem } from "../notify/sign.ts";
import type { Vault } from "../notify/vault.ts";
import { newId } from "../secrets.ts";
import { listDeadLetters, retryDeadLetters, type DeliveryRow } from "../store/notification-deliveries.ts";
import {
  findReceiver,
  listReceivers,
  noteReached,
  putReceiver,
  removeReceiver,
  type ReceiverRow,
  type ReceiverView,
} from "../store/notification-receivers.ts";
import { addRoute, listRoutes, removeRoute, type RouteRow } from "../store/notification-routes.ts";
import type { Database } from "../store/pool.ts";
import type { Audit } from "./audit.ts";
import { operatorOf } from "./caller.ts";
import { toTimestamp } from "./messages.ts";
import { orRefuse } from "./refusals.ts";

/** Every method names its permission here; one that does not fails to compile. */
export const notificationPermissions = {
  putReceiver: "notification:write",
  listReceivers: "notification:read",
  removeReceiver: "notification:write",
  testReceiver: "notification:write",
  addRoute: "notification:write",
  listRoutes: "notification:read",
  removeRoute: "notification:write",
  listDeadLetters: "notification:read",
  retryDeadLetters: "notification:write",
} satisfies Record<keyof (typeof NotificationService)["method"], Permission>;

export interface NotificationServiceOptions {
  readonly db: Database;
  readonly org: string;
  readonly audit: Audit;
  readonly vault: Vault;
  /** Sends one message now. */
  readonly send: (message: Message, receiver: ReceiverRow) => Promise<Delivered>;
  readonly now: () => Date;
}

const deadLettersShown = 1_000;
const idsMax = 1_000;

export function notificationService(
  options: NotificationServiceOptions,
): ServiceImpl<typeof NotificationService> {
  return { ...receiverMethods(options), ...routeMethods(options), ...deadLetterMethods(options) };
}

function receiverMethods({ db, org, audit, vault, send, now }: NotificationServiceOptions) {
  return {
    async putReceiver(request, context) {
      const { receiver, secrets } = orRefuse(parseReceiver(request));
      const problem = signingProblem(secrets);
      if (problem !== undefined) return orRefuse(invalid("secrets.ed25519", problem));
      const sealed = await vault.seal(receiver, secrets);
      const wanted = { receiver, sealed, now: now(), by: operatorOf(context).name };
      const row = orRefuse(await putReceiver(db, wanted, request.replace, audit.note(context, request)));
      return { receiver: toReceiver({ ...row, waiting: 0, dead: 0 }) };
    },
    async listReceivers() {
      return { receivers: (await listReceivers(db)).map(toReceiver) };
    },
    async removeReceiver(request, context) {
      orRefuse(await removeReceiver(db, request.name, audit.note(context, request)));
      return {};
    },
    async testReceiver(request, context) {
      const receiver = orRefuse(await findReceiver(db, request.name));
      const note = audit.note(context, request);
      await db.transaction((tx) => note(tx, { target: receiver.name }));
      const message = testMessage(org, operatorOf(context).name, now().getTime());
      const result = await send(message, receiver);
      await noteReached(db, receiver.name, now(), result.ok ? undefined : result.why);
      return { delivered: result.ok, words: result.ok ? result.detail : result.why };
    },
  } satisfies Partial<ServiceImpl<typeof NotificationService>>;
}

/** What a test tells: that it is one, and whose. */
function testMessage(org: string, by: string, atMs: number): Message {
  const words = `This is a test by ${by}: nothing happened`;
  const state = fleetState({ rule: "Notification test", subject: "test", words, sinceMs: atMs });
  const { entries } = withOccurrence({ labels: {}, entries: [], leftOut: 0 }, state, atMs);
  const common = { id: newId("delivery"), org, route: "test", group: entryKey(state), labels: {}, atMs };
  return { ...common, untilMs: atMs + 60_000, firing: entries, resolved: [], leftOut: 0 };
}

function routeMethods({ db, audit, now }: NotificationServiceOptions) {
  return {
    async addRoute(request, context) {
      const { name, receiver, matchers, groupBy, waitMs, intervalMs, repeatMs, goesOn } = request;
      const wish = { name, receiver, matchers, groupBy, waitMs, intervalMs, repeatMs, goesOn };
      const route = orRefuse(parseRoute(wish));
      const made = { now: now(), by: operatorOf(context).name };
      return { route: toRoute(orRefuse(await addRoute(db, route, made, audit.note(context, request)))) };
    },
    async listRoutes() {
      return { routes: (await listRoutes(db)).map(toRoute) };
    },
    async removeRoute(request, context) {
      orRefuse(await removeRoute(db, request.name, audit.note(context, request)));
      return {};
    },
  } satisfies Partial<ServiceImpl<typeof NotificationService>>;
}

function deadLetterMethods({ db, audit, now }: NotificationServiceOptions) {
  return {
    async listDeadLetters({ receiver }) {
      const rows = await listDeadLetters(db, receiver, deadLettersShown);
      return { deadLetters: rows.map(toDeadLetter) };
    },
    async retryDeadLetters(request, context) {
      const { ids, receiver } = request;
      if (ids.length === 0 && receiver === "") {
        return orRefuse(invalid("ids", "names no message, and receiver is empty"));
      }
      if (ids.length > idsMax) return orRefuse(invalid("ids", `names more than ${idsMax} messages`));
      const note = audit.note(context, request);
      return { count: await retryDeadLetters(db, { ids, receiver }, now(), note) };
    },
  } satisfies Partial<ServiceImpl<typeof NotificationService>>;
}

function toReceiver(row: ReceiverView): ReceiverMessage {
  return create(ReceiverSchema, {
    name: row.name,
    kind: row.kind,
    settings: { ...row.settings },
    secretNames: [...row.secretNames],
    perMinute: row.perMinute,
    createdAt: toTimestamp(row.createdAt),
    createdBy: row.createdBy,
    waiting: row.waiting,
    dead: row.dead,
    sentAt: toTimestamp(row.sentAt),
    failedAt: toTimestamp(row.failedAt),
    failure: row.failure,
  });
}

function toRoute(row: RouteRow): RouteMessage {
  return create(RouteSchema, {
    name: row.name,
    receiver: row.receiver,
    matchers: row.matchers,
    groupBy: [...row.groupBy],
    waitMs: row.waitMs,
    intervalMs: row.intervalMs,
    repeatMs: row.repeatMs,
    goesOn: row.goesOn,
    createdAt: toTimestamp(row.createdAt),
    createdBy: row.createdBy,
  });
}

function toDeadLetter(row: DeliveryRow): DeadLetter {
  return create(DeadLetterSchema, {
    id: row.id,
    receiver: row.receiver,
    route: row.route,
    subject: subjectOf(row.message),
    attempts: row.attempts,
    failure: row.failure,
    createdAt: toTimestamp(row.createdAt),
    deadAt: toTimestamp(row.deadAt),
  });
}
