import { pino } from "pino";
import { readConfig } from "./config.ts";
import { borrowDatabase, databaseFailure } from "./database.ts";
import { Failure } from "./failure.ts";
import { migrate } from "./store/migrate.ts";

/**
 * Brings the schema up to date and ends: what a job does before servers of a new version start, so that a migration that fails
 * stops the update while the old ones still serve. Answers with what it did, in a sentence.
 */
export async function migrateCommand(args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  if (args.length > 0) {
    throw new Failure(`migrate takes no arguments, and was given "${args.join(" ").slice(0, 80)}"`, 2);
  }
  const config = readConfig(env);
  const log = pino({ level: "silent" });
  const database = await borrowDatabase({ url: config.databaseUrl, stateDir: config.stateDir, log });
  try {
    const applied = await migrate(database.url);
    return applied.length === 0 ? "The schema is up to date" : `Applied ${applied.join(", ")}`;
  } catch (error) {
    throw databaseFailure(error, database.url) ?? error;
  } finally {
    await database.stop();
  }
}
