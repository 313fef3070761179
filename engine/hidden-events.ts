import { type EnvelopeChoice, openEnvelope } from "./envelopes/open-envelope.ts";
import { findEvents } from "./ingest.ts";
import { JsonBytes } from "./json/bytes.ts";
import type { JsonDocument } from "./json/document.ts";
import { JsonProblem, JsonTape } from "./json/tape.ts";

/** Where an event stands that may be shown. */
export interface ShownEvent {
  readonly tape: JsonDocument;
  readonly root: number;
}

const nothing = "{}";

/**
 * The event of a line some of whose values are hidden: number `at` of the `count` that the line itself holds. Where the two
 * do not go in pairs, an event without anything is shown rather than another one.
 */
export function shownEvent(line: string, at: number, count: number, eventBytesMax: number): ShownEvent {
  const tape = new JsonTape();
  const root = parsed(tape, line);
  if (root === undefined) return { tape, root: tape.parse(nothing) };
  const { events } = findEvents(tape, root, eventBytesMax);
  const found = events.length === count ? events[at] : undefined;
  return { tape, root: found?.root ?? tape.parse(nothing) };
}

/** The same for a plain event that lies in bytes. */
export function shownBytes(bytes: Uint8Array, start: number, end: number): ShownEvent {
  const tape = new JsonBytes();
  if (tape.scan(bytes, start, end)) return { tape, root: 0 };
  const other = new JsonTape();
  return { tape: other, root: other.parse(nothing) };
}

/** The lines in the envelope of a line some of whose values are hidden, in the order of those of the line itself. */
export function shownLines(line: string, envelope: EnvelopeChoice, count: number): readonly string[] {
  const tape = new JsonTape();
  const root = parsed(tape, line);
  const lines = root === undefined ? [] : (openEnvelope(tape, root, envelope)?.events ?? []);
  return lines.length === count ? lines : Array.from({ length: count }, () => nothing);
}

function parsed(tape: JsonTape, line: string): number | undefined {
  try {
    return tape.parse(line);
  } catch (error) {
    if (error instanceof JsonProblem) return undefined;
    throw error;
  }
}
