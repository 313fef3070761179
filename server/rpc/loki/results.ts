import type { Series } from "../../domain/logql/evaluate.ts";
import type { Steps } from "../../domain/logql/steps.ts";
import { bad } from "./answer.ts";

/** What a query gives, in the words of Loki's API. */
export interface Result {
  readonly resultType: "streams" | "matrix" | "vector" | "scalar";
  readonly result: unknown;
}

/** The values at each step, without the steps at which a series has none: up to so many bytes. */
export function matrix(value: readonly Series[] | number, steps: Steps, bytesMax: number): Result {
  const series = typeof value === "number" ? [everywhere(value, steps)] : value;
  let bytes = 0;
  return {
    resultType: "matrix",
    result: series.flatMap(({ labels, values }) => {
      const points = values.flatMap((at, step) =>
        at === undefined ? [] : [[secondsAt(steps, step), numberText(at)]],
      );
      for (const [seconds, number] of points) bytes += String(seconds).length + String(number).length + 6;
      if (bytes > bytesMax) {
        throw bad(`the answer has more than ${bytesMax} bytes: choose a larger step, or fewer series`);
      }
      return points.length === 0 ? [] : [{ metric: labels, values: points }];
    }),
  };
}

function everywhere(value: number, { count }: Steps): Series {
  return { labels: {}, values: Array.from({ length: count }, () => value) };
}

/** The value at the one step of an instant query. */
export function vector(value: readonly Series[] | number, steps: Steps): Result {
  const seconds = secondsAt(steps, 0);
  if (typeof value === "number") return { resultType: "scalar", result: [seconds, numberText(value)] };
  return {
    resultType: "vector",
    result: value.flatMap(({ labels, values: [at] }) =>
      at === undefined ? [] : [{ metric: labels, value: [seconds, numberText(at)] }],
    ),
  };
}

/** Seconds since 1970, with milliseconds behind the point. */
function secondsAt({ firstUs, stepUs }: Steps, step: number): number {
  return Number((firstUs + stepUs * BigInt(step)) / 1000n) / 1000;
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
}
