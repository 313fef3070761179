import type { AggregateExpr, BinaryExpr, MetricExpr, RangeExpr } from "./ast.ts";
import { groupLabels, keyOf, type Labels } from "./labels.ts";
import { compare } from "./pipeline.ts";
import { Problem } from "./problem.ts";

/** A value at each step, or undefined where there is none. */
export type Values = readonly (number | undefined)[];

export interface Series {
  readonly labels: Labels;
  readonly values: Values;
}

/** The counts of a range at all steps, which the store was asked for before. */
export type RangeSeries = (range: RangeExpr) => readonly Series[];

/** What an expression is worth at each of `steps` points in time; a number alone has no labels and no series. */
export function evaluate(expr: MetricExpr, ranges: RangeSeries, steps: number): readonly Series[] | number {
  switch (expr.kind) {
    case "number":
      return expr.value;
    case "vector":
      return [{ labels: {}, values: Array.from({ length: steps }, () => expr.value) }];
    case "range":
      return ranges(expr);
    case "aggregate": {
      const of = evaluate(expr.of, ranges, steps);
      if (typeof of === "number") throw new Problem(`${expr.op} takes series, not a number`);
      return aggregate(expr, of, steps);
    }
    case "binary":
      return binary(expr, evaluate(expr.left, ranges, steps), evaluate(expr.right, ranges, steps), steps);
  }
}

function aggregate(expr: AggregateExpr, of: readonly Series[], steps: number): readonly Series[] {
  const { op, grouping, k } = expr;
  if (op === "sort" || op === "sort_desc") return sorted(of, op === "sort_desc");
  const groups = Map.groupBy(of, ({ labels }) => keyOf(groupLabels(labels, grouping)));
  if (op === "topk" || op === "bottomk") {
    return [...groups.values()].flatMap((members) => best(members, k, op === "topk", steps));
  }
  return [...groups.values()].map((members) => ({
    labels: groupLabels(members[0]?.labels ?? {}, grouping),
    values: Array.from({ length: steps }, (_, step) => {
      const there = members.flatMap(({ values }) => values[step] ?? []);
      return there.length === 0 ? undefined : together(op, there);
    }),
  }));
}

function together(op: "sum" | "avg" | "count" | "min" | "max", values: readonly number[]): number {
  const sum = values.reduce((a, b) => a + b, 0);
  switch (op) {
    case "sum":
      return sum;
    case "avg":
      return sum / values.length;
    case "count":
      return values.length;
    case "min":
      return values.reduce((a, b) => Math.min(a, b));
    case "max":
      return values.reduce((a, b) => Math.max(a, b));
  }
}

/** At each step only the `k` that are greatest, or least. */
function best(members: readonly Series[], k: number, isTop: boolean, steps: number): readonly Series[] {
  const kept = members.map(() => Array.from<number | undefined>({ length: steps }));
  for (let step = 0; step < steps; step++) {
    const there = members.flatMap(({ values }, index) => {
      const value = values[step];
      return value === undefined ? [] : [{ index, value }];
    });
    there.sort((a, b) => (isTop ? b.value - a.value : a.value - b.value) || a.index - b.index);
    for (const { index, value } of there.slice(0, k)) (kept[index] ?? [])[step] = value;
  }
  return members.flatMap(({ labels }, index) => {
    const values = kept[index] ?? [];
    return values.some((value) => value !== undefined) ? [{ labels, values }] : [];
  });
}

/** By the value at the first step: only instant queries are shown in an order. */
function sorted(of: readonly Series[], isDown: boolean): readonly Series[] {
  const first = ({ values }: Series) => values[0] ?? 0;
  return of.toSorted((a, b) => (isDown ? first(b) - first(a) : first(a) - first(b)));
}

type Operand = readonly Series[] | number;

/** Numbers with numbers; a number with each series; series with the series that has the same labels. */
function binary(expr: BinaryExpr, left: Operand, right: Operand, steps: number): Operand {
  if (typeof left === "number" && typeof right === "number") {
    const value = apply(expr.op, left, right);
    // Between numbers a comparison is worth 1 or 0.
    return isComparison(expr.op) ? Number(value !== undefined) : (value ?? 0);
  }
  const each = (series: Series, at: (step: number) => readonly [number | undefined, number | undefined]) => ({
    labels: series.labels,
    values: Array.from({ length: steps }, (_, step) => {
      const [a, b] = at(step);
      return a === undefined || b === undefined ? undefined : apply(expr.op, a, b, series.values[step]);
    }),
  });
  const found =
    typeof right === "number"
      ? (left as readonly Series[]).map((one) => each(one, (step) => [one.values[step], right]))
      : typeof left === "number"
        ? right.map((one) => each(one, (step) => [left, one.values[step]]))
        : paired(left, right).map(([a, b]) => each(a, (step) => [a.values[step], b.values[step]]));
  return found.filter(({ values }) => values.some((value) => value !== undefined));
}

function paired(left: readonly Series[], right: readonly Series[]): readonly (readonly [Series, Series])[] {
  const byLabels = new Map(right.map((series) => [keyOf(series.labels), series]));
  return left.flatMap((series) => {
    const other = byLabels.get(keyOf(series.labels));
    return other === undefined ? [] : [[series, other] as const];
  });
}

function isComparison(op: BinaryExpr["op"]): op is "==" | "!=" | ">" | ">=" | "<" | "<=" {
  return op.startsWith("=") || op.startsWith("!") || op.startsWith(">") || op.startsWith("<");
}

/** A comparison leaves the value that is compared where it holds. */
function apply(op: BinaryExpr["op"], a: number, b: number, kept: number = a): number | undefined {
  if (isComparison(op)) return compare(a, op, b) ? kept : undefined;
  switch (op) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return a / b;
    case "%":
      return a % b;
    case "^":
      return a ** b;
  }
}
