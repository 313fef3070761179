import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { startPostgres } from "#postgres";

import { machineLoad } from "./fleet/processes.ts";
import { measureTakeovers, summarize } from "./takeover/measure.ts";

/**
 * `takeover [--rounds N] [--waves N] [--seed N]`: two server processes on a real Postgres with durable settings, and agents by
 * mTLS. In each round the server that reconciles is killed at a random moment of a rollout. `--seed S --rounds 1` plays
 * the round that was drawn with seed S again.
 */
export async function run(args: readonly string[]): Promise<object> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string", default: "50" },
      waves: { type: "string", default: "10" },
      seed: { type: "string", default: "1" },
    },
  });
  const [rounds, waves, seed] = [Number(values.rounds), Number(values.waves), Number(values.seed)];
  const dir = mkdtempSync(join(tmpdir(), "falconry-takeover-"));
  chmodSync(dir, 0o711); // As root, the database belongs to another account, which has to get there.
  const postgres = await startPostgres({ dir: join(dir, "postgres") });
  try {
    const played = await measureTakeovers(postgres.url, {
      rounds,
      waves,
      seed,
      // A long run that is cut short has said what it knew.
      say: (round) => process.stderr.write(`${JSON.stringify(round)}\n`),
    });
    return { input: { rounds, waves, seed, loadAtTheEnd: machineLoad() }, ...summarize(played) };
  } finally {
    await postgres.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}
