import type { Message } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";

import type {
  AbortRolloutRequest,
  PauseRolloutRequest,
  RejectRolloutRequest,
  RolloutService,
  UndoRolloutRequest,
} from "#proto/fleet/v1/rollout";
import { isRecorded } from "#traces";

import { parseId } from "../../domain/ids.ts";
import type { Permission } from "../../domain/permission.ts";
import type { Scope } from "../../domain/scope.ts";
import type { OnCommitted } from "../../domain/rollout-spans.ts";
import type { Rollout } from "../../domain/rollout.ts";
import type { Signal } from "../../sessions/signal.ts";
import type { AuditNote } from "../../store/audit-entries.ts";
import type { Database } from "../../store/pool.ts";
import { findRollout } from "../../store/rollouts.ts";
import type { Audit } from "../audit.ts";
import { operatorOf, scopeOf, type Operator } from "../caller.ts";
import { spanKey } from "../interceptors/trace-calls.ts";
import { orRefuse } from "../refusals.ts";
import { abort } from "./abort.ts";
import { approve, reject } from "./approve.ts";
import { list } from "./list.ts";
import { loadStarted, loadWhole } from "./people-message.ts";
import { pause } from "./pause.ts";
import { planAsked } from "./plan.ts";
import type { Planning } from "./prepare.ts";
import { resume } from "./resume.ts";
import { shadow } from "./shadow.ts";
import { start } from "./start.ts";
import { undo } from "./undo.ts";
import { watch } from "./watch.ts";

export const rolloutPermissions = {
  planRollout: "rollout:read",
  startRollout: "rollout:write",
  listRollouts: "rollout:read",
  getRollout: "rollout:read",
  watchRollout: "rollout:read",
  pauseRollout: "rollout:write",
  resumeRollout: "rollout:write",
  abortRollout: "rollout:write",
  undoRollout: "rollout:write",
  approveRollout: "rollout:approve",
  rejectRollout: "rollout:approve",
  getShadow: "rollout:read",
} satisfies Record<keyof (typeof RolloutService)["method"], Permission>;

export interface RolloutServiceOptions extends Planning {
  readonly db: Database;
  readonly audit: Audit;
  readonly clock: () => Date;
  /** Makes the reconciler look now, although it may rest. */
  readonly urge: () => void;
  /** Rings when rollouts may have changed. */
  readonly changes: Signal;
  /** Aborted when the server drains: streams end then. */
  readonly leaving: AbortSignal;
  /** Told of each step that is written down here. */
  readonly onCommitted?: OnCommitted | undefined;
}

type Decide<R> = (db: Database, decision: R, by: Operator, now: Date, note: AuditNote) => Promise<Rollout>;

export function rolloutService(options: RolloutServiceOptions): ServiceImpl<typeof RolloutService> {
  const { db, audit, clock, approvals, changes, leaving, onCommitted } = options;
  async function answer(scope: Scope, rollout: Rollout) {
    return { rollout: await loadWhole(db, scope, rollout, clock()) };
  }
  async function decided(scope: Scope, rollout: Rollout) {
    spread(options);
    return answer(scope, rollout);
  }
  function deciding<R extends Message>(act: Decide<R>) {
    return async (request: R, context: HandlerContext) => {
      const by = operatorOf(context);
      const note = audit.note(context, request);
      return decided(by.scope, await act(db, { ...request, onCommitted }, by, clock(), note));
    };
  }
  return {
    async planRollout(request, context) {
      return { plan: await planAsked(db, request, operatorOf(context), options, clock()) };
    },
    async startRollout(request, context) {
      const by = operatorOf(context);
      const planning = { ...options, traceparent: placeOf(context) };
      const started = await start(db, request, by, planning, clock(), audit.note(context, request));
      spread(options);
      return { rollout: await loadStarted(db, by.scope, started, clock()) };
    },
    listRollouts(request, context) {
      return list(db, scopeOf(context), request, clock());
    },
    async getRollout(request, context) {
      const id = orRefuse(parseId("rollout", "rollout_id", request.rolloutId));
      return answer(scopeOf(context), orRefuse(await findRollout(db, scopeOf(context), id)));
    },
    watchRollout(request, context) {
      const id = orRefuse(parseId("rollout", "rollout_id", request.rolloutId));
      return watch(db, scopeOf(context), id, changes, clock, { caller: context.signal, leaving });
    },
    pauseRollout: deciding<PauseRolloutRequest>(pause),
    async resumeRollout(request, context) {
      const by = operatorOf(context);
      const note = audit.note(context, request);
      return decided(by.scope, await resume(db, { ...request, onCommitted }, by, options, clock(), note));
    },
    abortRollout: deciding<AbortRolloutRequest>(abort),
    undoRollout: deciding<UndoRolloutRequest>(undo),
    async approveRollout(request, context) {
      const by = operatorOf(context);
      const note = audit.note(context, request);
      return decided(by.scope, await approve(db, request, by, approvals, clock(), note));
    },
    rejectRollout: deciding<RejectRolloutRequest>(reject),
    async getShadow(request, context) {
      const id = orRefuse(parseId("rollout", "rollout_id", request.rolloutId));
      const scope = scopeOf(context);
      return shadow(db, scope, orRefuse(await findRollout(db, scope, id)));
    },
  };
}

/** Has those who move rollouts, and those who watch them, look now. */
function spread({ urge, changes }: Pick<RolloutServiceOptions, "urge" | "changes">): void {
  urge();
  changes.ring();
}

/** Where a call stands in a trace that is recorded. */
function placeOf({ values }: HandlerContext): string | undefined {
  const { context } = values.get(spanKey) ?? {};
  return context !== undefined && isRecorded(context) ? context : undefined;
}
