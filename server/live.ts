import type { Logger } from "pino";

import { AgentService } from "#proto/agent/v1/agent";
import { AlertService } from "#proto/fleet/v1/alert";
import { BacktestService } from "#proto/fleet/v1/backtest";
import { RolloutService } from "#proto/fleet/v1/rollout";
import { readRoot, signAssignment, signBacktest, signCaBundle, signShadow } from "#trust";

import type { ApprovalPolicy } from "./domain/people/approval.ts";
import type { CaKeeper } from "./ca-keeper.ts";
import { messageBytesMax } from "./limits.ts";
import { reconcileCatchUps } from "./reconcile/catch-ups.ts";
import type { Loop } from "./reconcile/driver.ts";
import type { PendingTools } from "./reconcile/pending.ts";
import { reconcileRollouts } from "./reconcile/rollouts.ts";
import { agentPermissions, agentService } from "./rpc/agent-service/service.ts";
import { alertPermissions, alertService } from "./rpc/alert-service.ts";
import type { Audit } from "./rpc/audit.ts";
import { backtestPermissions, backtestService } from "./rpc/backtest-service.ts";
import { mount, type Mounted } from "./rpc/mount.ts";
import { rolloutPermissions, rolloutService } from "./rpc/rollout-service/service.ts";
import { createSessions, type SessionsOptions } from "./sessions/sessions.ts";
import { createSignal, type Signal } from "./sessions/signal.ts";
import type { Tuning } from "./sessions/tuning.ts";
import type { Database } from "./store/pool.ts";
import type { Keyring, OnlineSigners } from "./store/sign-metadata.ts";

export interface LiveOptions {
  readonly db: Database;
  readonly org: string;
  readonly keyring: Pick<Keyring, "signersFor">;
  readonly agentCertificateMs: number;
  readonly audit: Audit;
  /** Whose word rollouts take before they begin. */
  readonly approvals: ApprovalPolicy;
  readonly cas: CaKeeper;
  /** Starts a loop that is stopped with the server. */
  readonly every: (name: string, everyMs: number, activate: () => Promise<unknown>) => Loop;
  readonly log: Logger;
  readonly clock: () => Date;
  readonly tuning?: Partial<Tuning>;
}

/** The part of the server that moves by itself: agents' sessions, rollouts, and those who watch them. */
export interface Live {
  readonly services: readonly Mounted[];
  /** To be called on every notification of the database: looks now what changed. */
  onChange(): void;
  sessionCount(): number;
  /**
   * Ends what people watch, sends the agents away over a window, and resolves when they have gone or it is over. Rejects
   * when it could not be written who was heard of last.
   */
  drain(windowMs: number): Promise<void>;
}

/** Rollouts are looked at this often even when nothing tells that something happened. */
const rolloutsMs = 800;
/** The same for changes of desired state: a lost notification costs this much. */
const changesMs = 800;
/** Clusters that were silent come back at some time; nobody waits for them. */
const catchUpsMs = 5000;

const ofAgents = { readMaxBytes: messageBytesMax.agent };

export function startLive(options: LiveOptions): Live {
  const { db, org, audit, approvals, log, clock, every } = options;
  const note = audit.noteOf({ kind: "server", id: "", name: "", role: "" }, "RolloutService/Pending");
  const rolloutChanges = createSignal();
  const alertArrivals = createSignal();
  const leaving = new AbortController();
  const rollouts = startRolloutLoops(options, { approvals, note }, rolloutChanges);
  const nudge = () => {
    rollouts.nudge();
  };
  const sessions = createSessions({
    db,
    org,
    log,
    clock,
    certificateMs: options.agentCertificateMs,
    ...signingFor(org, options.keyring),
    cas: options.cas,
    onReport: nudge,
    ...(options.tuning === undefined ? {} : { tuning: options.tuning }),
  });
  const changes = every("changes", changesMs, () => sessions.pollChanges());
  every("presence", sessions.ports.tuning.presenceMs, () => sessions.flushPresence());
  return {
    services: [
      mount(
        AgentService,
        agentPermissions,
        agentService(sessions.ports, () => alertArrivals.ring()),
        ofAgents,
      ),
      mount(
        RolloutService,
        rolloutPermissions,
        rolloutService({ ...options, nudge, changes: rolloutChanges, leaving: leaving.signal }),
      ),
      mount(
        BacktestService,
        backtestPermissions,
        backtestService({ db, audit, clock, changes: rolloutChanges, leaving: leaving.signal }),
      ),
      mount(
        AlertService,
        alertPermissions,
        alertService({ db, arrivals: alertArrivals, clock, leaving: leaving.signal }),
      ),
    ],
    onChange: () => {
      changes.nudge();
      rollouts.nudge();
      rolloutChanges.ring();
    },
    sessionCount: () => sessions.size,
    drain: (windowMs) => {
      leaving.abort();
      return drain(sessions, windowMs);
    },
  };
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

/** The loop of rollouts that run, and that of clusters which one that succeeded still owes its bundle. */
function startRolloutLoops({ db, clock, every }: LiveOptions, tools: PendingTools, changes: Signal): Loop {
  every("catch-ups", catchUpsMs, async () => {
    if (await reconcileCatchUps(db, clock)) changes.ring();
  });
  return every("rollouts", rolloutsMs, async () => {
    if (await reconcileRollouts(db, clock, tools)) changes.ring();
  });
}

async function drain(sessions: ReturnType<typeof createSessions>, windowMs: number): Promise<void> {
  sessions.drain(windowMs);
  const end = performance.now() + windowMs;
  while (sessions.size > 0 && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await sessions.flushPresence();
}
