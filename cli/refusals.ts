import type { Client } from "@connectrpc/connect";
import type { Agent, Attempt, Cluster, ClusterService } from "#proto/fleet/v1/cluster";
import { present } from "./answer.ts";
import { clean, type Paint } from "./output/text.ts";
import { ageOf, nameOf } from "./views.ts";

/** A bundle that an agent refused, or went back from by itself. */
export interface Refusal {
  readonly cluster: string;
  readonly agent: string;
  readonly attempt: Attempt;
}

const linesMax = 12;

/** Some clusters with their agents; those that left the fleet or the caller's scope meanwhile are left out. */
export async function loadClusters(
  service: Client<typeof ClusterService>,
  ids: readonly string[],
): Promise<readonly Cluster[]> {
  const found = await Promise.allSettled(ids.map((cluster) => service.getCluster({ cluster })));
  return found.flatMap((each) =>
    each.status === "fulfilled" ? [present(each.value.cluster, "cluster")] : [],
  );
}

/** The refusals of a bundle, newest first for each agent. */
export function refusalsOf(clusters: readonly Cluster[], digest: string): readonly Refusal[] {
  return clusters.flatMap((cluster) =>
    cluster.agents.flatMap((agent) =>
      agent.attempts
        .filter((attempt) => attempt.bundle?.digest === digest && isRefusal(attempt))
        .map((attempt) => ({ cluster: cluster.name, agent: agent.name, attempt })),
    ),
  );
}

export function isRefusal({ phase }: Attempt): boolean {
  return phase === "rejected" || phase === "rolled-back";
}

/** What agents said when they refused a bundle, for `rollout show`. */
export function refusalLines(refusals: readonly Refusal[], now: number, paint: Paint): string[] {
  return refusals.flatMap(({ cluster, agent, attempt }) => {
    const where = `${clean(cluster)}, agent ${clean(agent)}, generation ${attempt.generation}, ${ageOf(attempt.at, now)} ago`;
    const why = [attempt.reason, attempt.detail].filter((part) => part !== "").map(clean);
    return ["", paint("bad", `${attempt.phase} by ${where}`), `  ${why.join(": ")}`, ...tailLines(attempt)];
  });
}

/** The logs that an agent sent with its refusals, newest first, for `cluster show`. */
export function logLines({ attempts }: Agent, now: number): string[] {
  return attempts
    .filter((attempt) => attempt.logTail !== "")
    .slice(0, 3)
    .flatMap((attempt) => [
      `  log before ${nameOf(attempt.bundle)} was ${attempt.phase}, ${ageOf(attempt.at, now)} ago:`,
      ...tailLines(attempt),
    ]);
}

function tailLines({ logTail }: Attempt): string[] {
  const lines = logTail.split("\n").filter((line) => line !== "");
  return lines.slice(-linesMax).map((line) => `    | ${clean(line)}`);
}
