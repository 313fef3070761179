import { setTimeout as delay } from "node:timers/promises";

import { ClusterOrder, ClusterService } from "#proto/fleet/v1/cluster";
import { BundleKind, Requirement_Operator } from "#proto/fleet/v1/common";
import { RolloutService } from "#proto/fleet/v1/rollout";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ListClustersRequestSchema } from "#proto/fleet/v1/cluster";

import { median, rounded } from "../figures.ts";
import { type Bench, describe } from "./bench.ts";
import { machineLoad } from "./processes.ts";
import { seedRows } from "./seed.ts";

const where = (key: string, ...values: string[]) => ({ key, operator: Requirement_Operator.IN, values });
const prodOfTwo = { requirements: [where("environment", "prod"), where("region", "eu", "us")] };
const oneTeam = { requirements: [where("team", "team-7")] };

/** What is asked of the inventory; each with the page that follows, so that later pages count as well. */
const questions: Readonly<Record<string, MessageInitShape<typeof ListClustersRequestSchema>>> = {
  everything: { pageSize: 100 },
  prodOfTwoRegions: { pageSize: 100, selector: prodOfTwo },
  oneTeam: { pageSize: 100, selector: oneTeam },
  newest: { pageSize: 100, selector: prodOfTwo, order: ClusterOrder.NEWEST },
  unheard: { pageSize: 100, selector: prodOfTwo, order: ClusterOrder.UNHEARD },
  pagesOf500: { pageSize: 500 },
};

/** For so long the server reads again and again that all of these clusters are new. No fleet gets thousands within a second. */
const seenMs = 12_000;

/** Pages of a large inventory and a plan over it, against a call that reads nothing. */
export async function measureInventory(at: Bench, clusters: number, rounds: number): Promise<object> {
  await seedRows(at.db, at.digests[0] ?? "", clusters);
  await delay(seenMs);
  const list = await at.admin.client(ClusterService);
  const rollouts = await at.admin.client(RolloutService);
  const timed = async (call: () => Promise<unknown>) => {
    const startedAt = performance.now();
    await call();
    return performance.now() - startedAt;
  };
  const times = new Map<string, number[]>();
  const empty: number[] = [];
  const plans: number[] = [];
  // The first round warms both sides up, and of it only the plan counts.
  for (let round = 0; round <= rounds; round += 1) {
    empty.push(await timed(() => rollouts.listRollouts({ pageSize: 1 })));
    for (const [name, question] of Object.entries(questions)) {
      let pageToken = "";
      const mine = round === 0 ? [] : (times.get(name) ?? []);
      mine.push(await timed(async () => ({ nextPageToken: pageToken } = await list.listClusters(question))));
      mine.push(await timed(() => list.listClusters({ ...question, pageToken })));
      if (round > 0) times.set(name, mine);
    }
    if (round % 10 > 0) continue;
    const spec = { kind: BundleKind.RULES, bundle: at.digests[1] ?? "" };
    plans.push(await timed(() => rollouts.planRollout({ spec })));
  }
  const [firstPlan = 0, ...nextPlans] = plans;
  return {
    load: machineLoad(),
    clusters,
    baselineEmptyCallMs: describe(empty.slice(1)),
    listMs: Object.fromEntries([...times].map(([name, each]) => [name, describe(each)])),
    ratioToEmptyCall: rounded(median(times.get("prodOfTwoRegions") ?? []) / median(empty.slice(1)), 1),
    dryRunMs: { first: rounded(firstPlan, 0), next: describe(nextPlans) },
  };
}
