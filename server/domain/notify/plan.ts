import type { AlertFacts } from "../alert-matcher.ts";
import { factsOf, type Entry, type Group } from "./group.ts";
import type { Timing } from "./route.ts";

/** What is to be done with a group now; whoever executes it decides nothing. */
export interface GroupPlan {
  /** What to tell now. */
  readonly send?: {
    readonly firing: readonly Entry[];
    readonly resolved: readonly Entry[];
    readonly leftOut: number;
    /** Something that was told and is not in this message stands all the same: the whole is not over. */
    readonly goesOn: boolean;
  };
  readonly after: Group;
  /** When to look again; undefined when there is nothing left to tell, and the group goes. */
  readonly dueMs: number | undefined;
}

/** Asked about an alert it may only answer by what all alerts of its rule, cluster and user have in common. */
type IsSilenced = (facts: AlertFacts, kind: Entry["kind"]) => boolean;

/**
 * When a group speaks: first some time after its first news, then for news no more often than its interval, and about
 * what goes on, or happened again, once per repeat time. What ends is told once, if it was told before and is still known. An alert
 * is forgotten under a silence, and when its repeat time has passed without another: that it was resolved is not told after that. A
 * state under a silence is told when the silence is over and it still lasts, also if it was told before.
 */
export function planGroup(group: Group, timing: Timing, nowMs: number, isSilenced: IsSilenced): GroupPlan {
  const { waitMs, intervalMs, repeatMs } = timing;
  const lasting = group.entries.filter((entry) => !(isOver(entry) && entry.toldMs === undefined));
  const isMuted = (entry: Entry): boolean => isSilenced(factsOf(entry), entry.kind);
  const held = lasting.filter((entry) => entry.kind === "state" && isMuted(entry)).map(asHeld);
  const heard = lasting.filter((entry) => !isMuted(entry) && !isSpent(entry, repeatMs, nowMs));

  const news = heard.filter((entry) => entry.toldMs === undefined || entry.wasHeld || isOver(entry));
  const again = heard.filter((entry) => !news.includes(entry) && isDueAgain(entry, repeatMs, nowMs));
  const seenMs = Math.min(...news.map((entry) => entry.endedMs ?? entry.seenMs));
  const newsDueMs = Math.max(seenMs + waitMs, group.sentMs === undefined ? 0 : group.sentMs + intervalMs);
  const speaks = again.length > 0 || (news.length > 0 && newsDueMs <= nowMs);
  const next = (entries: readonly Entry[], sentMs: number | undefined): number | undefined => {
    const times = [
      ...entries.map(({ toldMs }) => (toldMs === undefined ? newsDueMs : toldMs + repeatMs)),
      ...held.map(() => nowMs + intervalMs),
      ...(news.length > 0 && sentMs === group.sentMs ? [newsDueMs] : []),
    ];
    return times.length === 0 ? undefined : Math.min(...times);
  };
  if (!speaks) {
    const after = { ...group, entries: [...heard, ...held] };
    return { after, dueMs: next(heard, group.sentMs) };
  }

  const resolved = heard.filter(isOver);
  // What was told and is quiet is not told again with the rest; states that last are, so that a message is the whole picture.
  const firing = heard.filter((entry) => !isOver(entry) && (entry.kind === "state" || entry.count > 0));
  const quiet = heard.filter((entry) => !isOver(entry) && !firing.includes(entry));
  const told = firing.map((entry) => asTold(entry, nowMs));
  const after = { ...group, entries: [...told, ...quiet, ...held], leftOut: 0, sentMs: nowMs };
  const goesOn = quiet.length > 0 || held.some((entry) => entry.toldMs !== undefined && !isOver(entry));
  return {
    send: { firing, resolved, leftOut: group.leftOut, goesOn },
    after,
    dueMs: next([...told, ...quiet], nowMs),
  };
}

function asHeld(entry: Entry): Entry {
  return entry.toldMs === undefined ? entry : { ...entry, wasHeld: true };
}

function asTold({ wasHeld: _held, ...entry }: Entry, nowMs: number): Entry {
  return { ...entry, toldMs: nowMs, count: entry.kind === "state" ? 1 : 0 };
}

function isOver({ endedMs }: Entry): boolean {
  return endedMs !== undefined;
}

/** An alert that was told and did not happen again in time: when it happens after that, it is news. */
function isSpent({ kind, toldMs, count, endedMs }: Entry, repeatMs: number, nowMs: number): boolean {
  return (
    kind === "alert" &&
    endedMs === undefined &&
    toldMs !== undefined &&
    count === 0 &&
    nowMs - toldMs >= repeatMs
  );
}

function isDueAgain({ kind, toldMs, count }: Entry, repeatMs: number, nowMs: number): boolean {
  return toldMs !== undefined && nowMs - toldMs >= repeatMs && (kind === "state" || count > 0);
}
