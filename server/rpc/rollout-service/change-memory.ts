import type { BundleChange } from "./diff.ts";

/** What was compared before. A comparison is named by digests, whose contents never change, so it holds for ever. */
export interface ChangeMemory {
  get(key: string, compare: () => Promise<BundleChange>): Promise<BundleChange>;
}

/** Remembers so many comparisons; the one that was asked for longest ago makes room. One that fails is not remembered. */
export function createChangeMemory(entriesMax: number): ChangeMemory {
  const held = new Map<string, Promise<BundleChange>>();
  return {
    get: (key, compare) => {
      const known = held.get(key);
      held.delete(key);
      const change = known ?? compare();
      held.set(key, change);
      change.catch(() => {
        if (held.get(key) === change) held.delete(key);
      });
      const [oldest] = held.keys();
      if (held.size > entriesMax && oldest !== undefined) held.delete(oldest);
      return change;
    },
  };
}
