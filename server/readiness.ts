import type { Pool } from "pg";

import { pendingMigrations } from "./store/migrate.ts";

export interface ReadinessOptions {
  readonly pool: Pool;
  readonly isDraining: () => boolean;
}

/**
 * Whether this server should get calls: not draining, database there and migrated. Answers with what is missing, in
 * words; never throws. Many probes at once make one look.
 */
export function readiness({ pool, isDraining }: ReadinessOptions): () => Promise<readonly string[]> {
  let looking: Promise<readonly string[]> | undefined;

  async function look(): Promise<readonly string[]> {
    try {
      const pending = await pendingMigrations(pool);
      return pending.length === 0 ? [] : [`database: not migrated yet: ${pending.join(", ")}`];
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return [`database: ${why === "" ? "cannot be reached" : why}`];
    }
  }

  return async () => {
    if (isDraining()) return ["draining: the server is going away"];
    looking ??= look().finally(() => {
      looking = undefined;
    });
    return looking;
  };
}
