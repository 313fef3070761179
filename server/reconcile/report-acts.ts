import { readActs, readBounds, type ReadActs, type ReadBounds, type ReportedAlert } from "#report";

import { priorityWord } from "../domain/priority.ts";
import { listAlerts, type AlertPosition } from "../store/alert-pages.ts";
import type { AlertFilter, StoredAlert } from "../store/alerts.ts";
import { countNotStored } from "../store/alerts-not-stored.ts";
import type { Db } from "../store/pool.ts";

const pages = { size: 1_000, max: 500 };

/** What a report tells of the newest alerts of a filter. */
export async function readStoredActs(
  db: Db,
  filter: AlertFilter,
  bounds: ReadBounds = { ...readBounds, pagesMax: pages.max },
  size: number = pages.size,
): Promise<ReadActs> {
  return readActs<AlertPosition>(async (before) => {
    const { alerts, next } = await listAlerts(db, filter, size, before);
    const notStored = before === undefined ? Number(await countNotStored(db, filter)) : 0;
    return { alerts: alerts.map(toReported), next, notStored };
  }, bounds);
}

function toReported({ clusterName, priority, timeUs, ...alert }: StoredAlert): ReportedAlert {
  const { rule, auditId, id, output, body } = alert;
  const timeMs = Number(timeUs / 1_000n);
  return { cluster: clusterName, priority: priorityWord(priority), timeMs, rule, auditId, id, output, body };
}
