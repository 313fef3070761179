import { readFileSync } from "node:fs";

import type { Logger } from "pino";

import { NotificationService } from "#proto/fleet/v1/notification";
import { ReportService } from "#proto/fleet/v1/report";
import { certificatesFromPem, certificateToPem, lifeStage } from "#trust";

import type { Config } from "./config.ts";
import { homeOf } from "./domain/console-address.ts";
import { fleetState } from "./domain/notify/fleet-state.ts";
import type { Occurrence } from "./domain/notify/group.ts";
import { Failure } from "./failure.ts";
import type { Metrics } from "./metrics.ts";
import type { Reach } from "./notify/resolve.ts";
import { createVault } from "./notify/vault.ts";
import { attempt, createCourier } from "./reconcile/deliveries.ts";
import type { Loop } from "./reconcile/driver.ts";
import type { LivesWatch } from "./reconcile/lives.ts";
import { reconcileNotifications, type NotificationPorts } from "./reconcile/notifications.ts";
import { reconcileReports } from "./reconcile/reports.ts";
import type { Audit } from "./rpc/audit.ts";
import { mount, type Mounted } from "./rpc/mount.ts";
import { notificationPermissions, notificationService } from "./rpc/notification-service.ts";
import { reportPermissions, reportService } from "./rpc/report-service.ts";
import { countDeliveries, removeDeadLetters } from "./store/notification-deliveries.ts";
import type { Database } from "./store/pool.ts";
import type { Keyring } from "./store/sign-metadata.ts";

export interface NoticesOptions {
  readonly config: Pick<Config, "org" | "notifyNetworks" | "notifyCaFile">;
  readonly db: Database;
  readonly keyring: Pick<Keyring, "signersFor" | "assignmentKey">;
  readonly lives: LivesWatch;
  readonly audit: Audit;
  /** How people reach the console, which messages lead to. */
  readonly publicAddress: () => { readonly host: string; readonly port: number };
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly now: () => Date;
  /** Starts a loop that is stopped with the server. */
  readonly every: (name: string, everyMs: number, activate: () => Promise<unknown>) => Loop;
}

/** The part of the server that tells people outside what happens. */
export interface Notices {
  readonly services: readonly Mounted[];
  /** Waits for messages that are under way. */
  stop(): Promise<void>;
}

/** What this misses is made up by the waits of routes, which are longer. */
const lookMs = 1_000;
const minuteMs = 60_000;
/** A dead letter that nobody asked for in this time goes. */
const deadLettersKeptMs = 30 * 24 * 60 * minuteMs;

export function startNotices(options: NoticesOptions): Notices {
  const { config, db, audit, lives, log, now, every, metrics } = options;
  const { org } = config;
  const vault = createVault(db, options.keyring);
  const reach: Reach = { opened: config.notifyNetworks, ca: readCas(config.notifyCaFile) };
  const count = metrics.countNotification;
  const home = () => homeOf(options.publicAddress());
  const courier = createCourier({ db, vault, reach, home, now, random: Math.random, log, count });
  let counted = { waiting: 0, dead: 0 };
  const ports: NotificationPorts = {
    db,
    org,
    states: (at: Date) => expiring(lives, at),
    startedAt: now(),
  };
  const reports = every("reports", minuteMs / 2, () => reconcileReports(db, org, now));
  every("notifications", lookMs, () => reconcileNotifications(ports, now));
  every("deliveries", lookMs, () => courier.activate());
  every("dead-letters", minuteMs, async () => {
    await vault.reseal();
    await removeDeadLetters(db, new Date(now().getTime() - deadLettersKeptMs));
    counted = await countDeliveries(db);
  });
  metrics.gauge(
    "falconry_notifications_waiting",
    "Messages that wait for their receiver.",
    () => counted.waiting,
  );
  metrics.gauge(
    "falconry_notifications_dead",
    "Messages that were given up and are kept.",
    () => counted.dead,
  );
  const send = (message: Parameters<typeof attempt>[0], receiver: Parameters<typeof attempt>[1]) =>
    attempt(message, receiver, { vault, reach, home, now });
  return {
    services: [
      mount(
        NotificationService,
        notificationPermissions,
        notificationService({ db, org, audit, vault, send, now }),
      ),
      mount(
        ReportService,
        reportPermissions,
        reportService({ db, audit, now, nudge: () => reports.nudge() }),
      ),
    ],
    stop: () => courier.stop(),
  };
}

/** Trust metadata that has little of its life left, or none. */
function expiring(lives: LivesWatch, at: Date): readonly Occurrence[] {
  return lives.now(at).flatMap(({ role, life }) => {
    const stage = lifeStage(role, life, at);
    if (stage !== "expiring" && stage !== "expired") return [];
    const ends = life.ends.toISOString();
    const words = stage === "expired" ? `expired at ${ends}` : `expires at ${ends}`;
    const sinceMs = life.ends.getTime();
    return [
      fleetState({
        rule: "Metadata expiring",
        subject: role,
        sinceMs,
        words: `Trust metadata ${role} ${words}`,
      }),
    ];
  });
}

function readCas(file: string | undefined): readonly string[] {
  if (file === undefined) return [];
  try {
    return certificatesFromPem(readFileSync(file, "utf8")).map(certificateToPem);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Failure(`FALCONRY_NOTIFY_CA_FILE: ${file} cannot be used: ${why}`, 2, { cause: error });
  }
}
