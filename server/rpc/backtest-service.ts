import { randomBytes } from "node:crypto";

import { create, equals } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";

import { BundleKind } from "#proto/fleet/v1/common";
import {
  BacktestSchema,
  BacktestState,
  type Backtest as BacktestMessage,
  type BacktestService,
  type StartBacktestRequest,
} from "#proto/fleet/v1/backtest";

import { backtestState, parseBacktest } from "../domain/backtest.ts";
import { type BacktestId, idBytes, makeId, parseId } from "../domain/ids.ts";
import type { Permission } from "../domain/permission.ts";
import { invalid, refuse } from "../domain/refusal.ts";
import type { Scope } from "../domain/scope.ts";
import type { Signal } from "../sessions/signal.ts";
import type { AuditNote } from "../store/audit-entries.ts";
import {
  type Backtest,
  cancelBacktest,
  chooseForBacktest,
  findBacktest,
  holdsBacktest,
  insertBacktest,
  listSilent,
  lockBacktests,
  readProgress,
} from "../store/backtests.ts";
import { findBundleNames } from "../store/bundles.ts";
import { problemsMax, sumReports } from "../store/candidate-reports.ts";
import type { Database } from "../store/pool.ts";
import { findRolloutBundle } from "../store/rollout-bundles.ts";
import type { Audit } from "./audit.ts";
import { credentialText, operatorOf, scopeOf, type Operator } from "./caller.ts";
import { loadFindings, toProblem } from "./candidate-message.ts";
import { eitherEnd, sayWhyEnded, type Until } from "./leaving.ts";
import { componentIn, fromKind, fromSelector, fromTimestamp, refOf, toTimestamp } from "./messages.ts";
import { orRefuse } from "./refusals.ts";
import { confineSelector } from "./rollout-service/confine.ts";

export const backtestPermissions = {
  startBacktest: "rollout:write",
  getBacktest: "rollout:read",
  watchBacktest: "rollout:read",
  cancelBacktest: "rollout:write",
} satisfies Record<keyof (typeof BacktestService)["method"], Permission>;

export interface BacktestServiceOptions {
  readonly db: Database;
  readonly audit: Audit;
  readonly clock: () => Date;
  /** Rings when something may have changed. */
  readonly changes: Signal;
  /** Aborted when the server drains: streams end then. */
  readonly leaving: AbortSignal;
}

/** Progress of agents, which nothing tells of, is seen after this time. */
const lookMs = 500;

export function backtestService(options: BacktestServiceOptions): ServiceImpl<typeof BacktestService> {
  const { db, audit, clock, leaving } = options;
  const find = async (scope: Scope, text: string) => {
    const id = orRefuse(parseId("backtest", "backtest_id", text));
    return orRefuse(await findBacktest(db, scope, id));
  };
  return {
    async startBacktest(request, context) {
      const by = operatorOf(context);
      const started = await start(db, request, by, clock(), audit.note(context, request));
      return { backtest: await messageOf(db, by.scope, await find(by.scope, started), clock()) };
    },
    async getBacktest(request, context) {
      const scope = scopeOf(context);
      const found = await find(scope, request.backtestId);
      const findings = await loadFindings(db, scope, { kind: "backtest", id: found.id });
      const silent = await silentOnes(db, scope, found.id);
      return {
        backtest: await messageOf(db, scope, found, clock()),
        rules: findings.rules,
        problems: [...findings.problems, ...silent].slice(0, problemsMax),
      };
    },
    watchBacktest(request, context) {
      return watch(request.backtestId, context);
    },
    async cancelBacktest(request, context) {
      const by = operatorOf(context);
      const { id } = await find(by.scope, request.backtestId);
      await cancel(db, id, by, clock(), audit.note(context, request));
      return { backtest: await messageOf(db, by.scope, await find(by.scope, id), clock()) };
    },
  };

  async function* watch(
    text: string,
    context: HandlerContext,
  ): AsyncGenerator<{ backtest: BacktestMessage }> {
    const until: Until = { caller: context.signal, leaving };
    const signal = eitherEnd(until);
    const scope = scopeOf(context);
    let sent: BacktestMessage | undefined;
    while (!signal.aborted) {
      const rung = options.changes.wait(lookMs, signal);
      const backtest = await messageOf(db, scope, await find(scope, text), clock());
      if (sent === undefined || !equals(BacktestSchema, sent, backtest)) yield { backtest };
      sent = backtest;
      if (backtest.state !== BacktestState.RUNNING) return;
      await rung;
    }
    sayWhyEnded(until);
  }
}

async function start(
  db: Database,
  request: StartBacktestRequest,
  by: Operator,
  now: Date,
  note: AuditNote,
): Promise<BacktestId> {
  const asked = orRefuse(fromSelector("selector", request.selector));
  const { bundle, deadlineSeconds } = request;
  const kind = request.kind === BundleKind.UNSPECIFIED ? "rules" : fromKind(request.kind);
  if (kind === undefined) return orRefuse(invalid("kind", "has to be rules or layer"));
  const component = orRefuse(componentIn("bundle", kind, bundle));
  const sinceMs = fromTimestamp(request.since)?.getTime();
  const untilMs = fromTimestamp(request.until)?.getTime();
  const spec = orRefuse(
    parseBacktest({ component, bundle, sinceMs, untilMs, deadlineSeconds }, now.getTime()),
  );
  const selector = orRefuse(await confineSelector(db, "bundle", component, asked));
  return db.transaction(async (tx) => {
    await lockBacktests(tx);
    const { digest } = orRefuse(await findRolloutBundle(tx, component, spec.bundle));
    const { ids, busy } = await chooseForBacktest(tx, by.scope, selector, now);
    if (ids.length === 0) {
      return orRefuse(refuse({ kind: "precondition", why: "The selector chooses no cluster" }));
    }
    if (busy !== undefined) {
      const end = busy.until.toISOString();
      const why = `Backtest ${busy.id} runs on cluster ${busy.name}, until ${end} at most: wait for it, or cancel it`;
      return orRefuse(refuse({ kind: "precondition", why }));
    }
    const id = makeId("backtest", randomBytes(idBytes));
    const row = {
      id,
      digest,
      since: new Date(spec.sinceMs),
      until: new Date(spec.untilMs),
      createdBy: by.name,
      createdAt: now,
      deadlineMs: now.getTime() + spec.deadlineSeconds * 1000,
    };
    await insertBacktest(tx, row, ids);
    await note(tx, { target: id });
    return id;
  });
}

async function cancel(db: Database, id: BacktestId, by: Operator, now: Date, note: AuditNote): Promise<void> {
  await db.transaction(async (tx) => {
    if (!(await holdsBacktest(tx, by.scope, id))) {
      const why = `Backtest ${id} reaches beyond the scope of the ${credentialText(by)}: cancelling it takes a scope that holds all of its clusters`;
      orRefuse(refuse({ kind: "forbidden", why }));
    }
    await cancelBacktest(tx, id, now);
    await note(tx, { target: id });
  });
}

const states = {
  running: BacktestState.RUNNING,
  done: BacktestState.DONE,
  canceled: BacktestState.CANCELED,
  late: BacktestState.LATE,
} as const;

async function messageOf(db: Database, scope: Scope, found: Backtest, now: Date): Promise<BacktestMessage> {
  const { id, digest } = found;
  const progress = await readProgress(db, scope, id);
  const {
    evaluated: _whatEventsTell,
    skipped: _never,
    ...sums
  } = await sumReports(db, scope, {
    kind: "backtest",
    id,
  });
  const bundle = refOf(await findBundleNames(db, [digest]), "rules", digest);
  const since = toTimestamp(found.since);
  const until = toTimestamp(found.until);
  const createdAt = toTimestamp(found.createdAt);
  return create(BacktestSchema, {
    id,
    state: states[backtestState(found, now.getTime())],
    createdBy: found.createdBy,
    deadline: timestampFromMs(found.deadlineMs),
    ...progress,
    ...sums,
    ...(bundle && { bundle }),
    ...(since && { since }),
    ...(until && { until }),
    ...(createdAt && { createdAt }),
  });
}

/** Agents that said nothing so far, in words. */
async function silentOnes(db: Database, scope: Scope, id: BacktestId) {
  const silent = await listSilent(db, scope, id);
  return silent.map(({ clusterName, agentName, lastSeen }) => {
    const heard =
      lastSeen === null ? "was never heard of" : `was last heard of at ${new Date(lastSeen).toISOString()}`;
    const detail = `It did not answer so far and ${heard}; one of an older version knows of no backtests`;
    return toProblem({ clusterName, agentName, reason: "backtest/no-answer", detail });
  });
}
