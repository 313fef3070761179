import type { JsonTape } from "../json/tape.ts";
import { openAks } from "./aks.ts";
import { openEks } from "./eks.ts";
import { entriesOf, type EnvelopeKind, type Opened, Opening } from "./envelope.ts";
import { openGke } from "./gke.ts";

export type { EnvelopeKind, Opened } from "./envelope.ts";

/** Which envelopes are opened: any that is recognised, one kind alone, or none. */
export type EnvelopeChoice = EnvelopeKind | "auto" | "none";

const openers: readonly (readonly [
  EnvelopeKind,
  (tape: JsonTape, node: number, into: Opening) => boolean,
])[] = [
  ["eks", openEks],
  ["gke", openGke],
  ["aks", openAks],
];

/**
 * Opens the envelope in which a cloud delivers audit events, or an array of such envelopes of one kind. Undefined for
 * anything else. Never throws; the events are as large as the text they came in, and are not looked at yet.
 */
export function openEnvelope(tape: JsonTape, root: number, choice: EnvelopeChoice): Opened | undefined {
  if (choice === "none") return undefined;
  const entries = entriesOf(tape, root);
  const [first] = entries;
  if (first === undefined) return undefined;
  for (const [kind, open] of openers) {
    if (choice !== "auto" && choice !== kind) continue;
    const opening = new Opening();
    if (!open(tape, first, opening)) continue;
    for (const entry of entries.slice(1)) {
      if (!open(tape, entry, opening)) opening.problem("an entry is of another kind than the first");
    }
    return { kind, events: opening.events, problems: opening.problems };
  }
  return undefined;
}

/** Problems of an envelope as lines, each with its number. */
export function envelopeProblems({ kind, problems }: Opened): readonly string[] {
  return [...problems].map(
    ([name, count]) => `${kind} envelope: ${name}${count > 1 ? ` (${count} times)` : ""}`,
  );
}
