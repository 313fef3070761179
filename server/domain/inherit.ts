import { layerOf, type ComponentName } from "./component.ts";
import type { Digest, RolloutId } from "./ids.ts";
import { matchesSelector, type Selector } from "./selector.ts";

/** A rollout as far as a cluster that joins is concerned. */
export interface Precedent {
  readonly id: RolloutId;
  readonly kind: ComponentName;
  readonly digest: Digest;
  readonly selector: Selector;
  readonly state: string;
  readonly createdAtMs: number;
  /** Whether the current targets metadata lists the bundle: agents refuse what it does not. */
  readonly isListed: boolean;
}

/** What a cluster that joins gets to run from the start. */
export interface Inheritance {
  readonly rules?: Precedent;
  readonly shipper?: Precedent;
  /** Of layers that teams own; none without rules to put them on. */
  readonly layers: readonly Precedent[];
}

/**
 * What a cluster with these labels would run had it been there all along: of each kind, the bundle of the newest rollout
 * that chose clusters like it. Rollouts that were stopped or undone set no precedent. One that still runs does only
 * when nothing older does: a newcomer does not jump the waves, but neither does it wait without rules.
 */
export function inherit(
  precedents: readonly Precedent[],
  labels: Readonly<Record<string, string>>,
): Inheritance {
  const newestFirst = precedents
    .filter((each) => each.isListed && matchesSelector(each.selector, labels))
    .toSorted((a, b) => b.createdAtMs - a.createdAtMs);
  const pick = (kind: Precedent["kind"]): Precedent | undefined => {
    const those = newestFirst.filter((each) => each.kind === kind);
    return those.find((each) => each.state === "succeeded") ?? those.find((each) => each.state === "running");
  };
  const rules = pick("rules");
  const shipper = pick("shipper");
  const owned = new Set(newestFirst.map(({ kind }) => kind).filter((kind) => layerOf(kind) !== undefined));
  return {
    ...(rules === undefined ? {} : { rules }),
    ...(shipper === undefined ? {} : { shipper }),
    layers: rules === undefined ? [] : [...owned].flatMap((kind) => pick(kind) ?? []),
  };
}
