import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";

import { GetShadowResponseSchema, type GetShadowResponse } from "#proto/fleet/v1/rollout";
import { type Shadow, ShadowSchema } from "#proto/fleet/v1/shadow";

import { refuse } from "../../domain/refusal.ts";
import { isShadowing, shadowUntilMs } from "../../domain/rollout-shadow.ts";
import { isFinished, type Rollout } from "../../domain/rollout.ts";
import type { Scope } from "../../domain/scope.ts";
import type { Db } from "../../store/pool.ts";
import { listShadowProblems, listShadowRules, sumShadow } from "../../store/shadows.ts";
import { orRefuse } from "../refusals.ts";

const bounds = { rulesMax: 500, examplesMax: 5 };
const problemsMax = 100;

/** How the shadow of a rollout stands; undefined for one without. */
export async function shadowOf(db: Db, scope: Scope, rollout: Rollout): Promise<Shadow | undefined> {
  const untilMs = shadowUntilMs(rollout);
  if (untilMs === undefined) return undefined;
  const isOver = !isShadowing(rollout) || isFinished(rollout.state);
  const sums = await sumShadow(db, scope, rollout.id);
  return create(ShadowSchema, { until: timestampFromMs(untilMs), isOver, ...sums });
}

/** What the bundle of a rollout would change, per rule. */
export async function shadow(db: Db, scope: Scope, rollout: Rollout): Promise<GetShadowResponse> {
  const stands = await shadowOf(db, scope, rollout);
  if (stands === undefined) {
    const why = `Rollout ${rollout.id} began without a shadow: start one with --shadow 30m`;
    return orRefuse(refuse({ kind: "precondition", why }));
  }
  const rules = await listShadowRules(db, scope, rollout.id, bounds);
  const problems = await listShadowProblems(db, scope, rollout.id, problemsMax);
  return create(GetShadowResponseSchema, {
    shadow: stands,
    rules: rules.map(({ rule, clusters, examples, ...counts }) => ({
      rule,
      clusters,
      now: BigInt(counts.now),
      candidate: BigInt(counts.candidate),
      new: BigInt(counts.new),
      gone: BigInt(counts.gone),
      examples: (examples ?? []).map(({ clusterName, isGone, timeMs, fields }) => ({
        clusterName,
        isGone,
        time: timestampFromMs(timeMs),
        fields: { ...fields },
      })),
    })),
    problems: problems.map(({ clusterName, agentName, reason, detail }) => ({
      clusterName,
      agentName,
      reason,
      detail,
    })),
  });
}
