import type { PushedEntry, PushedStream } from "./loki-push.ts";

/** What Loki has against some entries of a push, and how to know them. */
interface Complaint {
  readonly reason: string;
  /** The labels as Loki writes them, when it is about one stream. */
  readonly stream: string | undefined;
  readonly isMeant: (entry: PushedEntry) => boolean;
}

/** An entry that Loki will never take. */
export interface LokiRefusal {
  readonly record: number;
  readonly why: string;
}

/**
 * Which entries of a refused push are to blame, as far as the answer says: those too old, too new, out of order or too long.
 * Empty when it says nothing of the kind. Loki keeps the others, and drops them when they come again.
 */
export function readLokiRefusal(text: string, streams: readonly PushedStream[]): readonly LokiRefusal[] {
  const complaints = readComplaints(text);
  return streams.flatMap(({ labels, entries }) => {
    const name = `{${labels.map(([label, value]) => `${label}=${JSON.stringify(value)}`).join(", ")}}`;
    const mine = complaints.filter(
      ({ stream }) => stream === undefined || stream === name || streams.length === 1,
    );
    return entries.flatMap((entry) => {
      const found = mine.find(({ isMeant }) => isMeant(entry));
      return found === undefined ? [] : [{ record: entry.record, why: found.reason }];
    });
  });
}

function readComplaints(text: string): readonly Complaint[] {
  return [...ignored(text), ...tooOld(text), ...tooNew(text), ...tooLong(text)];
}

/** "entry with timestamp T ignored, reason: 'R'", line by line, and at the end the stream, or in each line. */
function ignored(text: string): readonly Complaint[] {
  const complaints: Complaint[] = [];
  const stream = /for stream: (\{.*\})/.exec(text)?.[1];
  for (const [, time = "", reason = ""] of text.matchAll(
    /entry with timestamp (.+?) ignored, reason: '([^']*)'/g,
  )) {
    const wanted = nanosOf(time);
    if (wanted !== undefined) complaints.push({ reason, stream, isMeant: (entry) => entry.time === wanted });
    // It lists ten at most; the oldest time that it takes tells the others.
    const oldest = nanosOf(/oldest acceptable timestamp is: ([^\s',]+)/.exec(reason)?.[1] ?? "");
    if (oldest !== undefined) complaints.push({ reason, stream, isMeant: ({ time }) => time < oldest });
  }
  return complaints;
}

/** Against the clock of Loki, so that it is about all streams. */
function tooOld(text: string): readonly Complaint[] {
  const found = /has timestamp too old: (\S+), oldest acceptable timestamp is: ([^\s',]+)/.exec(text);
  const oldest = nanosOf(found?.[2] ?? "");
  if (oldest === undefined) return [];
  return [{ reason: "timestamp too old", stream: undefined, isMeant: ({ time }) => time < oldest }];
}

function tooNew(text: string): readonly Complaint[] {
  const newest = nanosOf(/has timestamp too new: ([^\s',]+)/.exec(text)?.[1] ?? "");
  if (newest === undefined) return [];
  return [{ reason: "timestamp too new", stream: undefined, isMeant: ({ time }) => time >= newest }];
}

function tooLong(text: string): readonly Complaint[] {
  const limit = Number(/Max entry size '(\d+)' bytes exceeded/i.exec(text)?.[1] ?? Number.NaN);
  if (Number.isNaN(limit)) return [];
  const reason = `the line is longer than the ${limit} bytes that Loki takes`;
  return [{ reason, stream: undefined, isMeant: ({ lineBytes }) => lineBytes > limit }];
}

/** A time as Go prints it, "2026-11-22 10:31:21.5 +0000 UTC", or RFC 3339, as 19 digits. */
function nanosOf(text: string): string | undefined {
  const form = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?\s?(Z|[+-]\d\d:?\d\d)(?: \S+)?$/;
  const [, day, clock, fraction = "", zone = "Z"] = form.exec(text) ?? [];
  if (day === undefined || clock === undefined) return undefined;
  const offset = zone === "Z" ? "Z" : zone.replace(/^(...)(\d\d)$/, "$1:$2");
  const ms = Date.parse(`${day}T${clock}${offset}`);
  return Number.isNaN(ms) ? undefined : `${ms / 1000}${fraction.padEnd(9, "0")}`.padStart(19, "0");
}
