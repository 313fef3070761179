import { hostname, userInfo } from "node:os";
import { parseArgs } from "node:util";

import { pino } from "pino";

import { duration, readConfig } from "./config.ts";
import { borrowDatabase, databaseFailure } from "./database.ts";
import { parseApiTokenRequest } from "./domain/token.ts";
import { accept, sentence } from "./domain/refusal.ts";
import { wholeFleet } from "./domain/scope.ts";
import { Failure } from "./failure.ts";
import { createApiToken } from "./rpc/token-service.ts";
import { migrate } from "./store/migrate.ts";
import { appendAudit } from "./store/audit-entries.ts";
import { openPool } from "./store/pool.ts";

const minuteMs = 60_000;
const ttlMsMax = 366 * 86_400_000;

/**
 * Makes an API token with role admin, straight in the database: who holds the database may. This is how the first
 * person gets in, and how one gets back in. Answers with the token to send.
 */
export async function adminToken(args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  const { name, ttlMs } = readArgs(args);
  const config = readConfig(env);
  const log = pino({ level: "silent" });
  const database = await borrowDatabase({ url: config.databaseUrl, stateDir: config.stateDir, log });
  try {
    await migrate(database.url);
    const db = openPool({ url: database.url, connectionsMax: 1, onIdleError: () => {} });
    try {
      return await db.transaction(async (tx) => {
        const wanted = { name, role: "admin" as const, scope: wholeFleet, ttlMs };
        const { token, secret } = await createApiToken(tx, wanted, "admin-token command", new Date());
        const pen = { org: config.org, server: hostname(), now: () => new Date() };
        await appendAudit(tx, pen, {
          actor: { kind: "command", id: "admin-token", name: userInfo().username, role: "" },
          method: "admin-token",
          target: token.id,
          request: { name, role: "admin", ttl_seconds: String(ttlMs / 1000) },
          outcome: "ok",
          why: "",
        });
        return secret;
      });
    } finally {
      await db.$client.end();
    }
  } catch (error) {
    throw databaseFailure(error, database.url) ?? error;
  } finally {
    await database.stop();
  }
}

function readArgs(args: readonly string[]): { readonly name: string; readonly ttlMs: number } {
  const usage = "usage: admin-token [--name NAME] [--ttl 24h]";
  let values: { name: string; ttl: string };
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: { name: { type: "string", default: "admin" }, ttl: { type: "string", default: "24h" } },
    }));
  } catch (error) {
    throw new Failure(`${error instanceof Error ? error.message : String(error)}; ${usage}`, 2);
  }
  const ttlMs = duration(minuteMs, ttlMsMax)(values.ttl);
  if (typeof ttlMs !== "number") {
    throw new Failure(`--ttl: "${values.ttl.slice(0, 80)}" ${ttlMs.problem}; ${usage}`, 2);
  }
  const asked = { name: values.name, role: "admin", ttlSeconds: ttlMs / 1000 };
  const wanted = parseApiTokenRequest(asked, accept(wholeFleet), wholeFleet);
  if (!wanted.ok) throw new Failure(`${sentence(wanted.refusal)}; ${usage}`, 2);
  return { name: values.name, ttlMs };
}
