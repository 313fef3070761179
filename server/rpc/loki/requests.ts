import type { Scope } from "../../domain/scope.ts";
import type { Params } from "./params.ts";
import {
  limitOf,
  linesMax,
  readInstant,
  readRange,
  readSpan,
  readVolumeSteps,
  spanMsMax,
  type Span,
} from "./params.ts";
import { checked } from "../../domain/logql/problem.ts";
import { parseQuery, parseSelectorText } from "../../domain/logql/parse.ts";
import type { LogExpr } from "../../domain/logql/ast.ts";
import type { Labels } from "../../domain/logql/labels.ts";
import type { Steps } from "../../domain/logql/steps.ts";
import type { Database } from "../../store/pool.ts";
import packageJson from "../../../package.json" with { type: "json" };
import { bad, orBad } from "./answer.ts";
import {
  detectedFields,
  detectedLabels,
  detectedValues,
  sampleFields,
  type FieldValues,
} from "./detected.ts";
import { measure } from "./counts.ts";
import { listSeries, listStreams, sortedSet, volumeQuery, type StreamSize } from "./lists.ts";
import { readLines } from "./lines.ts";
import { queryLimits, reading, statsOf, type QueryLimits, type Reading } from "./reading.ts";
import { matrix, vector, type Result } from "./results.ts";

/** What a request is about, once it is known who asks and that they may. */
export interface Asked {
  readonly db: Database;
  readonly scope: Scope;
  readonly signal: AbortSignal;
  readonly nowMs: number;
  readonly params: URLSearchParams;
  /** The name of a label, where the path holds one. */
  readonly label: string;
  readonly limits?: QueryLimits;
}

/** Answers a request with what becomes JSON. */
export type Respond = (asked: Asked) => Promise<object>;

/** The requests by the name that they are counted under. */
export const requests = {
  QueryRange: queryRange,
  Query: queryInstant,
  Labels: listLabels,
  LabelValues: listValues,
  Series: listAllSeries,
  IndexStats: indexStats,
  IndexVolume: (asked) => volume(asked, false),
  IndexVolumeRange: (asked) => volume(asked, true),
  DetectedLabels: listDetectedLabels,
  DetectedFields: listDetectedFields,
  DetectedFieldValues: listDetectedValues,
  // No patterns are looked for: there are none, which clients show as such.
  Patterns: () => Promise.resolve(success([])),
  DrilldownLimits: () => Promise.resolve(drilldownLimits),
  BuildInfo: () => Promise.resolve(buildInfo),
} as const satisfies Readonly<Record<string, Respond>>;

export type RequestName = keyof typeof requests;

const buildInfo = {
  version: packageJson.version,
  revision: packageJson.name,
  branch: "",
  buildUser: "",
  buildDate: "",
  goVersion: "",
};

/** What Grafana's Logs Drilldown asks about a Loki before it shows anything. */
const drilldownLimits = {
  limits: {
    discover_log_levels: false,
    discover_service_name: [],
    max_entries_limit_per_query: linesMax,
    max_query_length: `${spanMsMax / 3_600_000}h`,
    max_query_series: queryLimits.seriesMax,
    query_timeout: `${queryLimits.workMs / 1000}s`,
    volume_enabled: true,
  },
  pattern_ingester_enabled: false,
  version: packageJson.version,
};

/** The request that a path names, with the label in it; undefined where there is none. */
export function findRequest(
  path: string,
): { readonly name: RequestName; readonly label: string } | undefined {
  const [, label] = /^label\/([a-zA-Z_][a-zA-Z0-9_]{0,254})\/values$/.exec(path) ?? [];
  if (label !== undefined) return { name: "LabelValues", label };
  const [, field] = /^detected_field\/([a-zA-Z_][a-zA-Z0-9_]{0,254})\/values$/.exec(path) ?? [];
  if (field !== undefined) return { name: "DetectedFieldValues", label: field };
  const name = paths[path];
  return name === undefined ? undefined : { name, label: "" };
}

const paths: Readonly<Partial<Record<string, RequestName>>> = Object.assign(Object.create(null), {
  query_range: "QueryRange",
  query: "Query",
  labels: "Labels",
  // What it was called before.
  label: "Labels",
  series: "Series",
  "index/stats": "IndexStats",
  "index/volume": "IndexVolume",
  "index/volume_range": "IndexVolumeRange",
  detected_labels: "DetectedLabels",
  detected_fields: "DetectedFields",
  patterns: "Patterns",
  "drilldown-limits": "DrilldownLimits",
  "status/buildinfo": "BuildInfo",
});

function read<T>(asked: Asked, work: (reading: Reading) => Promise<T>): Promise<T> {
  return reading({ ...asked, limits: asked.limits ?? queryLimits }, work);
}

function paramsOf({ params }: Asked): Params {
  return (name) => params.get(name);
}

function success(data: unknown): object {
  return { status: "success", data };
}

function withStats(result: Result, from: Reading): object {
  return success({ ...result, stats: statsOf(from) });
}

async function queryRange(asked: Asked): Promise<object> {
  const expr = orBad(parseQuery(asked.params.get("query") ?? ""));
  const range = orBad(readRange(paramsOf(asked), asked.nowMs));
  return read(asked, async (from) => {
    if (expr.kind === "log") {
      const result = await readLines(from, expr, range);
      return withStats({ resultType: "streams", result }, from);
    }
    return withStats(
      matrix(await measure(from, expr, range.steps), range.steps, from.limits.answerBytesMax),
      from,
    );
  });
}

async function queryInstant(asked: Asked): Promise<object> {
  const expr = orBad(parseQuery(asked.params.get("query") ?? ""));
  const steps = orBad(readInstant(paramsOf(asked), asked.nowMs));
  if (expr.kind === "log") {
    throw bad(
      "log queries are not supported as an instant query type, please change your query to a range query type",
    );
  }
  return read(asked, async (from) => withStats(vector(await measure(from, expr, steps), steps), from));
}

/** The streams that `query` chooses, or all, told apart by one label. */
function streamsBy(asked: Asked, name: string): Promise<readonly StreamSize[]> {
  const query = asked.params.get("query") ?? "";
  const isAll = query === "" || query.trim() === "{}";
  const matchers = isAll ? [] : orBad(parseSelectorText(query));
  const span = orBad(readSpan(paramsOf(asked), asked.nowMs));
  return read(asked, (from) => listStreams(from, { matchers, span, names: [name] }));
}

async function listLabels(asked: Asked): Promise<object> {
  // Which labels there are depends on nothing but the clusters.
  const streams = await streamsBy(asked, "cluster");
  return success(sortedSet(streams.flatMap(({ labels }) => Object.keys(labels))));
}

async function listValues(asked: Asked): Promise<object> {
  const streams = await streamsBy(asked, asked.label);
  return success(sortedSet(streams.map(({ labels }) => valueOf(labels, asked.label))));
}

function valueOf(labels: Labels, name: string): string {
  return Object.hasOwn(labels, name) ? (labels[name] ?? "") : "";
}

/** The envelope is Loki's: of these three it has none. */
async function listDetectedLabels(asked: Asked): Promise<object> {
  const query = asked.params.get("query") ?? "";
  const matchers = query === "" || query.trim() === "{}" ? [] : logOf(query).matchers;
  const span = orBad(readSpan(paramsOf(asked), asked.nowMs));
  const streams = await read(asked, (from) => listStreams(from, { matchers, span }));
  return { detectedLabels: detectedLabels(streams) };
}

async function listDetectedFields(asked: Asked): Promise<object> {
  const limit = orBad(checked("", () => limitOf("limit", asked.params.get("limit") ?? "1000")));
  return { fields: detectedFields(await newestFields(asked), limit), limit };
}

async function listDetectedValues(asked: Asked): Promise<object> {
  const limit = orBad(checked("", () => limitOf("limit", asked.params.get("limit") ?? "1000")));
  return { values: detectedValues(await newestFields(asked), asked.label, limit), limit };
}

/** Fields are those of so many of the newest lines, and of no more than so many bytes of them. */
const sampleMax = { lines: 1_000, bytes: 2 * 1024 * 1024 };

function newestFields(asked: Asked): Promise<FieldValues> {
  const log = logOf(asked.params.get("query") ?? "");
  const span = orBad(readSpan(paramsOf(asked), asked.nowMs));
  const limit = orBad(checked("", () => limitOf("line_limit", asked.params.get("line_limit"))));
  const size = { linesMax: Math.min(limit, sampleMax.lines), bytesMax: sampleMax.bytes };
  return read(asked, (from) => sampleFields(from, log, { ...span, ...size }));
}

function logOf(query: string): LogExpr {
  const expr = orBad(parseQuery(query));
  if (expr.kind === "log") return expr;
  throw bad("only a log query is allowed here");
}

const selectorsMax = 16;

async function listAllSeries(asked: Asked): Promise<object> {
  const texts = [...asked.params.getAll("match[]"), ...asked.params.getAll("match")];
  if (texts.length === 0) throw bad("0 matcher groups supplied");
  if (texts.length > selectorsMax) throw bad(`match[]: at most ${selectorsMax} selectors are allowed`);
  const selectors = texts.map((text) => orBad(parseSelectorText(text)));
  const span = orBad(readSpan(paramsOf(asked), asked.nowMs));
  return success(await read(asked, (from) => listSeries(from, selectors, span)));
}

async function indexStats(asked: Asked): Promise<object> {
  const matchers = orBad(parseSelectorText(asked.params.get("query") ?? ""));
  const span = orBad(readSpan(paramsOf(asked), asked.nowMs));
  const streams = await read(asked, (from) => listStreams(from, { matchers, span, withBytes: true }));
  const sum = (of: (stream: (typeof streams)[number]) => number) =>
    streams.reduce((total, stream) => total + of(stream), 0);
  // There are no chunks here: a stream counts as one.
  return {
    streams: streams.length,
    chunks: streams.length,
    entries: sum(({ entries }) => entries),
    bytes: sum(({ bytes }) => bytes),
  };
}

async function volume(asked: Asked, isRange: boolean): Promise<object> {
  const { params } = asked;
  const by = params.get("aggregateBy") ?? "series";
  if (by !== "series") throw bad(`aggregateBy: "${by.slice(0, 40)}" is not supported here, "series" is`);
  const matchers = orBad(parseSelectorText(params.get("query") ?? ""));
  const span = orBad(readSpan(paramsOf(asked), asked.nowMs));
  const limit = orBad(checked("", () => limitOf("limit", params.get("limit"))));
  const targets = (params.get("targetLabels") ?? "").split(",").filter((name) => name !== "");
  const labels = targets.length > 0 ? targets : matchers.map(({ name }) => name);
  const steps = isRange ? orBad(readVolumeSteps(paramsOf(asked), span)) : wholeSpan(span);
  const rangeMs = isRange
    ? Number(steps.stepUs / 1000n)
    : Math.max(1, Number((span.endNs - span.startNs) / 1_000_000n));
  return read(asked, async (from) => {
    const expr = volumeQuery({ kind: "log", matchers, stages: [] }, labels, rangeMs);
    const value = await measure(from, expr, steps);
    const series = typeof value === "number" ? [] : value;
    const total = (each: (typeof series)[number]) => each.values.reduce<number>((a, b) => a + (b ?? 0), 0);
    const most = series.toSorted((a, b) => total(b) - total(a)).slice(0, limit);
    return withStats(isRange ? matrix(most, steps, from.limits.answerBytesMax) : vector(most, steps), from);
  });
}

function wholeSpan({ endNs }: Span): Steps {
  return { firstUs: endNs / 1000n, stepUs: 0n, count: 1 };
}
