import { createReadStream, readdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { refused } from "../failure.ts";
import { untilIn } from "./fleet.ts";
import type { Fleet } from "./fleet.ts";

/** What went in and what came out of one agent. */
export interface Completeness {
  readonly written: number;
  readonly delivered: number;
  readonly duplicates: number;
  /** Lines that are no audit event, for example one cut in the middle; the agent keeps them aside. */
  readonly unreadable: number;
}

const drainMs = 60_000;

/**
 * Compares every line of every audit log with the agents' file output, by auditID, stage and time, because a client may
 * choose an auditID twice. Waits until the agents have caught up; a record that never arrives is an error that names it.
 */
export async function proveNothingLost(fleet: Fleet): Promise<Completeness> {
  let total: Completeness = { written: 0, delivered: 0, duplicates: 0, unreadable: 0 };
  for (const { name } of fleet.plan.clusters) {
    const place = fleet.layout.cluster(name);
    const dir = join(place.dir, "audit");
    const written = new Map<string, number>();
    let unreadable = 0;
    for (const file of readdirSync(dir)) unreadable += await countRecords(join(dir, file), written);
    const cluster = await untilIn(fleet, `cluster ${name} to deliver every record`, drainMs, async () => {
      const delivered = new Map<string, number>();
      for (const file of readdirSync(place.output)) await countRecords(join(place.output, file), delivered);
      const lost = [...written].filter(([key, count]) => (delivered.get(key) ?? 0) < count);
      if (lost.length > 0) {
        return { seen: `${lost.length} of ${written.size} records missing, for example ${lost[0]?.[0]}` };
      }
      return { done: count(written, delivered, unreadable) };
    });
    total = {
      written: total.written + cluster.written,
      delivered: total.delivered + cluster.delivered,
      duplicates: total.duplicates + cluster.duplicates,
      unreadable: total.unreadable + cluster.unreadable,
    };
  }
  if (total.written === 0) {
    throw refused("No audit event was written, so nothing is proved", `ls ${fleet.layout.logs}`);
  }
  return total;
}

function count(
  written: ReadonlyMap<string, number>,
  delivered: ReadonlyMap<string, number>,
  unreadable: number,
): Completeness {
  const sum = (counts: Iterable<number>) => [...counts].reduce((a, b) => a + b, 0);
  const more = [...delivered].map(([key, n]) => Math.max(0, n - (written.get(key) ?? n)));
  return {
    written: sum(written.values()),
    delivered: sum(delivered.values()),
    duplicates: sum(more),
    unreadable,
  };
}

/** Counts the records of a file by identity; returns how many lines are no record. */
async function countRecords(file: string, into: Map<string, number>): Promise<number> {
  let unreadable = 0;
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
    if (line === "") continue;
    const key = identityOf(line);
    if (key === undefined) unreadable += 1;
    else into.set(key, (into.get(key) ?? 0) + 1);
  }
  return unreadable;
}

function identityOf(line: string): string | undefined {
  try {
    const event = JSON.parse(line) as {
      auditID?: string;
      stage?: string;
      stageTimestamp?: string;
      requestURI?: string;
    };
    return `${event.auditID} ${event.stage} ${event.stageTimestamp} ${event.requestURI}`;
  } catch {
    return undefined;
  }
}
