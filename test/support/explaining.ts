import { sql, type SQL } from "../../server/store/drizzle.ts";
import type { Database, Transaction } from "../../server/store/pool.ts";

interface Node {
  readonly Plans?: readonly Node[];
  readonly "Rows Removed by Join Filter"?: number;
  readonly "Actual Loops": number;
}

interface Explained extends Record<string, unknown> {
  readonly "QUERY PLAN": readonly { readonly Plan: Node }[];
}

class Undone extends Error {}

/**
 * Carries every statement out as it would be, and before that once more to be undone, to see how many pairs of rows the database compares
 * in vain: `inVain` has the number of each statement, in order. What is built with drizzle's builders is not looked at.
 */
export function explaining<D extends Database | Transaction>(db: D, inVain: number[]): D {
  const execute = async (query: SQL) => {
    await explain(db, query, inVain);
    return db.execute(query);
  };
  const transaction = (work: (tx: Transaction) => Promise<unknown>) =>
    db.transaction((tx) => work(explaining(tx, inVain)));
  const own: Readonly<Record<string | symbol, unknown>> = { execute, transaction };
  return new Proxy(db, { get: (of, name, at) => own[name] ?? (Reflect.get(of, name, at) as unknown) });
}

async function explain(db: Database | Transaction, query: SQL, inVain: number[]): Promise<void> {
  try {
    await db.transaction(async (tx) => {
      const { rows } = await tx.execute<Explained>(sql`explain (analyze, format json) ${query}`);
      for (const { Plan } of rows[0]?.["QUERY PLAN"] ?? []) inVain.push(comparedInVain(Plan));
      throw new Undone();
    });
  } catch (error) {
    if (!(error instanceof Undone)) throw error;
  }
}

function comparedInVain(node: Node): number {
  const own = (node["Rows Removed by Join Filter"] ?? 0) * node["Actual Loops"];
  return (node.Plans ?? []).reduce((sum, each) => sum + comparedInVain(each), own);
}
