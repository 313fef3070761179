import { accept, type Outcome } from "../../domain/refusal.ts";
import type { BundleChange } from "../../loading/diff.ts";

/** What was compared before. A comparison is named by digests, whose contents never change, so it holds for ever. */
export interface ChangeMemory {
  /** In the order of what is asked. What is not known is compared in one go. */
  get<A extends { readonly key: string }>(
    asked: readonly A[],
    compare: (missing: readonly A[]) => Promise<Outcome<readonly BundleChange[]>>,
  ): Promise<Outcome<readonly BundleChange[]>>;
}

/** Remembers so many comparisons; the one that was asked for longest ago makes room. One that fails is not remembered. */
export function createChangeMemory(entriesMax: number): ChangeMemory {
  const held = new Map<string, Promise<Outcome<BundleChange>>>();
  function hold(key: string, change: Promise<Outcome<BundleChange>>): void {
    held.delete(key);
    held.set(key, change);
    const forget = () => {
      if (held.get(key) === change) held.delete(key);
    };
    change.then(({ ok }) => ok || forget(), forget);
    const [oldest] = held.keys();
    if (held.size > entriesMax && oldest !== undefined) held.delete(oldest);
  }
  return {
    get: async (asked, compare) => {
      const missing = asked.filter(({ key }) => !held.has(key));
      const coming = missing.length === 0 ? undefined : compare(missing);
      const changes = asked.map((one) => ({
        key: one.key,
        change: held.get(one.key) ?? nth(coming, missing.indexOf(one)),
      }));
      // All are found before any makes room for another.
      for (const { key, change } of changes) hold(key, change);
      const values: BundleChange[] = [];
      for (const outcome of await Promise.all(changes.map(({ change }) => change))) {
        if (!outcome.ok) return outcome;
        values.push(outcome.value);
      }
      return accept(values);
    },
  };
}

async function nth(
  coming: Promise<Outcome<readonly BundleChange[]>> | undefined,
  index: number,
): Promise<Outcome<BundleChange>> {
  const outcome = await coming;
  if (outcome?.ok === false) return outcome;
  const change = outcome?.value[index];
  if (change === undefined) throw new Error("A comparison that was asked for is missing");
  return accept(change);
}
