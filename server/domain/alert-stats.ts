import { invalid, accept, type Outcome } from "./refusal.ts";

export const hourMs = 3_600_000;
/** A month of hours. */
export const bucketsMax = 750;

/** Equal parts of a range of time. */
export interface Buckets {
  /** Milliseconds since 1970, a multiple of `everyMs`. */
  readonly firstMs: number;
  readonly everyMs: number;
  readonly count: number;
}

/** The buckets that a range touches, from the epoch on, so that the same hour is the same bucket in every answer. */
export function planBuckets(sinceMs: number, untilMs: number, everyMs: number): Outcome<Buckets> {
  const isWhole = everyMs >= 60_000 && everyMs % 60_000 === 0;
  if (!isWhole) return invalid("every", "is not a number of whole minutes");
  if (!(sinceMs < untilMs)) return invalid("filter.since", "is not before the end");
  const firstMs = Math.floor(sinceMs / everyMs) * everyMs;
  const count = Math.ceil((untilMs - firstMs) / everyMs);
  if (count <= bucketsMax) return accept({ firstMs, everyMs, count });
  return invalid("every", `gives ${count} parts; at most ${bucketsMax} are allowed`);
}

/** Microseconds since 1970; absent means no end. */
export interface TimeRange {
  readonly fromUs?: bigint;
  readonly toUs?: bigint;
}

/** Which times are read from whole hours, and which from the alerts themselves. */
export interface CountPlan {
  /** From an hour on, up to an hour. */
  readonly hours?: TimeRange;
  readonly alerts: readonly TimeRange[];
}

/** A plan of which some hours are read from the alerts. */
export interface SplitPlan {
  readonly hours: readonly TimeRange[];
  readonly alerts: readonly TimeRange[];
}

const hourUs = 3_600_000_000n;

/** The whole hours that a range touches: every alert of the range lies in one of them. */
export function touchedHours({
  sinceUs,
  untilUs,
}: {
  readonly sinceUs?: bigint;
  readonly untilUs?: bigint;
}): TimeRange {
  return {
    ...(sinceUs === undefined ? {} : { fromUs: (sinceUs / hourUs) * hourUs }),
    ...(untilUs === undefined ? {} : { toUs: ((untilUs + hourUs - 1n) / hourUs) * hourUs }),
  };
}

/** Hours are counted already; only what is left of them at both ends is counted now. */
export function planCount(
  range: { readonly sinceUs?: bigint; readonly untilUs?: bigint },
  everyMs: number | undefined,
): CountPlan {
  const { sinceUs, untilUs } = range;
  const whole = {
    ...(sinceUs === undefined ? {} : { fromUs: sinceUs }),
    ...(untilUs === undefined ? {} : { toUs: untilUs }),
  };
  if (everyMs !== undefined && everyMs % hourMs !== 0) return { alerts: [whole] };
  const fromUs = sinceUs === undefined ? undefined : ((sinceUs + hourUs - 1n) / hourUs) * hourUs;
  const toUs = untilUs === undefined ? undefined : (untilUs / hourUs) * hourUs;
  if (fromUs !== undefined && toUs !== undefined && fromUs >= toUs) return { alerts: [whole] };
  const edges = [
    ...(sinceUs !== undefined && fromUs !== undefined && sinceUs < fromUs
      ? [{ fromUs: sinceUs, toUs: fromUs }]
      : []),
    ...(untilUs !== undefined && toUs !== undefined && toUs < untilUs
      ? [{ fromUs: toUs, toUs: untilUs }]
      : []),
  ];
  return {
    hours: { ...(fromUs === undefined ? {} : { fromUs }), ...(toUs === undefined ? {} : { toUs }) },
    alerts: edges,
  };
}

/** The plan, with these of its hours read from the alerts: hours that follow each other as one range. */
export function withoutHours({ hours, alerts }: CountPlan, uncounted: readonly bigint[]): SplitPlan {
  if (hours === undefined) return { hours: [], alerts };
  const ours = new Set(uncounted.filter((us) => us >= (hours.fromUs ?? us) && us < (hours.toUs ?? us + 1n)));
  const runs: { readonly fromUs: bigint; readonly toUs: bigint }[] = [];
  for (const fromUs of [...ours].toSorted((one, other) => (one < other ? -1 : 1))) {
    const last = runs.at(-1);
    const isNext = last?.toUs === fromUs;
    if (isNext) runs.pop();
    runs.push({ fromUs: isNext ? last.fromUs : fromUs, toUs: fromUs + hourUs });
  }
  const edges = [hours.fromUs, ...runs.flatMap(({ fromUs, toUs }) => [fromUs, toUs]), hours.toUs];
  const between = Array.from({ length: runs.length + 1 }, (_, i): TimeRange => {
    const [fromUs, toUs] = [edges[2 * i], edges[2 * i + 1]];
    return { ...(fromUs === undefined ? {} : { fromUs }), ...(toUs === undefined ? {} : { toUs }) };
  });
  const isSome = ({ fromUs, toUs }: TimeRange) => fromUs === undefined || toUs === undefined || fromUs < toUs;
  return { hours: between.filter(isSome), alerts: [...alerts, ...runs] };
}
