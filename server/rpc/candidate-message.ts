import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";

import {
  type ShadowProblem,
  ShadowProblemSchema,
  type ShadowRuleSum,
  ShadowRuleSumSchema,
} from "#proto/fleet/v1/shadow";

import type { Scope } from "../domain/scope.ts";
import {
  type CandidateProblem,
  listProblems,
  listRuleSums,
  type Reported,
} from "../store/candidate-reports.ts";
import type { Db } from "../store/pool.ts";

/** What agents reported of a candidate: per rule, and who could not evaluate it as asked for. */
export async function loadFindings(
  db: Db,
  scope: Scope,
  of: Reported,
): Promise<{ readonly rules: ShadowRuleSum[]; readonly problems: ShadowProblem[] }> {
  const rules = await listRuleSums(db, scope, of);
  const problems = await listProblems(db, scope, of);
  return {
    rules: rules.map(({ rule, clusters, examples, ...counts }) =>
      create(ShadowRuleSumSchema, {
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
      }),
    ),
    problems: problems.map(toProblem),
  };
}

export function toProblem({ clusterName, agentName, reason, detail }: CandidateProblem): ShadowProblem {
  return create(ShadowProblemSchema, { clusterName, agentName, reason, detail });
}
