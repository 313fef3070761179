import { sql } from "./drizzle.ts";

import type { Scope } from "../domain/scope.ts";
import type { Db } from "./pool.ts";
import { labelsIn } from "./scopes.ts";

/** How many agents said last that they hold these versions. */
export interface TrustHolders {
  readonly rootVersion: bigint;
  readonly targetsVersion: bigint;
  readonly agents: number;
}

/** More pairs than this are not shown: a fleet that is in order has two or three. */
const pairsMax = 100;

/** Counts the agents of a scope that may still come, by what they hold; newest first. */
export async function countTrustHolders(db: Db, scope: Scope): Promise<readonly TrustHolders[]> {
  const { rows } = await db.execute<{ root: string; targets: string; agents: number }>(sql`
    select g.root_version::text as root, g.targets_version::text as targets, count(*)::int as agents
    from agents g join clusters c on c.id = g.cluster_id
    where g.revoked_at is null and c.retired_at is null and ${labelsIn(scope, "c")}
    group by g.root_version, g.targets_version
    order by g.root_version desc, g.targets_version desc limit ${pairsMax}`);
  return rows.map(({ root, targets, agents }) => ({
    rootVersion: BigInt(root),
    targetsVersion: BigInt(targets),
    agents,
  }));
}
