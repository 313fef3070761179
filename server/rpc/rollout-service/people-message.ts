import { create } from "@bufbuild/protobuf";
import { timestampFromDate, timestampFromMs } from "@bufbuild/protobuf/wkt";

import {
  RolloutActSchema,
  RolloutApprovalSchema,
  type Rollout as RolloutMessage,
  type RolloutApproval,
} from "#proto/fleet/v1/rollout";

import { standing, type Approval, type ApprovalNeed } from "../../domain/people/approval.ts";
import type { Rollout } from "../../domain/rollout.ts";
import type { Scope } from "../../domain/scope.ts";
import type { Db } from "../../store/pool.ts";
import { listActs, listApprovals } from "../../store/rollout-people.ts";
import { loadMessage } from "./message.ts";

export function toApproval(need: ApprovalNeed, given: readonly Approval[]): RolloutApproval {
  return create(RolloutApprovalSchema, {
    needed: need.count,
    why: need.why,
    given: given.map(({ name, reason, atMs, untilMs }) => ({
      name,
      reason,
      at: timestampFromMs(atMs),
      until: timestampFromMs(untilMs),
    })),
  });
}

/** The rollout with what people said of it and did with it. Not for those who see a part only: it tells of the rest. */
export async function loadWhole(db: Db, scope: Scope, rollout: Rollout, now: Date): Promise<RolloutMessage> {
  const message = await loadMessage(db, scope, rollout, now);
  if (message.partial) return message;
  const acts = await listActs(db, rollout.id);
  message.history = acts.map(({ at, who, what, why, planDigest }) =>
    create(RolloutActSchema, { at: timestampFromDate(at), who, what, why, planDigest }),
  );
  if (rollout.need !== undefined) {
    const given = standing(await listApprovals(db, rollout.id), rollout.planDigest, now.getTime());
    message.approval = toApproval(rollout.need, given);
  }
  return message;
}
