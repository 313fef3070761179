/** Falco's priorities; the place is the number, so a lower number is more severe. */
export const priorities = [
  "Emergency",
  "Alert",
  "Critical",
  "Error",
  "Warning",
  "Notice",
  "Informational",
  "Debug",
] as const;

export type Priority = (typeof priorities)[number];

/** The number of a priority, in any case of letters; undefined for what Falco does not know. */
export function priorityNumber(word: string): number | undefined {
  const wanted = word.toLowerCase();
  // Falco itself takes both words for the same priority.
  const found = priorities.findIndex(
    (each) => each.toLowerCase() === (wanted === "info" ? "informational" : wanted),
  );
  return found === -1 ? undefined : found;
}

/** The word of a number that `priorityNumber` gave. */
export function priorityWord(number: number): string {
  return priorities[number] ?? `priority ${number}`;
}
