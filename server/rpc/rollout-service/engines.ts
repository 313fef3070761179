import { create } from "@bufbuild/protobuf";

import { checkEngine } from "#trust";
import { EngineProblemSchema, type EngineProblem } from "#proto/fleet/v1/rollout";

import { refuse, type Refusal } from "../../domain/refusal.ts";
import type { Db } from "../../store/pool.ts";
import { readOutlines } from "./outlines.ts";
import type { Prepared } from "./prepare.ts";

/**
 * The clusters of a plan with an agent whose engine is older than the bundle asks for; it would refuse the bundle. Of an
 * agent that never said what it has, nothing is held.
 */
export async function findEngineProblems(db: Db, prepared: Prepared): Promise<readonly EngineProblem[]> {
  const { plan, bundle, fleet } = prepared;
  const outline = (await readOutlines(db, bundle.kind, [bundle.digest])).get(bundle.digest);
  const required = outline?.requires?.engine;
  if (outline === undefined || required === undefined) return [];
  const moving = new Set(plan.waves.flatMap((wave) => wave.clusters.map(({ id }) => id)));
  return fleet
    .filter(({ id }) => moving.has(id))
    .flatMap(({ name, engines = [] }) => {
      const engineVersion = engines.find((engine) => !checkEngine(outline, engine).ok);
      return engineVersion === undefined
        ? []
        : [create(EngineProblemSchema, { clusterName: name, engineVersion, required })];
    });
}

/** Why a plan with such clusters is not started. */
export function tooOld(problems: readonly EngineProblem[]): {
  readonly ok: false;
  readonly refusal: Refusal;
} {
  const first = problems
    .slice(0, 5)
    .map(({ clusterName, engineVersion }) => `${clusterName} (${engineVersion})`);
  const more = problems.length > 5 ? ` and ${problems.length - 5} more` : "";
  const why = `The bundle asks for engine ${problems[0]?.required}, and these have an older one and would refuse it: ${first.join(", ")}${more}. Upgrade their agents, or leave them out by the selector`;
  return refuse({ kind: "precondition", why });
}
