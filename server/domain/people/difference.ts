/** What of a plan can differ when it is made anew. */
export interface PlanPicture {
  /** The bundle, as people name it. */
  readonly bundle: string;
  readonly digest: string;
  readonly waves: readonly {
    readonly name: string;
    readonly clusters: readonly { readonly id: string; readonly name: string; readonly previous?: string }[];
  }[];
}

const namedMax = 5;

/** How a new plan differs from the one that was stored, in words for whoever has to decide between them. */
export function planDifference(before: PlanPicture, after: PlanPicture): string {
  const [old, next] = [placesOf(before), placesOf(after)];
  const both = [...next].flatMap(([id, now]) => {
    const was = old.get(id);
    return was === undefined ? [] : [{ was, now }];
  });
  const named = (places: readonly Place[]) => listed(places.map(({ name }) => name));
  const joined = [...next].filter(([id]) => !old.has(id)).map(([, place]) => place);
  const left = [...old].filter(([id]) => !next.has(id)).map(([, place]) => place);
  const moved = both.filter(({ was, now }) => was.wave !== now.wave).map(({ now }) => now);
  const elsewhere = both.filter(({ was, now }) => was.previous !== now.previous).map(({ now }) => now);
  const parts = [
    before.digest === after.digest ? "" : `the bundle is ${after.bundle} now, not ${before.bundle}`,
    joined.length === 0 ? "" : `new in it: ${named(joined)}`,
    left.length === 0 ? "" : `no longer in it: ${named(left)}`,
    moved.length === 0 ? "" : `in another wave: ${named(moved)}`,
    elsewhere.length === 0 ? "" : `running something else by now: ${named(elsewhere)}`,
  ].filter((part) => part !== "");
  return parts.length === 0 ? "what it is made of is the same, but not how it goes" : parts.join("; ");
}

interface Place {
  readonly name: string;
  readonly wave: string;
  readonly previous: string | undefined;
}

function placesOf({ waves }: PlanPicture): ReadonlyMap<string, Place> {
  return new Map(
    waves.flatMap((wave) =>
      wave.clusters.map(({ id, name, previous }) => [id, { name, wave: wave.name, previous }] as const),
    ),
  );
}

function listed(names: readonly string[]): string {
  const more = names.length > namedMax ? ` and ${names.length - namedMax} more` : "";
  return `${names.slice(0, namedMax).join(", ")}${more}`;
}
