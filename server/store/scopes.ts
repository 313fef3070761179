import { and, gt, isNull, sql, type SQL } from "./drizzle.ts";

import type { Scope } from "../domain/scope.ts";
import type { Db } from "./pool.ts";
import { apiTokens, clusters } from "./schema.ts";
import { whereLabels } from "./selectors.ts";

/** That a row of `clusters` is in a scope. Every query that reads or changes clusters for somebody holds this. */
export function clustersIn(scope: Scope): SQL {
  return whereLabels(sql`${clusters.labels}`, scope);
}

/** The same where the statement calls the table by another name. */
export function labelsIn(scope: Scope, alias: string): SQL {
  return whereLabels(sql`${sql.identifier(alias)}.labels`, scope);
}

/** The scopes of all credentials that can be used now, each once; of the whole fleet, none is told. */
export async function listScopesInUse(db: Db, now: Date): Promise<readonly Scope[]> {
  const rows = await db
    .selectDistinct({ scope: apiTokens.scope })
    .from(apiTokens)
    .where(
      and(isNull(apiTokens.revokedAt), gt(apiTokens.expiresAt, now), sql`${apiTokens.scope} <> '[]'::jsonb`),
    );
  return rows.map(({ scope }) => scope);
}
