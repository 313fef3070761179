import { mkdirSync, readFileSync } from "node:fs";
import { execFile } from "node:child_process";
import { get } from "node:https";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { PostgresError, startPostgres } from "#postgres";
import { openConnection } from "../connection.ts";
import { changeContexts, contextsPath, withContext } from "../contexts.ts";
import { misused, refused } from "../failure.ts";
import { programArgs } from "../programs.ts";
import { part, serverUrl, untilIn } from "./fleet.ts";
import type { Fleet } from "./fleet.ts";

/** The name of the context that commands in other terminals use. */
export const contextName = "local";
const run = promisify(execFile);

/** Brings up the embedded database. */
export async function startDatabase(fleet: Fleet): Promise<string> {
  mkdirSync(fleet.layout.logs, { recursive: true });
  fleet.postgres = await startPostgres({ dir: fleet.layout.postgres, signal: fleet.signal }).catch(
    (error: unknown) => {
      if (!(error instanceof PostgresError)) throw error;
      throw refused(error.message, `The files of the database are in ${fleet.layout.postgres}`);
    },
  );
  return `Postgres on a private socket, process ${fleet.postgres.pid}`;
}

/** Brings up the server and waits until it says that it is ready. */
export async function startServer(fleet: Fleet): Promise<string> {
  const { port } = fleet.plan;
  await refuseTakenPort(port);
  fleet.server = fleet.processes.start({
    name: "server",
    args: programArgs("server"),
    env: serverEnv(fleet),
    restart: true,
  });
  const url = `https://127.0.0.1:${port}`;
  await untilIn(fleet, `the server at ${url} to become ready`, 30_000, async () => {
    const exit = fleet.server?.lastExit();
    if (exit !== undefined && (fleet.server?.restarts() ?? 0) > 2) {
      throw refused(
        `The server ended again and again (exit code ${exit}): ${lastLine(fleet.processes.logOf("server"))}`,
        `less ${fleet.processes.logOf("server")}`,
      );
    }
    const answer = await ready(fleet, url);
    return answer === "" ? { done: true } : { seen: answer };
  });
  return `${url}, process ${fleet.server.pid()}`;
}

/** Makes an admin token with the database's authority and stores a context with it. */
export async function logIn(fleet: Fleet): Promise<string> {
  const args = [...programArgs("server"), "admin-token", "--name", "local-fleet", "--ttl", "30d"];
  const { stdout } = await run(process.execPath, args, {
    env: { ...process.env, ...serverEnv(fleet) },
    signal: fleet.signal,
  });
  const context = {
    server: `https://127.0.0.1:${fleet.plan.port}`,
    ca: readFileSync(caFile(fleet), "utf8"),
    token: stdout.trim(),
  };
  const path = contextsPath(process.env);
  await changeContexts(path, (stored) => withContext(stored, contextName, context));
  fleet.connection = openConnection(contextName, context);
  return `context "${contextName}" in ${path}`;
}

function serverEnv(fleet: Fleet): Record<string, string> {
  const { host, port } = fleet.plan;
  return {
    FALCONRY_LISTEN: `${host === undefined ? "127.0.0.1" : "0.0.0.0"}:${port}`,
    FALCONRY_PUBLIC_URL: serverUrl(fleet),
    FALCONRY_STATE_DIR: fleet.layout.server,
    DATABASE_URL: part(fleet, "postgres").url,
  };
}

function caFile(fleet: Fleet): string {
  return join(fleet.layout.server, "ca", "ca.crt");
}

function ready(fleet: Fleet, url: string): Promise<string> {
  return new Promise((resolve) => {
    let ca: string;
    try {
      ca = readFileSync(caFile(fleet), "utf8");
    } catch {
      return resolve("no CA certificate yet");
    }
    const request = get(`${url}/readyz`, { ca, timeout: 2_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200 ? "" : `/readyz answers ${response.statusCode}`);
    });
    request.on("error", (error) => resolve(error.message));
    request.on("timeout", () => request.destroy(new Error("no answer from /readyz within 2 s")));
  });
}

function refuseTakenPort(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EADDRINUSE") return reject(error);
      reject(
        misused(
          `Port ${port} on 127.0.0.1 is taken by another program`,
          "npm start -- --port PORT   uses another port",
          "Or a fleet of another state directory runs: stop it with Ctrl-C in its terminal",
        ),
      );
    });
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve()));
  });
}

function lastLine(file: string): string {
  const lines = readFileSync(file, "utf8").trimEnd().split("\n");
  return lines.at(-1)?.slice(0, 300) ?? "";
}
