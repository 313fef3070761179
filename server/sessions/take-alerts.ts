import type { AlertFacts } from "../domain/alert-matcher.ts";
import { planIntake, type IntakeBounds } from "../domain/alert-intake.ts";
import { otherActors, otherRules } from "../domain/alert-group.ts";
import {
  alertGroupId,
  readIntake,
  storeAlerts,
  type AlertRow,
  type ClusterIntake,
  type PlacedAlert,
  type Taken,
} from "../store/alert-intake.ts";
import { listHoldingSilences, type Silence } from "../store/alert-silences.ts";
import { inTurns } from "../turns.ts";
import type { Db } from "../store/pool.ts";

/** Stores the alerts of one cluster, within its bounds and marked by the silences that hold. */
export type TakeAlerts = (clusterId: string, rows: readonly AlertRow[], now: Date) => Promise<Taken>;

/** `onTaken` hears how many were stored and how many were only counted. */
export function createAlertTaker(
  db: Db,
  bounds: IntakeBounds,
  onTaken: (taken: Taken) => void = () => {},
): TakeAlerts {
  const silencesAt = createSilenceBook(db);
  return async (clusterId, given, now) => {
    const rows = onceEach(given);
    if (rows.length === 0) return { stored: 0, notStored: 0 };
    const groupIdOf = (rule: string, actor: string) => alertGroupId(clusterId, rule, actor);
    const cluster = await readIntake(db, clusterId, groupIds(rows, groupIdOf), now);
    if (cluster === undefined) throw new Error(`Alerts came from cluster ${clusterId}, which is not there`);
    const silences = await silencesAt(cluster.silencesVersion, now);
    const places = planIntake(rows, cluster, bounds, groupIdOf);
    const placed: PlacedAlert[] = [];
    // Whatever a cluster has written for the patterns of silences, only its own batches wait for them.
    for await (const [i, row] of inTurns(rows.entries())) {
      const place = places[i];
      if (place === undefined) continue;
      const silence = silences.find(({ meets }) => meets(factsOf(row, cluster)));
      placed.push({ ...row, place, ...(silence === undefined ? {} : { silence }) });
    }
    const taken = await storeAlerts(db, placed, now);
    onTaken(taken);
    return taken;
  };
}

/** What came first counts. */
function onceEach(rows: readonly AlertRow[]): readonly AlertRow[] {
  const unique = new Map<string, AlertRow>();
  for (const row of rows) {
    const key = `${row.timeUs} ${row.id}`;
    if (!unique.has(key)) unique.set(key, row);
  }
  return [...unique.values()];
}

/** Every group that an alert of the batch may come to stand in. */
function groupIds(
  rows: readonly AlertRow[],
  groupIdOf: (rule: string, actor: string) => string,
): readonly string[] {
  const ids = rows.flatMap(({ rule, actor }) => [groupIdOf(rule, actor), groupIdOf(rule, otherActors)]);
  return [...new Set([...ids, groupIdOf(otherRules, otherActors)])];
}

function factsOf(row: AlertRow, { clusterName, labels }: ClusterIntake): AlertFacts {
  return { ...row, cluster: clusterName, labels };
}

/** The silences that hold, read again when one of them changed. */
function createSilenceBook(db: Db) {
  let known: { readonly version: bigint; readonly silences: readonly Silence[] } | undefined;
  return async (version: bigint, now: Date): Promise<readonly Silence[]> => {
    if (known?.version !== version) {
      known = { version, silences: version === 0n ? [] : await listHoldingSilences(db, now) };
    }
    return known.silences.filter(({ expiresAt }) => expiresAt > now);
  };
}
