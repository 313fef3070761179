import type { AlertGroupState } from "../alert-group.ts";
import { subjectOf, valuesOf, type AlertFacts } from "../alert-matcher.ts";

/** Something that happened, or that was found to be so. */
export interface Occurrence {
  readonly facts: AlertFacts;
  readonly atMs: number;
  /** An alert is over when it has happened; a state lasts until it is found no more. */
  readonly kind: "alert" | "state";
  /** Tells states of one rule and cluster apart: an agent, a rollout, a role. Empty for alerts. */
  readonly subject: string;
  /** Of alerts. */
  readonly alert?: AlertPlace;
}

/** Where an alert is found again. */
export interface AlertPlace {
  /** Of all alerts of its rule, cluster and user. */
  readonly groupId: string;
  readonly id: string;
  /** Empty when it was raised by no audit event. */
  readonly auditId: string;
}

/** What a group holds of the same thing: all that is needed to tell it. */
export interface Entry {
  readonly key: string;
  readonly kind: Occurrence["kind"];
  readonly rule: string;
  /** Falco's number. */
  readonly priority: number;
  readonly source: string;
  readonly cluster: string;
  readonly actor: string;
  readonly subject: string;
  readonly labels: Readonly<Record<string, string>>;
  /** What the newest one said. */
  readonly summary: string;
  /** The newest one, of alerts. */
  readonly alert?: AlertPlace;
  /** How often it happened since it was told last. */
  readonly count: number;
  readonly firstMs: number;
  readonly lastMs: number;
  /** When it came into the group. */
  readonly seenMs: number;
  readonly toldMs?: number;
  /** When a state was found no more, or the alert's group was resolved. */
  readonly endedMs?: number;
  /** A silence has covered it since it was told. */
  readonly wasHeld?: true;
}

export type GroupLabels = Readonly<Record<string, string>>;

/** What one message of a route would tell. */
export interface Group {
  readonly labels: GroupLabels;
  readonly entries: readonly Entry[];
  /** How many occurrences found no place since the last message. */
  readonly leftOut: number;
  readonly sentMs?: number;
}

/** Different things that one group tells apart; more are counted. */
export const entriesMax = 50;
const summaryCharsMax = 500;
const valueCharsMax = 200;

/** A character of two units that the cut takes apart is replaced: Postgres keeps no half of one. */
const cut = (text: string, max: number): string =>
  text.length > max ? `${text.slice(0, max - 1).toWellFormed()}…` : text;

/** By which a group is found again, and the labels that it is shown with. */
export function groupOf(
  groupBy: readonly string[],
  facts: AlertFacts,
): { readonly key: string; readonly labels: GroupLabels } {
  const pairs = groupBy.map((name) => {
    const values = valuesOf(subjectOf(name), facts);
    return [name, cut(values.join(","), valueCharsMax)] as const;
  });
  return { key: JSON.stringify(pairs.map(([, value]) => value)), labels: Object.fromEntries(pairs) };
}

/** By which a thing is found again in its group. */
export function entryKey({ kind, subject, facts: { rule, cluster, actor } }: Occurrence): string {
  return JSON.stringify([kind, rule, cluster, actor, subject].map((part) => cut(part, valueCharsMax)));
}

/** The group with one more occurrence in it. */
export function withOccurrence(group: Group, occurrence: Occurrence, nowMs: number): Group {
  const key = entryKey(occurrence);
  const known = group.entries.find((entry) => entry.key === key);
  const isFull = known === undefined && group.entries.length >= entriesMax;
  const gone = isFull ? leastMissed(group.entries) : known;
  if (isFull && gone === undefined) {
    // States that are left out are counted when the look is over: they are found again at each one.
    return occurrence.kind === "state" ? group : { ...group, leftOut: group.leftOut + 1 };
  }
  // What was resolved and happens again is news.
  const isNew = known === undefined || (known.kind === "alert" && known.endedMs !== undefined);
  const entry = isNew ? begun(key, occurrence, nowMs) : again(known, occurrence);
  const entries = [...group.entries.filter((each) => each !== gone), entry];
  return { ...group, entries, leftOut: group.leftOut + (isFull ? (gone?.count ?? 0) : 0) };
}

/**
 * What makes room in a full group: an alert that was told, first one that was quiet since. What was never told stays: otherwise who
 * fills a group once keeps new things out of it until its repeat time.
 */
function leastMissed(entries: readonly Entry[]): Entry | undefined {
  const told = entries.filter(({ kind, toldMs }) => kind === "alert" && toldMs !== undefined);
  return told.find(({ count }) => count === 0) ?? told[0];
}

function begun(key: string, { facts, atMs, kind, subject, alert }: Occurrence, nowMs: number): Entry {
  const { rule, priority, source, cluster, actor, labels, output } = facts;
  const summary = cut(output, summaryCharsMax);
  const named = {
    rule: cut(rule, valueCharsMax),
    actor: cut(actor, valueCharsMax),
    subject,
    source,
    cluster,
  };
  return {
    key,
    kind,
    ...named,
    priority,
    labels,
    summary,
    ...found(alert),
    count: 1,
    firstMs: atMs,
    lastMs: atMs,
    seenMs: nowMs,
  };
}

function found(alert: AlertPlace | undefined): Pick<Entry, "alert"> {
  if (alert === undefined) return {};
  return { alert: { ...alert, auditId: cut(alert.auditId, valueCharsMax) } };
}

/** The same once more. A state that comes back before its end was told never ended. */
function again({ endedMs: _ended, ...entry }: Entry, { facts, atMs, kind, alert }: Occurrence): Entry {
  return {
    ...entry,
    priority: Math.min(entry.priority, facts.priority),
    summary: cut(facts.output, summaryCharsMax),
    ...found(alert),
    count: kind === "state" ? 1 : entry.count + 1,
    firstMs: Math.min(entry.firstMs, atMs),
    lastMs: Math.max(entry.lastMs, atMs),
  };
}

/**
 * The group after a look at the fleet that found only these states: the others ended, but for those of rules that were not looked for,
 * which go on. Those without a place are counted once for a message.
 */
export function withStates(
  group: Group,
  found: ReadonlySet<string>,
  nowMs: number,
  notLookedFor: ReadonlySet<string> = new Set(),
): Group {
  const isEnded = ({ kind, endedMs, key, rule }: Entry) =>
    kind === "state" && endedMs === undefined && !found.has(key) && !notLookedFor.has(rule);
  const entries = group.entries.map((entry) => (isEnded(entry) ? { ...entry, endedMs: nowMs } : entry));
  const held = new Set(entries.map(({ key }) => key));
  const without = [...found].filter((key) => !held.has(key)).length;
  return { ...group, entries, leftOut: Math.max(group.leftOut, without) };
}

/** What people said about an alert's group, and when. */
export interface Standing {
  readonly state: AlertGroupState;
  readonly sinceMs: number;
}

/** The group after people were asked what they said about its alerts. */
export function withStandings(group: Group, standings: ReadonlyMap<string, Standing>, nowMs: number): Group {
  return {
    ...group,
    entries: group.entries.map((entry) => {
      const standing = standings.get(entry.alert?.groupId ?? "");
      return standing === undefined ? entry : withStanding(entry, standing, nowMs);
    }),
  };
}

function withStanding({ endedMs, toldMs, ...rest }: Entry, standing: Standing, nowMs: number): Entry {
  const { state, sinceMs } = standing;
  const told = toldMs === undefined ? {} : { toldMs };
  switch (state) {
    case "resolved":
      return { ...rest, ...told, endedMs: endedMs ?? sinceMs };
    case "acknowledged": {
      // Somebody looks after it: what they saw counts as told, and what goes on is not repeated. It is news again after a quiet time.
      const wasSeen = toldMs !== undefined || rest.seenMs <= sinceMs;
      if (!wasSeen) return rest;
      return { ...rest, toldMs: rest.count > 0 ? nowMs : (toldMs ?? sinceMs), count: 0 };
    }
    case "open": {
      // It happened after it was told, and somebody or something opened it again since.
      const isReopened = toldMs !== undefined && sinceMs > toldMs && rest.count > 0;
      return isReopened ? rest : { ...rest, ...told };
    }
  }
}

/** What silences are asked about. Of alerts an entry keeps no tags and fields, and not all of the output. */
export function factsOf(entry: Entry): AlertFacts {
  const { rule, priority, source, cluster, actor, labels, summary: output } = entry;
  return { rule, priority, source, cluster, actor, labels, output, tags: [], fields: {} };
}
