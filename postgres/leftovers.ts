import { readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { PostgresError } from "./errors.ts";
import type { Place } from "./place.ts";

const graceMs = 5_000;

/**
 * Removes what a killed server leaves; call it only when no postmaster runs on these files. Its other processes notice
 * that they are alone and end, but until they have, they may write: the pid file, with which Postgres finds them, stays
 * until they are gone.
 */
export async function clearLeftovers(place: Place): Promise<void> {
  await waitForOrphans(place.data, graceMs);
  for (const pid of orphans(place.data)) process.kill(pid, "SIGQUIT");
  await waitForOrphans(place.data, graceMs);
  const left = orphans(place.data);
  if (left.length > 0) {
    throw new PostgresError(
      `Processes of a killed Postgres still use ${place.data} and do not end: ` +
        `stop them (kill -9 ${left.join(" ")}), then start again`,
    );
  }
  rmSync(join(place.data, "postmaster.pid"), { force: true });
  for (const name of readdirSync(place.sockets)) rmSync(join(place.sockets, name), { force: true });
}

async function waitForOrphans(data: string, waitMs: number): Promise<void> {
  const end = performance.now() + waitMs;
  while (orphans(data).length > 0 && performance.now() < end) await delay(20);
}

/** Postgres processes that work in the folder of the cluster, as all of its processes do. */
function orphans(data: string): readonly number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid > 1 && isOf(pid, data));
}

function isOf(pid: number, data: string): boolean {
  try {
    return (
      readlinkSync(`/proc/${pid}/cwd`) === data &&
      readFileSync(`/proc/${pid}/cmdline`, "utf8").startsWith("postgres:")
    );
  } catch {
    return false; // Gone between two looks, or of another user: then it is not of our cluster.
  }
}
