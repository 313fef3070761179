import { flappingKeptMs, suspicionKeptMs } from "../domain/instance.ts";
import { sql, type SQL } from "./drizzle.ts";

/** The code that says how often sessions begin and not who speaks. */
export const isFlapping: SQL = sql`e ->> 'code' = 'session/flapping'`;

/** As `freshSuspicions` has it, of one suspicion `e` of the list. */
export function isFresh(now: Date): SQL {
  const since = (keptMs: number) => sql`${now.getTime() - keptMs}::float8`;
  return sql`(e ->> 'atMs')::float8 >= case when ${isFlapping} then ${since(flappingKeptMs)} else ${since(suspicionKeptMs)} end`;
}
