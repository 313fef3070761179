import type { Logger } from "pino";

import type { Receiver, ReceiverKind } from "../domain/notify/receiver.ts";
import { planDelivery, type Delivered } from "../domain/notify/retry.ts";
import { deliver } from "../notify/deliver.ts";
import type { Reach } from "../notify/resolve.ts";
import type { Vault } from "../notify/vault.ts";
import {
  buryDelivery,
  claimDeliveries,
  postponeDelivery,
  removeDelivered,
  type Claimed,
} from "../store/notification-deliveries.ts";
import { noteReached, type ReceiverRow } from "../store/notification-receivers.ts";
import type { Database } from "../store/pool.ts";

export interface CourierOptions {
  readonly db: Database;
  readonly vault: Vault;
  readonly reach: Reach;
  /** The address of the console, which messages lead to. */
  readonly home: () => string;
  readonly now: () => Date;
  readonly random: () => number;
  readonly log: Pick<Logger, "warn">;
  readonly count: (kind: ReceiverKind, outcome: "sent" | "retried" | "dead") => void;
}

/** Carries messages to their receivers. */
export interface Courier {
  /** Begins to carry what is due, as far as there is room, and does not wait for it: a receiver that hangs holds up no other. */
  activate(): Promise<void>;
  /** Waits for what is under way. */
  stop(): Promise<void>;
}

const inFlightMax = 16;
/** So that one receiver leaves room for the others. */
const perReceiverMax = 2;
/** Longer than any attempt takes: after it another server may try. */
const leaseMs = 120_000;

export function createCourier(options: CourierOptions): Courier {
  const { db, now, log } = options;
  const inFlight = new Set<Promise<void>>();
  const byReceiver = new Map<string, number>();
  const left = (name: string) => perReceiverMax - (byReceiver.get(name) ?? 0);

  function begin(claimed: Claimed): void {
    const { name } = claimed.receiver;
    byReceiver.set(name, (byReceiver.get(name) ?? 0) + 1);
    const carried = carry(claimed, options)
      .catch((error: unknown) => {
        // The lease ends, and then it is tried again.
        log.warn({ err: error, receiver: name }, "what became of a message could not be written down");
      })
      .finally(() => {
        inFlight.delete(carried);
        const others = (byReceiver.get(name) ?? 1) - 1;
        if (others > 0) byReceiver.set(name, others);
        else byReceiver.delete(name);
      });
    inFlight.add(carried);
  }

  return {
    activate: async () => {
      const room = inFlightMax - inFlight.size;
      const busy = [...byReceiver.keys()].filter((name) => left(name) <= 0);
      const roomOf = { busy, left, perReceiver: perReceiverMax };
      for (const claimed of await claimDeliveries(db, now(), leaseMs, room, roomOf)) begin(claimed);
    },
    stop: async () => {
      await Promise.all(inFlight);
    },
  };
}

async function carry(
  { delivery, receiver }: Claimed,
  { db, vault, reach, home, now, random, log, count }: CourierOptions,
): Promise<void> {
  const result = await attempt(delivery.message, receiver, { vault, reach, home, now });
  const at = now();
  const plan = planDelivery(delivery.attempts, result, at.getTime(), random());
  const failure = result.ok ? undefined : result.why;
  await noteReached(db, receiver.name, at, failure);
  switch (plan.kind) {
    case "done":
      count(receiver.kind, "sent");
      return removeDelivered(db, delivery);
    case "retry":
      count(receiver.kind, "retried");
      return postponeDelivery(db, delivery, new Date(plan.atMs), plan.why);
    case "dead":
      count(receiver.kind, "dead");
      log.warn({ receiver: receiver.name, delivery: delivery.id, why: plan.why }, "a message was given up");
      return buryDelivery(db, delivery, at, plan.why);
  }
}

/** One attempt to send a message, with the secrets that the receiver has now. */
export async function attempt(
  message: Claimed["delivery"]["message"],
  row: ReceiverRow,
  { vault, reach, home, now }: Pick<CourierOptions, "vault" | "reach" | "home" | "now">,
): Promise<Delivered> {
  const secrets = vault.open(row);
  if (secrets === undefined) {
    const why =
      "This server cannot open the receiver's secrets: it lacks the online key that sealed them, or the receiver was altered";
    // Another server may have it.
    return { ok: false, why, mayRetry: true };
  }
  const receiver: Receiver = row;
  return deliver(message, receiver, secrets, { reach, home: home(), nowMs: () => now().getTime() });
}
