import { olderEngine } from "#trust";
import type { FalcosSeen } from "./seen.ts";

/** The oldest engine of them; undefined when one does not say which it has. */
export function oldestEngine({ seen }: FalcosSeen): string | undefined {
  const engines = [...seen.values()].map(({ engine }) => engine);
  const [first, ...others] = engines;
  return others.reduce(
    (oldest, each) => (oldest === undefined || each === undefined ? undefined : olderEngine(oldest, each)),
    first,
  );
}

/** The versions that run, for sentences. */
export function versionsOf({ seen }: FalcosSeen): string {
  const versions = [...new Set([...seen.values()].map(({ version }) => version))];
  return versions.toSorted().slice(0, 5).join(", ");
}
