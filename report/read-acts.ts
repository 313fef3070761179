import { createActs, type Act, type ReportedAlert } from "./act.ts";

/** Alerts, newest first. */
export interface AlertsPage<Place> {
  readonly alerts: readonly ReportedAlert[];
  /** Where the next page begins; undefined when none follows. */
  readonly next: Place | undefined;
  /** At most so many alerts were counted and not stored; 0 on every page but the first, which alone asks. */
  readonly notStored: number;
}

/** What one report reads at most. */
export interface ReadBounds {
  /** The newest ones. */
  readonly alertsMax: number;
  /** Of the alerts' texts: an alert may have 128 KiB of them, and some of it is held until the report is written. */
  readonly charsMax: number;
  /** One may be short of alerts, and not be the last. */
  readonly pagesMax: number;
}

/**
 * As many alerts and characters at the command line, in the console and on a schedule, so that all tell the same. Pages differ: the server
 * reads larger ones, and as many fewer.
 */
export const readBounds: ReadBounds = {
  alertsMax: 50_000,
  charsMax: 64 * 1024 * 1024,
  pagesMax: 1_000,
};

/** What was read for a report. */
export interface ReadActs {
  /** Oldest first. */
  readonly acts: readonly Act[];
  readonly alerts: number;
  /** Whether older alerts were left out, because there are more than are read. */
  readonly isCut: boolean;
  /** At most so many more were counted and not stored. */
  readonly notStored: number;
}

/** Reads the acts of the newest alerts. No page is held: of all that alerts say, acts keep what a report tells. */
export async function readActs<Place>(
  get: (place: Place | undefined) => Promise<AlertsPage<Place>>,
  { alertsMax, charsMax, pagesMax }: ReadBounds,
  onProgress?: (read: number) => void,
): Promise<ReadActs> {
  const acts = createActs();
  let [pages, alerts, chars, notStored] = [0, 0, 0, 0];
  let place: Place | undefined;
  do {
    const page = await get(place);
    acts.add(page.alerts);
    pages += 1;
    alerts += page.alerts.length;
    chars += page.alerts.reduce((sum, { output, body }) => sum + output.length + body.length, 0);
    notStored += page.notStored;
    onProgress?.(alerts);
    place = page.next;
  } while (place !== undefined && alerts < alertsMax && chars < charsMax && pages < pagesMax);
  return { acts: acts.list(), alerts, isCut: place !== undefined, notStored };
}
