import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { AlertService } from "#proto/fleet/v1/alert";
import type { Alert } from "#proto/fleet/v1/alert";
import { readLedger } from "../generator/ledger.ts";
import type { Planted } from "../generator/stream.ts";
import { part, untilIn } from "./fleet.ts";
import type { Fleet } from "./fleet.ts";

const seenMs = 60_000;

/** A threat that the generator planted, and where. */
interface PlantedIn extends Planted {
  readonly cluster: string;
}

/** What was planted and what was seen. */
export interface ThreatCount {
  readonly planted: number;
  readonly seen: number;
  readonly byRule: Readonly<Record<string, number>>;
}

/** Waits until every threat that was planted since then has raised the alert that it should. */
export async function seeThreats(fleet: Fleet, since: Date): Promise<ThreatCount> {
  const planted = readLedgers(fleet, since);
  return untilIn(fleet, `the alerts of all ${planted.length} planted threats`, seenMs, async () => {
    const alerts = await readAlerts(fleet, since);
    const keys = new Set(alerts.map((a) => `${a.clusterName} ${a.auditId} ${a.rule}`));
    const missing = planted.filter((p) => !keys.has(`${p.cluster} ${p.auditId} ${p.rule}`));
    if (missing.length > 0) {
      return {
        seen: `${planted.length - missing.length} seen, missing for example ${JSON.stringify(missing[0])}`,
      };
    }
    return {
      done: { planted: planted.length, seen: planted.length, byRule: countBy(alerts.map((a) => a.rule)) },
    };
  });
}

/** All alerts of the local clusters since a time, in pages. */
export async function readAlerts(fleet: Fleet, since: Date): Promise<readonly Alert[]> {
  const client = part(fleet, "connection").client(AlertService);
  const alerts: Alert[] = [];
  let pageToken = "";
  do {
    const page = await client.listAlerts({
      filter: { since: timestampFromDate(since) },
      pageSize: 1000,
      pageToken,
    });
    alerts.push(...page.alerts);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return alerts;
}

export function countBy(values: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}

function readLedgers(fleet: Fleet, since: Date): readonly PlantedIn[] {
  return fleet.plan.clusters.flatMap(({ name }) =>
    readLedger(fleet.layout.cluster(name).ledger, since).planted.map((planted) => ({
      ...planted,
      cluster: name,
    })),
  );
}
