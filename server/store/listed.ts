import { param } from "./assignments.ts";
import { sql, type SQL } from "./drizzle.ts";
import type { Db } from "./pool.ts";

/**
 * Whether a row of bundles, by its alias, is released: the newest targets metadata lists it, or for a release of a layer the
 * newest list of that layer. Agents refuse to start what is not.
 */
export function isListed(alias: string): SQL<boolean> {
  const b = sql.identifier(alias);
  return sql<boolean>`(${b}.targets_version = (select max(m.version) from trust_metadata m
    where m.role = case when ${b}.kind = 'layer' then 'layer-' || ${b}.name else 'targets' end))`;
}

/** Which of some bundles are released. */
export async function listedDigests(
  db: Db,
  bundles: readonly { readonly digest: string }[],
): Promise<ReadonlySet<string>> {
  const { rows } = await db.execute<{ digest: string }>(sql`
    select digest from bundles b where digest = any(${param(bundles.map(({ digest }) => digest))}::text[]) and ${isListed("b")}`);
  return new Set(rows.map(({ digest }) => digest));
}
