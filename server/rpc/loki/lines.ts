import type { LogExpr, Stage } from "../../domain/logql/ast.ts";
import { keyOf, streamLabels, type Labels } from "../../domain/logql/labels.ts";
import type { Direction, RangeParams, Span } from "./params.ts";
import { compilePipeline } from "../../domain/logql/pipeline.ts";
import { readLogs, type LogChoice, type LogLine, type LogPlace } from "../../store/alert-logs.ts";
import { bad } from "./answer.ts";
import { choose, type Chosen } from "./choose.ts";
import { inTurns } from "../../turns.ts";
import type { Reading } from "./reading.ts";

/** Lines of one set of labels, as Loki writes them. */
export interface StreamOfLines {
  readonly stream: Labels;
  /** Nanoseconds since 1970, and the line. */
  readonly values: (readonly [string, string])[];
}

export interface Scan {
  readonly chosen: Chosen;
  readonly choice: LogChoice;
  readonly stages: readonly Stage[];
  readonly direction: Direction;
  /** Lines that are wanted at most, for the size of batches. */
  readonly atMost?: number;
}

/** Hears of each line that gets through, with the labels that it leaves with and those of its stream; says whether more are wanted. */
type OnLine = (line: LogLine, labels: Labels, stream: Labels) => boolean;

/** Goes over lines in batches, within the bounds of the query, and never holds more than one batch. */
export async function scan(reading: Reading, what: Scan, onLine: OnLine): Promise<void> {
  const { tx, limits, stats } = reading;
  const pipeline = compilePipeline(what.stages);
  const size = Math.min(1_000, Math.max(100, what.atMost ?? 1_000));
  let after: LogPlace | undefined;
  for (;;) {
    reading.check();
    const lines = await readLogs(tx, what.choice, what.direction, size, after);
    for await (const line of inTurns(lines, reading.check)) {
      stats.lines += 1;
      stats.bytes += line.body.length;
      const cluster = what.chosen.clusters.get(line.clusterId);
      if (cluster === undefined) continue;
      const stream = streamLabels({ ...line, cluster });
      const labels = pipeline(line.body, stream);
      if (labels !== undefined && !onLine(line, labels, stream)) return;
    }
    after = lines.at(-1);
    if (after === undefined || lines.length < size) return;
    if (stats.lines < limits.linesMax && stats.bytes < limits.bytesMax) continue;
    throw bad(
      `the query looked at ${stats.lines} alerts one by one, which is as many as it may, and would have to look at more, because a pattern or a label out of | json decides: nothing is answered rather than a part. Choose less time or fewer streams, or use |= for what is in the line; counts by the labels of streams have no such bound`,
    );
  }
}

/** What a log query is asked for. */
export interface LinesAsked extends Pick<RangeParams, "startNs" | "endNs" | "limit" | "direction"> {
  /** Where what arrived later does not count. */
  readonly arrivalMax?: bigint;
}

/** The lines that a log query asks for, by their labels. */
export async function readLines(
  reading: Reading,
  { matchers, stages }: LogExpr,
  { startNs, endNs, limit, direction, arrivalMax }: LinesAsked,
): Promise<readonly StreamOfLines[]> {
  const chosen = await choose(reading, matchers, stages);
  if (chosen === undefined) return [];
  const span = { fromUs: ceilUs(startNs), toUs: ceilUs(endNs) };
  const choice = { ...chosen.choice, ...span, ...(arrivalMax === undefined ? {} : { arrivalMax }) };
  const streams = createStreams(reading.limits.answerBytesMax);
  await scan(reading, { chosen, choice, stages, direction, atMost: limit }, (line, labels) => {
    streams.add(line, labels);
    return streams.count < limit;
  });
  return streams.all();
}

/** Goes over the newest lines that a log query asks for until `onLine` wants no more. */
export async function sampleLines(
  reading: Reading,
  { matchers, stages }: LogExpr,
  { startNs, endNs, atMost }: Span & { readonly atMost: number },
  onLine: OnLine,
): Promise<void> {
  const chosen = await choose(reading, matchers, stages);
  if (chosen === undefined) return;
  const choice = { ...chosen.choice, fromUs: ceilUs(startNs), toUs: ceilUs(endNs) };
  await scan(reading, { chosen, choice, stages, direction: "backward", atMost }, onLine);
}

/** The first whole microsecond that is not before. */
export function ceilUs(ns: bigint): bigint {
  return (ns + 999n) / 1000n;
}

/** Puts lines together by their labels, up to so many bytes. */
export function createStreams(bytesMax: number) {
  const streams = new Map<string, StreamOfLines>();
  let [count, bytes] = [0, 0];
  return {
    add: (line: LogLine, labels: Labels) => {
      const key = keyOf(labels);
      let stream = streams.get(key);
      if (stream === undefined) {
        streams.set(key, (stream = { stream: labels, values: [] }));
        bytes += key.length;
      }
      stream.values.push([`${line.timeUs}000`, line.body]);
      count += 1;
      bytes += line.body.length;
      if (bytes > bytesMax) {
        throw bad(`the answer has more than ${bytesMax} bytes: ask for fewer lines with limit`);
      }
    },
    all: (): readonly StreamOfLines[] => [...streams.values()],
    get count() {
      return count;
    },
  };
}
