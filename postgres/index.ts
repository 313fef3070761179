/** The door of the room: a real Postgres from npm packages, kept running, as root or not. */
export { PostgresError } from "./errors.ts";
export { startPostgres } from "./supervisor.ts";
export type { EmbeddedPostgres, PostgresOptions } from "./supervisor.ts";
