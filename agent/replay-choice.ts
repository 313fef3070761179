import { listParkedFiles, readMarks, readParkedFile } from "./pipeline/parked.ts";
import type { ParkedEntry, ParkedRef } from "./pipeline/parked.ts";

/** Which dead letters are meant. What is not said does not narrow. */
export interface ReplayChoice {
  /** The alias of the output that refused them. */
  readonly alias?: string;
  /** A part of the reason. */
  readonly reason?: string;
  /** Set aside at this time or later, ms since the epoch. */
  readonly sinceMs?: number;
}

/** Dead letters that are alike. */
export interface ParkedGroup {
  /** Null for lines that were no records. */
  readonly output: string | null;
  /** Figures in it are left out: they differ from entry to entry. */
  readonly reason: string;
  readonly count: number;
  readonly oldest: string;
  readonly newest: string;
}

export interface ParkedSummary {
  /** Entries that were not sent again. */
  readonly parked: number;
  readonly replayed: number;
  /** Entries that cannot be read. */
  readonly unreadable: number;
  readonly groups: readonly ParkedGroup[];
}

const groupsMax = 200;

/** Goes through the dead letters, one file at a time, and hands on those that were not sent again and are meant. */
export function choose(
  dir: string,
  choice: ReplayChoice,
  onChosen: (ref: ParkedRef, entry: ParkedEntry) => void,
): ParkedSummary {
  const groups = new Map<string, ParkedGroup>();
  let [parked, replayed, unreadable] = [0, 0, 0];
  for (const file of listParkedFiles(dir)) {
    const marks = readMarks(dir, file);
    for (const { ref, entry } of readParkedFile(dir, file)) {
      if (marks.has(ref.offset)) replayed++;
      else if (entry === undefined) unreadable++;
      else {
        parked++;
        if (!isMeant(entry, choice)) continue;
        count(groups, entry);
        onChosen(ref, entry);
      }
    }
  }
  const sorted = [...groups.values()].sort((a, b) => b.count - a.count);
  return { parked, replayed, unreadable, groups: sorted };
}

function isMeant(entry: ParkedEntry, { alias, reason, sinceMs }: ReplayChoice): boolean {
  if (alias !== undefined && entry.output !== alias) return false;
  if (reason !== undefined && !entry.reason.includes(reason)) return false;
  return sinceMs === undefined || Date.parse(entry.at) >= sinceMs;
}

function count(groups: Map<string, ParkedGroup>, entry: ParkedEntry): void {
  const output = entry.output ?? null;
  const short = entry.reason.replaceAll(/\d+/g, "N").slice(0, 160);
  const isNew = !groups.has(JSON.stringify([output, short]));
  const reason = isNew && groups.size >= groupsMax ? "other reasons" : short;
  const key = JSON.stringify([output, reason]);
  const known = groups.get(key) ?? { output, reason, count: 0, oldest: entry.at, newest: entry.at };
  const oldest = entry.at < known.oldest ? entry.at : known.oldest;
  const newest = entry.at > known.newest ? entry.at : known.newest;
  groups.set(key, { ...known, count: known.count + 1, oldest, newest });
}
