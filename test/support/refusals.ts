import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { Client } from "pg";
import { part } from "../../cli/local/fleet.ts";
import type { Fleet } from "../../cli/local/fleet.ts";
import { TokenService } from "#proto/fleet/v1/token";
import { programArgs } from "./built-programs.ts";
import { runCli } from "./run-cli.ts";
import type { CliResult } from "./run-cli.ts";
import { bareEnv } from "./bare-env.ts";

/** The agent's main file. */

/** What a command line has to say: its exit code, its sentence, and what to try next. */
export type Case = readonly [argv: readonly string[], code: number, says: RegExp, next: RegExp];

/** Runs command lines that have to be refused well. */
export async function refuses(cases: readonly Case[]): Promise<void> {
  for (const [argv, code, says, next] of cases) {
    wellSaid(await runCli(argv), argv.join(" "), code, says, next);
  }
}

/** Code, sentence and next step are there, and neither a stack nor a parser's words. */
export function wellSaid(result: CliResult, what: string, code: number, says: RegExp, next: RegExp): void {
  const all = `$ fleetctl ${what}\n${result.out}${result.talk}`;
  assert.equal(result.code, code, all);
  assert.match(all, says);
  assert.match(all, next);
  assert.doesNotMatch(all, /^\s+at .+:\d+:\d+\)?$/m, "there is never a stack trace");
  assert.doesNotMatch(all, /This is a bug|Parsing --|See more help/);
}

/** How an agent ended and all that it said. */
export interface Ended {
  readonly code: number | null;
  readonly says: string;
}

/** Runs an agent until it ends, or until it says what is waited for. */
export async function agent(
  stateDir: string,
  env: Readonly<Record<string, string>>,
  enough?: RegExp,
): Promise<Ended> {
  const child = spawn(process.execPath, [...programArgs("agent")], {
    env: { ...bareEnv(), FALCONRY_STATE_DIR: stateDir, FALCONRY_NODE: "n1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let says = "";
  const hear = (chunk: Buffer) => {
    says += chunk.toString();
    if (enough?.test(says) === true) child.kill("SIGTERM");
  };
  child.stdout.on("data", hear);
  child.stderr.on("data", hear);
  const timer = setTimeout(() => child.kill("SIGKILL"), 30_000);
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  clearTimeout(timer);
  return { code, says };
}

/** A join string for one new cluster of region eu. */
export async function joinString(fleet: Fleet, clusterName = ""): Promise<string> {
  const labels = { region: "eu", team: "payments", environment: "test" };
  const tokens = part(fleet, "connection").client(TokenService);
  return (await tokens.createJoinToken({ labels, clusterName, ttlSeconds: 600, uses: 1 })).joinString;
}

/** Changes a row behind the server's back, for what would otherwise take an hour. */
export async function query(fleet: Fleet, sql: string, id: string): Promise<void> {
  assert.equal((await rows(fleet, `${sql} returning id`, [id])).length, 1);
}

/** Asks the database itself. */
export async function rows(
  fleet: Fleet,
  sql: string,
  values: readonly string[],
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const database = new Client({ connectionString: part(fleet, "postgres").url });
  await database.connect();
  try {
    return (await database.query<Record<string, unknown>>(sql, [...values])).rows;
  } finally {
    await database.end();
  }
}
