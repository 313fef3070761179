import { compileMatchers } from "../domain/alert-matcher.ts";
import { touchedHours } from "../domain/alert-stats.ts";
import { instant, isOneOf, noFacts, prepareSearch, type AlertFilter } from "./alerts.ts";
import { param } from "./assignments.ts";
import { sql } from "./drizzle.ts";
import { createPatternTime, patternsMsMax } from "./pattern-time.ts";
import type { Db } from "./pool.ts";

/**
 * At most how many alerts the clusters of a filter sent that were counted and not stored, in the hours of its time: by when they arrived,
 * because nothing else is known of them. Also of clusters that are retired. Of rules that the filter names, or those that carry its tags as
 * far as their groups tell, which know the newest tags alone; what is counted without its rule, or of a rule that no group knows, might be
 * one of them and counts as well. Throws `PatternsTooSlow`.
 */
export async function countNotStored(db: Db, filter: AlertFilter): Promise<bigint> {
  const search = await prepareSearch(db, filter);
  if (search === undefined) return 0n;
  const { clusterIds, rules } = search;
  const { fromUs, toUs } = touchedHours(filter);
  const terms = [sql`i.not_stored > 0`, isOneOf(sql`i.cluster_id`, clusterIds)];
  if (fromUs !== undefined) terms.push(sql`i.hour >= ${instant(sql`${fromUs}::bigint`)}`);
  if (toUs !== undefined) terms.push(sql`i.hour < ${instant(sql`${toUs}::bigint`)}`);
  if (rules !== undefined) terms.push(isOneOf(sql`i.rule`, [...rules, ""]));
  const isTagged =
    filter.tags.length === 0 ? sql`true` : sql`bool_or(g.tags && ${param(filter.tags)}::text[])`;
  const { rows } = await db.execute<{ rule: string; count: string }>(sql`
    with sums as materialized (
      select i.cluster_id, i.rule, sum(i.not_stored) as count from alert_intake i where ${sql.join(terms, sql` and `)} group by 1, 2
    ), known as (
      select g.cluster_id, g.rule, ${isTagged} as "isTagged" from alert_groups g
      where g.not_stored > 0 and g.cluster_id in (select cluster_id from sums) group by 1, 2
    )
    select s.rule, sum(s.count)::bigint as count from sums s left join known k on k.cluster_id = s.cluster_id and k.rule = s.rule
    where coalesce(k."isTagged", true) group by 1`);
  const test = compileMatchers(filter.matchers.filter(({ name }) => name === "rule"));
  const time = createPatternTime(patternsMsMax);
  const met = await time.pick(rows, ({ rule }) => rule === "" || test({ ...noFacts, rule }));
  return met.reduce((sum, { count }) => sum + BigInt(count), 0n);
}
