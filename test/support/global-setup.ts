import { sharedUrlVariable } from "./postgres.ts";
import { startThrowaway, type Throwaway } from "./throwaway.ts";

let server: Throwaway | undefined;

/** Called by `node --test --test-global-setup` once, before any test file starts. */
export async function globalSetup(): Promise<void> {
  // A run that a test started takes the server of the run that the test is in.
  if (process.env[sharedUrlVariable] !== undefined) return;
  server = await startThrowaway();
  process.env[sharedUrlVariable] = server.url; // The processes of the test files inherit it.
}

/** Called after the last test file. */
export async function globalTeardown(): Promise<void> {
  await server?.stop();
}
