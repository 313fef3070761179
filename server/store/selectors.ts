import { sql, type SQL } from "./drizzle.ts";

import type { Selector } from "../domain/selector.ts";
import { param } from "./assignments.ts";

/** The condition under which a column of labels is chosen; the same answer as `matchesSelector` gives. */
export function whereLabels(labels: SQL, selector: Selector): SQL {
  const terms = selector.map((requirement) => {
    switch (requirement.operator) {
      case "in":
        return sql`${labels} ->> ${requirement.key} = any(${param(requirement.values)}::text[])`;
      case "not-in":
        return sql`coalesce(${labels} ->> ${requirement.key} <> all(${param(requirement.values)}::text[]), true)`;
      case "exists":
        return sql`${labels} ? ${requirement.key}`;
      case "not-exists":
        return sql`not ${labels} ? ${requirement.key}`;
    }
  });
  return terms.length === 0 ? sql`true` : sql.join(terms, sql` and `);
}
