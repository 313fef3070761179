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
import { begunMessage, loadMessage } from "./message.ts";
import type { Started } from "./start.ts";

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
  return message.partial ? message : withPeople(db, rollout, message, now);
}

/** The same of a rollout that was just started. Whoever starts one sees all of it. */
export async function loadStarted(
  db: Db,
  scope: Scope,
  { rollout, plan }: Started,
  now: Date,
): Promise<RolloutMessage> {
  if (plan === undefined) return loadWhole(db, scope, rollout, now);
  return withPeople(db, rollout, await begunMessage(db, scope, rollout, plan), now);
}

async function withPeople(
  db: Db,
  rollout: Rollout,
  message: RolloutMessage,
  now: Date,
): Promise<RolloutMessage> {
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
