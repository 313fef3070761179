import type { LogExpr, Matcher, MetricExpr } from "../../domain/logql/ast.ts";
import { keyOf, streamLabels, type Labels } from "../../domain/logql/labels.ts";
import type { Span } from "./params.ts";
import { countLogs } from "../../store/alert-logs.ts";
import { bad } from "./answer.ts";
import { choose } from "./choose.ts";
import { countBy } from "./counts.ts";
import { ceilUs } from "./lines.ts";
import type { Reading } from "./reading.ts";

/** A stream, and what is in it. */
export interface StreamSize {
  readonly labels: Labels;
  readonly entries: number;
  readonly bytes: number;
}

const streamsMax = 20_000;

/** What of streams is asked for: the fewer labels, the less is read. */
export interface StreamsAsked {
  readonly matchers: readonly Matcher[];
  readonly span: Span;
  /** The only labels that are looked at; undefined for all. */
  readonly names?: readonly string[];
  /** Bytes are 0 without it. */
  readonly withBytes?: boolean;
}

/** The streams that have lines in a span of time, as far as the labels that are looked at tell them apart. */
export async function listStreams(
  reading: Reading,
  { matchers, span, names, withBytes = false }: StreamsAsked,
): Promise<readonly StreamSize[]> {
  reading.check();
  const chosen = await choose(reading, matchers, []);
  if (chosen === undefined) return [];
  const [fromUs, toUs] = [ceilUs(span.startNs), ceilUs(span.endNs)];
  const one = { fromUs: fromUs - 1n, widthUs: toUs - fromUs + 1n };
  const by = { ...countBy(names), bytes: withBytes };
  const counts = await countLogs(reading.tx, { ...chosen.choice, fromUs, toUs }, one, by, streamsMax + 1);
  if (counts.length > streamsMax) {
    throw bad(`more than ${streamsMax} streams: choose less time or fewer streams`);
  }
  return counts.flatMap(({ clusterId, rule, priority, count, bytes }) => {
    const cluster = by.cluster ? chosen.clusters.get(clusterId) : {};
    if (cluster === undefined) return [];
    return [{ labels: streamLabels({ rule, priority, cluster }), entries: count, bytes }];
  });
}

/** The streams that one of some selectors chooses, each once. */
export async function listSeries(
  reading: Reading,
  selectors: readonly (readonly Matcher[])[],
  span: Span,
): Promise<readonly Labels[]> {
  const found = new Map<string, Labels>();
  for (const matchers of selectors) {
    for (const { labels } of await listStreams(reading, { matchers, span })) found.set(keyOf(labels), labels);
  }
  return [...found.values()];
}

/** Sorted, each once; without the empty one. */
export function sortedSet(values: Iterable<string>): readonly string[] {
  return [...new Set(values)].filter((value) => value !== "").toSorted();
}

/** What a volume is as a query: the bytes of the chosen streams by some of their labels, in stretches of time of one length. */
export function volumeQuery(log: LogExpr, labels: readonly string[], rangeMs: number): MetricExpr {
  return {
    kind: "aggregate",
    op: "sum",
    grouping: { isWithout: false, labels },
    k: 0,
    of: { kind: "range", op: "bytes_over_time", log, rangeMs, offsetMs: 0 },
  };
}
