import { priorities } from "#engine";

/** Keys that explain a test to people. They change nothing. */
const forPeople: ReadonlySet<string> = new Set(["description", "desc", "comment", "note", "notes", "id"]);

/** A map whose unknown keys are noted. */
export function fields(
  place: string,
  item: unknown,
  known: readonly string[],
  problems: string[],
  notes: string[],
): Readonly<Record<string, unknown>> {
  const found = record(place, item, problems);
  for (const key of Object.keys(found)) {
    if (known.includes(key) || forPeople.has(key) || key.startsWith("x-")) continue;
    notes.push(`${place}: unknown key "${key}" is ignored: the known ones are ${known.join(", ")}`);
  }
  return found;
}

export function record(place: string, item: unknown, problems: string[]): Readonly<Record<string, unknown>> {
  if (typeof item === "object" && item !== null && !Array.isArray(item)) {
    return item as Readonly<Record<string, unknown>>;
  }
  problems.push(`${place}: give a map`);
  return {};
}

export function array(place: string, item: unknown, problems: string[]): readonly unknown[] {
  if (Array.isArray(item)) return item;
  problems.push(`${place}: give a list`);
  return [];
}

/** A list of texts; one text stands for a list of one. */
export function texts(place: string, item: unknown, problems: string[]): readonly string[] {
  const list = typeof item === "string" ? [item] : array(place, item, problems);
  return list.flatMap((entry, index) => {
    if (typeof entry === "string") return [entry];
    if (typeof entry === "number" || typeof entry === "bigint") return [String(entry)];
    problems.push(`${place}[${index}]: give a text`);
    return [];
  });
}

/** A priority in any case, `info` for informational; undefined for anything else. */
export function parsePriorityWord(value: unknown): string | undefined {
  if (typeof value !== "string") return undefined;
  const word = value.toLowerCase();
  return priorities.find((priority) => priority.toLowerCase() === (word === "info" ? "informational" : word));
}
