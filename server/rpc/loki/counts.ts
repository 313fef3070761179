import type { AggregateExpr, MetricExpr, RangeExpr } from "../../domain/logql/ast.ts";
import { evaluate, type Series } from "../../domain/logql/evaluate.ts";
import { groupLabels, keyOf, ownLabels, streamLabels, type Labels } from "../../domain/logql/labels.ts";
import {
  compilePipeline,
  isDecidedByStream,
  namesInStages,
  streamStages,
} from "../../domain/logql/pipeline.ts";
import { checked } from "../../domain/logql/problem.ts";
import { gridOf, slide, type Grid, type Steps } from "../../domain/logql/steps.ts";
import { countLogs, type CountBy, type LogChoice } from "../../store/alert-logs.ts";
import { bad, orBad } from "./answer.ts";
import { choose, type Chosen } from "./choose.ts";
import { scan } from "./lines.ts";
import { inTurns } from "../../turns.ts";
import type { Reading } from "./reading.ts";

/** What an expression is worth at each step. */
export async function measure(
  reading: Reading,
  expr: MetricExpr,
  steps: Steps,
): Promise<readonly Series[] | number> {
  const ranges = new Map<RangeExpr, readonly Series[]>();
  for (const { range, wanted } of rangesOf(expr, undefined)) {
    ranges.set(range, await countRange(reading, range, wanted, steps));
  }
  const value = orBad(checked("", () => evaluate(expr, (range) => ranges.get(range) ?? [], steps.count)));
  if (typeof value !== "number" && value.length > reading.limits.seriesMax) {
    throw bad(`maximum number of series (${reading.limits.seriesMax}) reached for a single query`);
  }
  return value;
}

interface Wanted {
  readonly range: RangeExpr;
  /** The only labels that what stands around the range looks at; undefined for all. */
  readonly wanted: readonly string[] | undefined;
}

/** A sum by some labels is the same when the counts are put together by these labels before. */
function rangesOf(expr: MetricExpr, around: AggregateExpr | undefined): readonly Wanted[] {
  switch (expr.kind) {
    case "range": {
      const isSum = around?.op === "sum" && !around.grouping.isWithout;
      return [{ range: expr, wanted: isSum ? around.grouping.labels : undefined }];
    }
    case "aggregate":
      return rangesOf(expr.of, expr);
    case "binary":
      return [...rangesOf(expr.left, undefined), ...rangesOf(expr.right, undefined)];
    case "number":
    case "vector":
      return [];
  }
}

interface Tally {
  readonly labels: Labels;
  readonly buckets: Map<number, number>;
}

async function countRange(
  reading: Reading,
  range: RangeExpr,
  wanted: readonly string[] | undefined,
  steps: Steps,
): Promise<readonly Series[]> {
  const { matchers, stages } = range.log;
  reading.check();
  const chosen = await choose(reading, matchers, stages);
  if (chosen === undefined) return [];
  const grid = gridOf(steps, range.rangeMs, range.offsetMs);
  const choice = {
    ...chosen.choice,
    fromUs: grid.fromUs + 1n,
    toUs: grid.fromUs + BigInt(grid.count) * grid.widthUs + 1n,
  };
  const tallies = new Tallies(wanted, reading.limits.countsMax);
  if (isDecidedByStream(stages, wanted)) {
    await countInStore(reading, range, chosen, { choice, grid, wanted }, tallies);
  } else await countHere(reading, range, chosen, choice, grid, tallies);
  // A few alerts may be many series, each with a value for every step.
  reading.stats.values += tallies.all().length * steps.count;
  if (reading.stats.values > reading.limits.valuesMax) throw tooManyCounts(reading.limits.valuesMax);
  const perSecond = range.op === "rate" || range.op === "bytes_rate" ? range.rangeMs / 1000 : 1;
  return tallies.all().map(({ labels, buckets }) => ({
    labels,
    values: slide(buckets, grid, steps.count).map((sum) => (sum === undefined ? undefined : sum / perSecond)),
  }));
}

/** Series while they are counted. */
class Tallies {
  readonly #wanted: readonly string[] | undefined;
  readonly #max: number;
  readonly #tallies = new Map<string, Tally>();
  #buckets = 0;

  constructor(wanted: readonly string[] | undefined, max: number) {
    this.#wanted = wanted;
    this.#max = max;
  }

  add(labels: Labels, bucket: number, count: number): void {
    const kept =
      this.#wanted === undefined ? labels : groupLabels(labels, { isWithout: false, labels: this.#wanted });
    const key = keyOf(kept);
    let tally = this.#tallies.get(key);
    if (tally === undefined) this.#tallies.set(key, (tally = { labels: kept, buckets: new Map() }));
    const before = tally.buckets.get(bucket);
    if (before === undefined && (this.#buckets += 1) > this.#max) throw tooManyCounts(this.#max);
    tally.buckets.set(bucket, (before ?? 0) + count);
  }

  all(): readonly Tally[] {
    return [...this.#tallies.values()];
  }
}

function tooManyCounts(max: number) {
  return bad(`the query takes more than ${max} counts: choose a larger step, or fewer streams or labels`);
}

interface InStore {
  readonly choice: LogChoice;
  readonly grid: Grid;
  readonly wanted: readonly string[] | undefined;
}

async function countInStore(
  { tx, limits, stats, check }: Reading,
  { op, log }: RangeExpr,
  { clusters }: Chosen,
  { choice, grid, wanted }: InStore,
  tallies: Tallies,
): Promise<void> {
  const stages = streamStages(log.stages);
  const bytes = op.startsWith("bytes");
  const by = { ...countBy(wanted === undefined ? undefined : [...wanted, ...namesInStages(stages)]), bytes };
  const counts = await countLogs(tx, choice, grid, by, limits.countsMax + 1);
  if (counts.length > limits.countsMax) throw tooManyCounts(limits.countsMax);
  const pipeline = compilePipeline(stages);
  for await (const { bucket, clusterId, rule, priority, count, bytes: size } of inTurns(counts, check)) {
    const cluster = by.cluster ? clusters.get(clusterId) : {};
    if (cluster === undefined) continue;
    stats.lines += count;
    stats.bytes += size;
    const labels = pipeline("", streamLabels({ rule, priority, cluster }));
    if (labels !== undefined) tallies.add(labels, bucket, by.bytes ? size : count);
  }
}

/** What has to be kept apart so that these labels can be told. */
export function countBy(names: readonly string[] | undefined): Omit<CountBy, "bytes"> {
  if (names === undefined) return { cluster: true, rule: true, priority: true };
  return {
    cluster: names.some((name) => !ownLabels.some((own) => own === name)),
    rule: names.includes("rule"),
    priority: names.includes("priority"),
  };
}

async function countHere(
  reading: Reading,
  { op, log }: RangeExpr,
  chosen: Chosen,
  choice: LogChoice,
  grid: Grid,
  tallies: Tallies,
): Promise<void> {
  await scan(reading, { chosen, choice, stages: log.stages, direction: "forward" }, (line, labels) => {
    const { __error__: error } = labels;
    if (error !== undefined) {
      throw bad(
        `pipeline error: '${error}' for series: '${JSON.stringify(labels).slice(0, 500)}'. Use a label filter to intentionally skip this error. (e.g | __error__!="${error}")`,
      );
    }
    const bucket = Number((line.timeUs - grid.fromUs - 1n) / grid.widthUs);
    tallies.add(labels, bucket, op.startsWith("bytes") ? Buffer.byteLength(line.body) : 1);
    return true;
  });
}
