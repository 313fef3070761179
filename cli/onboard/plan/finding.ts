/** What came out of one check. `stop` ends the onboarding before anything was changed. */
export interface Finding {
  readonly check: string;
  readonly level: "ok" | "warning" | "stop";
  readonly detail: string;
  readonly next: readonly string[];
}

/** One finding, with what to do about it. */
export function finding(
  check: string,
  level: Finding["level"],
  detail: string,
  ...next: readonly string[]
): Finding {
  return { check, level, detail, next };
}

/** Some names, and how many more there are. */
export function listed(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(", ");
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown;
}
