import type { Steps } from "../../domain/logql/steps.ts";
import { checked, Problem, type Checked } from "../../domain/logql/problem.ts";
import { durationMs } from "../../domain/logql/text.ts";

/** The parameters of a request, by name. */
export type Params = (name: string) => string | null;

export type Direction = "forward" | "backward";

/** A stretch of time in nanoseconds since 1970: from the first, up to and without the last. */
export interface Span {
  readonly startNs: bigint;
  readonly endNs: bigint;
}

/** What `query_range` is asked for. */
export interface RangeParams extends Span {
  readonly limit: number;
  readonly direction: Direction;
  readonly steps: Steps;
}

/** As Loki's own limits are by default: 30 days and one hour, lines in an answer, points in a series. */
export const spanMsMax: number = 721 * 3_600_000;
export const linesMax: number = 5_000;
const pointsMax = 11_000;
const linesDefault = 100;
const nsPerMs = 1_000_000n;
const hourNs = 3_600_000n * nsPerMs;

export function readRange(params: Params, nowMs: number): Checked<RangeParams> {
  return checked("", () => {
    const span = spanOf(params, nowMs, hourNs);
    return {
      ...span,
      limit: limitOf("limit", params("limit")),
      direction: directionOf(params("direction")),
      steps: stepsOf(params("step"), span),
    };
  });
}

/** What an instant query is asked for: the one step at which it is evaluated. */
export function readInstant(params: Params, nowMs: number): Checked<Steps> {
  return checked("", () => {
    const timeNs = timeOf("time", params("time")) ?? BigInt(nowMs) * nsPerMs;
    return { firstUs: timeNs / 1000n, stepUs: 0n, count: 1 };
  });
}

/** The time that lists of labels and streams are about: the last six hours, if it is not said. */
export function readSpan(params: Params, nowMs: number): Checked<Span> {
  return checked("", () => spanOf(params, nowMs, 6n * hourNs));
}

/** What `volume_range` is asked for. */
export function readVolumeSteps(params: Params, span: Span): Checked<Steps> {
  return checked("", () => stepsOf(params("step"), span));
}

export interface TailParams {
  readonly startNs: bigint;
  readonly limit: number;
}

export function readTail(params: Params, nowMs: number): Checked<TailParams> {
  return checked("", () => {
    const delay = params("delay_for");
    if (delay !== null && delay !== "" && !/^[0-5]$/.test(delay)) {
      throw new Problem("delay_for: the number of seconds can be 0 to 5");
    }
    const nowNs = BigInt(nowMs) * nsPerMs;
    const startNs = timeOf("start", params("start")) ?? nowNs - hourNs;
    if (nowNs - startNs > BigInt(spanMsMax) * nsPerMs) throw tooLong(nowNs - startNs);
    return { startNs, limit: limitOf("limit", params("limit")) };
  });
}

/** `name` is the parameter's, for the sentence about it. */
export function limitOf(name: string, text: string | null): number {
  if (text === null || text === "") return linesDefault;
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (limit === 0) throw new Problem(`${name} must be a positive value`);
  if (limit <= linesMax) return limit;
  throw new Problem(
    `max entries limit per query exceeded, ${name} > max_entries_limit_per_query (${limit} > ${linesMax})`,
  );
}

function spanOf(params: Params, nowMs: number, usualNs: bigint): Span {
  const nowNs = BigInt(nowMs) * nsPerMs;
  const endNs = timeOf("end", params("end")) ?? nowNs;
  const since = params("since");
  const sinceMs = since === null || since === "" ? undefined : durationMs(since);
  if (since !== null && since !== "" && sinceMs === undefined) {
    throw new Problem(
      `could not parse 'since' parameter: not a valid duration string: "${since.slice(0, 40)}"`,
    );
  }
  const back = sinceMs === undefined ? usualNs : BigInt(sinceMs) * nsPerMs;
  const startNs = timeOf("start", params("start")) ?? (endNs > nowNs ? nowNs : endNs) - back;
  if (endNs <= startNs) throw new Problem("end timestamp must not be before or equal to start time");
  if (endNs - startNs > BigInt(spanMsMax) * nsPerMs) throw tooLong(endNs - startNs);
  return { startNs, endNs };
}

function tooLong(ns: bigint): Problem {
  const hours = ns / hourNs;
  return new Problem(
    `the query time range exceeds the limit (query length: ${hours}h, limit: ${spanMsMax / 3_600_000}h)`,
  );
}

/** Nanoseconds, or seconds when there are at most ten digits; seconds with a fraction; or RFC 3339. */
function timeOf(name: string, text: string | null): bigint | undefined {
  if (text === null || text === "") return undefined;
  if (/^\d{1,10}$/.test(text)) return BigInt(text) * 1_000_000_000n;
  if (/^\d{11,19}$/.test(text)) return BigInt(text);
  const [, seconds, fraction = ""] = /^(\d{1,10})\.(\d{1,9})\d*$/.exec(text) ?? [];
  if (seconds !== undefined) return BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"));
  const [, whole = "", part = "", zone = ""] =
    /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(text) ?? [];
  const ms = Date.parse(`${whole}${zone}`);
  if (Number.isNaN(ms) || ms < 0) {
    throw new Problem(`could not parse '${name}' parameter: "${text.slice(0, 40)}" is no time`);
  }
  return BigInt(ms) * nsPerMs + BigInt(part.padEnd(9, "0"));
}

function directionOf(text: string | null): Direction {
  const word = (text ?? "").toLowerCase();
  if (word === "" || word === "backward") return "backward";
  if (word === "forward") return "forward";
  throw new Problem(`invalid direction '${(text ?? "").slice(0, 40)}'`);
}

function stepsOf(text: string | null, { startNs, endNs }: Span): Steps {
  const spanMs = Number((endNs - startNs) / nsPerMs);
  const stepMs = text === null || text === "" ? usualStepMs(spanMs) : stepMsOf(text);
  if (!(stepMs >= 1)) {
    throw new Problem(
      "zero or negative query resolution step widths are not accepted. Try a positive integer",
    );
  }
  if (spanMs / stepMs > pointsMax) {
    throw new Problem(
      "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter",
    );
  }
  return {
    firstUs: startNs / 1000n,
    stepUs: BigInt(stepMs) * 1000n,
    count: Math.floor(spanMs / stepMs) + 1,
  };
}

function usualStepMs(spanMs: number): number {
  return Math.max(Math.floor(spanMs / 250_000), 1) * 1000;
}

function stepMsOf(text: string): number {
  const ms = /^\d{1,9}(\.\d{1,9})?$/.test(text) ? Math.round(Number(text) * 1000) : durationMs(text);
  if (ms !== undefined) return ms;
  throw new Problem(`cannot parse "${text.slice(0, 40)}" to a valid duration`);
}
