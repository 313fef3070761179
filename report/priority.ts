/** Falco's priorities, the worst first. A list of its own, because the engine is much to load for eight words. */
export const priorities: readonly string[] = [
  "Emergency",
  "Alert",
  "Critical",
  "Error",
  "Warning",
  "Notice",
  "Informational",
  "Debug",
];

/** How severe a priority is, the worst is 0; one that is unknown comes last. */
export function severity(priority: string): number {
  const at = priorities.indexOf(priority);
  return at === -1 ? priorities.length : at;
}
