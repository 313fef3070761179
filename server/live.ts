import type { Logger } from "pino";

import { AgentService } from "#proto/agent/v1/agent";
import { AlertService } from "#proto/fleet/v1/alert";
import { AlertGroupService } from "#proto/fleet/v1/alert_group";
import { AlertSilenceService } from "#proto/fleet/v1/alert_silence";
import { BacktestService } from "#proto/fleet/v1/backtest";
import { RolloutService } from "#proto/fleet/v1/rollout";
import type { Traces } from "#traces";
import { readRoot, signAssignment, signBacktest, signCaBundle, signShadow } from "#trust";

import type { CaKeeper } from "./ca-keeper.ts";
import { messageBytesMax } from "./limits.ts";
import type { Metrics } from "./metrics.ts";
import { reconcileCatchUps } from "./reconcile/catch-ups.ts";
import type { Loop } from "./reconcile/driver.ts";
import type { PendingTools } from "./reconcile/pending.ts";
import { createRolloutNews } from "./reconcile/rollout-news.ts";
import { reconcileRollouts } from "./reconcile/rollouts.ts";
import { agentPermissions, agentService, plainMethods } from "./rpc/agent-service/service.ts";
import { alertGroupPermissions, alertGroupService } from "./rpc/alert-group-service.ts";
import { alertSilencePermissions, alertSilenceService } from "./rpc/alert-silence-service.ts";
import { alertPermissions, alertService } from "./rpc/alert-service.ts";
import type { Audit } from "./rpc/audit.ts";
import { backtestPermissions, backtestService } from "./rpc/backtest-service.ts";
import { mount, type Mounted } from "./rpc/mount.ts";
import type { Planning } from "./rpc/rollout-service/prepare.ts";
import { rolloutPermissions, rolloutService } from "./rpc/rollout-service/service.ts";
import { createSessions, type SessionsOptions } from "./sessions/sessions.ts";
import { createSignal, type Signal } from "./sessions/signal.ts";
import type { TakeAlertsInTurn } from "./rpc/agent-service/alert-turns.ts";
import type { Tuning } from "./sessions/tuning.ts";
import type { AlertRow } from "./store/alert-intake.ts";
import type { Database } from "./store/pool.ts";
import { traceRollouts } from "./trace-rollouts.ts";
import type { Keyring, OnlineSigners } from "./store/sign-metadata.ts";

export interface LiveOptions extends Planning {
  readonly db: Database;
  readonly org: string;
  readonly keyring: Pick<Keyring, "signersFor">;
  readonly agentCertificateMs: number;
  readonly audit: Audit;
  readonly cas: CaKeeper;
  readonly metrics: Pick<Metrics, "observeAlert" | "observeProof" | "noteRollouts">;
  /** Starts a loop that is stopped with the server. */
  readonly every: (
    name: string,
    everyMs: number,
    activate: () => Promise<unknown>,
    restMsMax?: number,
  ) => Loop;
  readonly log: Logger;
  readonly clock: () => Date;
  readonly takeAlerts: TakeAlertsInTurn;
  readonly traces: Traces;
  readonly tuning?: Partial<Tuning>;
}

/** The part of the server that moves by itself: agents' sessions, rollouts, and those who watch them. */
export interface Live {
  readonly services: readonly Mounted[];
  /** What tells those who follow alerts that some came, and that the server goes. */
  readonly logs: { readonly arrivals: Signal; readonly leaving: AbortSignal };
  /** To be called on every notification of the database: looks now what changed. */
  onChange(): void;
  sessionCount(): number;
  /** Of them, those whose turn to hear of a change has not come. */
  readonly waitingCount: () => number;
  /**
   * Ends what people watch, sends the agents away over a window, and resolves when they have gone or it is over. Rejects
   * when it could not be written who was heard of last.
   */
  drain(windowMs: number): Promise<void>;
}

/** Rollouts are looked at this often even when nothing tells that something happened. */
const rolloutsMs = 800;
/** To read thousands of clusters takes a second, and reports of their agents ask for it all the time. */
const rolloutsRestMsMax = 5_000;
/** The same for changes of desired state: a lost notification costs this much. */
const changesMs = 800;
/** A fleet does not grow or shrink by much in this time. */
const fleetSizeMs = 60_000;
/** Clusters that were silent come back at some time; nobody waits for them. */
const catchUpsMs = 5000;

export function startLive(options: LiveOptions): Live {
  const { db, org, audit, approvals, loader, log, clock, every } = options;
  const note = audit.noteOf({ kind: "server", id: "", name: "", role: "" }, "RolloutService/Pending");
  const rolloutChanges = createSignal();
  const alertArrivals = createSignal();
  const leaving = new AbortController();
  const onCommitted = traceRollouts(options.traces);
  const pending = { approvals, loader, note, onCommitted };
  const { rollouts, onReport } = startRolloutLoops(options, pending, rolloutChanges);
  const urge = () => rollouts.urge();
  const sessions = createSessions({
    db,
    org,
    log,
    clock,
    certificateMs: options.agentCertificateMs,
    ...signingFor(org, options.keyring),
    cas: options.cas,
    onReport,
    traces: options.traces,
    tuning: options.tuning ?? {},
  });
  const onAlerts = (rows: readonly AlertRow[]) => noteArrivals(rows, options, alertArrivals);
  const changes = every("changes", changesMs, () => sessions.pollChanges());
  every("fleet-size", fleetSizeMs, () => sessions.measureFleet());
  every("presence", sessions.ports.tuning.presenceMs, () => sessions.flushPresence());
  return {
    services: [
      mount(
        AgentService,
        agentPermissions,
        agentService({ ports: sessions.ports, takeAlerts: options.takeAlerts, db, audit, onAlerts }),
        { readMaxBytes: messageBytesMax.agent, plain: plainMethods(sessions.ports) },
      ),
      mount(
        RolloutService,
        rolloutPermissions,
        rolloutService({ ...options, urge, changes: rolloutChanges, leaving: leaving.signal, onCommitted }),
      ),
      mount(
        BacktestService,
        backtestPermissions,
        backtestService({ db, audit, clock, changes: rolloutChanges, leaving: leaving.signal }),
      ),
      ...alertServices(options, alertArrivals, leaving.signal),
    ],
    logs: { arrivals: alertArrivals, leaving: leaving.signal },
    onChange: () => {
      changes.nudge();
      // Of other servers, and of what this one wrote itself: it would look again at once at each wave that it assigned.
      rollouts.remind();
      rolloutChanges.ring();
    },
    sessionCount: () => sessions.size,
    waitingCount: () => sessions.ports.registry.waiting,
    drain: (windowMs) => {
      leaving.abort();
      return drain(sessions, windowMs);
    },
  };
}

/** What people see of alerts, and what they say about them. */
function alertServices(
  { db, audit, clock }: LiveOptions,
  arrivals: Signal,
  leaving: AbortSignal,
): readonly Mounted[] {
  return [
    mount(AlertService, alertPermissions, alertService({ db, arrivals, clock, leaving })),
    mount(AlertGroupService, alertGroupPermissions, alertGroupService({ db, audit, clock })),
    mount(AlertSilenceService, alertSilencePermissions, alertSilenceService({ db, audit, clock })),
  ];
}

/** Everything that the assignment key of a root signs for the organisation of the fleet. */
function signingFor(
  org: string,
  keyring: LiveOptions["keyring"],
): Pick<SessionsOptions, "sign" | "signShadow" | "signBacktest" | "signCas"> {
  const signerFor = assignmentSigners(keyring);
  return {
    sign: (assignment, root) => signAssignment({ ...assignment, org }, signerFor(root)),
    signShadow: (order, root) => signShadow({ ...order, org }, signerFor(root)),
    signBacktest: (order, root) => signBacktest({ ...order, org }, signerFor(root)),
    signCas: (bundle, root) => signCaBundle({ ...bundle, org }, signerFor(root)),
  };
}

/** The assignment key that a root names. A root is read once, however many assignments are signed under it. */
function assignmentSigners(keyring: Pick<Keyring, "signersFor">) {
  let last: { readonly root: Uint8Array | undefined; readonly signers: OnlineSigners } | undefined;
  return (root: Uint8Array | undefined) => {
    if (last === undefined || last.root !== root) {
      const view = root === undefined ? undefined : readRoot(root);
      if (view !== undefined && !view.ok) throw new Error(view.refusal.message);
      last = { root, signers: keyring.signersFor(view?.value) };
    }
    return last.signers.assignment;
  };
}

function noteArrivals(rows: readonly AlertRow[], { metrics, clock }: LiveOptions, arrivals: Signal): void {
  arrivals.ring();
  const nowMs = clock().getTime();
  for (const { timeUs } of rows) metrics.observeAlert((nowMs - Number(timeUs / 1000n)) / 1000);
}

/** The loop of rollouts that run, and that of clusters which one that succeeded still owes its bundle. */
function startRolloutLoops(
  { db, clock, every, metrics }: LiveOptions,
  pending: PendingTools,
  changes: Signal,
): { readonly rollouts: Loop; readonly onReport: SessionsOptions["onReport"] } {
  every("catch-ups", catchUpsMs, async () => {
    if (await reconcileCatchUps(db, clock)) changes.ring();
  });
  const news = createRolloutNews();
  const { observeProof: onProved, noteRollouts: onUnfinished } = metrics;
  const onWaiting = (clusters: number) => news.waitsFor(clusters);
  const tools = { ...pending, onProved, onUnfinished, onWaiting };
  const look = async () => {
    news.looking();
    try {
      if (await reconcileRollouts(db, clock, tools)) changes.ring();
    } finally {
      if (news.looked()) rollouts.nudge();
    }
  };
  const rollouts: Loop = every("rollouts", rolloutsMs, look, rolloutsRestMsMax);
  const onReport: SessionsOptions["onReport"] = (attempts) =>
    news.isPressing(attempts) ? rollouts.nudge() : rollouts.remind();
  return { rollouts, onReport };
}

async function drain(sessions: ReturnType<typeof createSessions>, windowMs: number): Promise<void> {
  sessions.drain(windowMs);
  const end = performance.now() + windowMs;
  while (sessions.size > 0 && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await sessions.flushPresence();
}
