import type { ServiceImpl } from "@connectrpc/connect";

import type { RolloutService } from "#proto/fleet/v1/rollout";

import { parseId } from "../../domain/ids.ts";
import type { Permission } from "../../domain/permission.ts";
import type { Rollout } from "../../domain/rollout.ts";
import type { Signal } from "../../sessions/signal.ts";
import type { Database } from "../../store/pool.ts";
import { findRollout } from "../../store/rollouts.ts";
import type { Audit } from "../audit.ts";
import { operatorOf } from "../caller.ts";
import { orRefuse } from "../refusals.ts";
import { abort } from "./abort.ts";
import { list } from "./list.ts";
import { loadMessage } from "./message.ts";
import { pause } from "./pause.ts";
import { plan } from "./plan.ts";
import { resume } from "./resume.ts";
import { fromSpec } from "./spec.ts";
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
} satisfies Record<keyof (typeof RolloutService)["method"], Permission>;

export interface RolloutServiceOptions {
  readonly db: Database;
  readonly audit: Audit;
  readonly clock: () => Date;
  /** Makes the reconciler look now. */
  readonly nudge: () => void;
  /** Rings when rollouts may have changed. */
  readonly changes: Signal;
  /** Aborted when the server drains: streams end then. */
  readonly leaving: AbortSignal;
}

export function rolloutService(options: RolloutServiceOptions): ServiceImpl<typeof RolloutService> {
  const { db, audit, clock, nudge, changes, leaving } = options;
  async function answer(rollout: Rollout) {
    return { rollout: await loadMessage(db, rollout, clock()) };
  }
  async function decided(rollout: Rollout) {
    nudge();
    changes.ring();
    return answer(rollout);
  }
  return {
    async planRollout(request) {
      return { plan: await plan(db, orRefuse(fromSpec(request.spec)), clock()) };
    },
    async startRollout(request, context) {
      return decided(
        await start(db, request, operatorOf(context).name, clock(), audit.note(context, request)),
      );
    },
    listRollouts(request) {
      return list(db, request, clock());
    },
    async getRollout(request) {
      const id = orRefuse(parseId("rollout", "rollout_id", request.rolloutId));
      return answer(orRefuse(await findRollout(db, id)));
    },
    watchRollout(request, context) {
      const id = orRefuse(parseId("rollout", "rollout_id", request.rolloutId));
      return watch(db, id, changes, clock, { caller: context.signal, leaving });
    },
    async pauseRollout(request, context) {
      return decided(
        await pause(db, request, operatorOf(context).name, clock(), audit.note(context, request)),
      );
    },
    async resumeRollout(request, context) {
      return decided(
        await resume(db, request, operatorOf(context).name, clock(), audit.note(context, request)),
      );
    },
    async abortRollout(request, context) {
      return decided(
        await abort(db, request, operatorOf(context).name, clock(), audit.note(context, request)),
      );
    },
    async undoRollout(request, context) {
      return decided(
        await undo(db, request, operatorOf(context).name, clock(), audit.note(context, request)),
      );
    },
  };
}
