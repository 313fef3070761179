import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";

import { GetShadowResponseSchema, type GetShadowResponse } from "#proto/fleet/v1/rollout";
import { type Shadow, ShadowSchema } from "#proto/fleet/v1/shadow";

import { refuse } from "../../domain/refusal.ts";
import { isShadowing, shadowUntilMs } from "../../domain/rollout-shadow.ts";
import { isFinished, type Rollout } from "../../domain/rollout.ts";
import type { Scope } from "../../domain/scope.ts";
import type { Db } from "../../store/pool.ts";
import { sumReports } from "../../store/candidate-reports.ts";
import { countShadowAgents } from "../../store/shadows.ts";
import { loadFindings } from "../candidate-message.ts";
import { orRefuse } from "../refusals.ts";

/** How the shadow of a rollout stands; undefined for one without. */
export async function shadowOf(db: Db, scope: Scope, rollout: Rollout): Promise<Shadow | undefined> {
  const untilMs = shadowUntilMs(rollout);
  if (untilMs === undefined) return undefined;
  const isOver = !isShadowing(rollout) || isFinished(rollout.state);
  const agents = await countShadowAgents(db, scope, rollout.id);
  const sums = await sumReports(db, scope, { kind: "shadow", id: rollout.id });
  return create(ShadowSchema, { until: timestampFromMs(untilMs), isOver, agents, ...sums });
}

/** What the bundle of a rollout would change, per rule. */
export async function shadow(db: Db, scope: Scope, rollout: Rollout): Promise<GetShadowResponse> {
  const stands = await shadowOf(db, scope, rollout);
  if (stands === undefined) {
    const why = `Rollout ${rollout.id} began without a shadow: start one with --shadow 30m`;
    return orRefuse(refuse({ kind: "precondition", why }));
  }
  const found = await loadFindings(db, scope, { kind: "shadow", id: rollout.id });
  return create(GetShadowResponseSchema, { shadow: stands, ...found });
}
