import type { SyntaxNode } from "@lezer/common";

import type {
  AggregateExpr,
  AggregateOp,
  BinaryExpr,
  Grouping,
  LogExpr,
  MetricExpr,
  RangeOp,
} from "./ast.ts";
import { Problem } from "./problem.ts";
import { durationMs } from "./text.ts";
import type { Tree } from "./tree.ts";

type ReadLog = (tree: Tree, node: SyntaxNode) => LogExpr;

const rangeOps: readonly string[] = [
  "count_over_time",
  "rate",
  "bytes_over_time",
  "bytes_rate",
] satisfies RangeOp[];
const aggregateOps: readonly string[] = [
  "sum",
  "avg",
  "count",
  "min",
  "max",
  "topk",
  "bottomk",
  "sort",
  "sort_desc",
] satisfies AggregateOp[];
const binaryOps: readonly string[] = [
  "+",
  "-",
  "*",
  "/",
  "%",
  "^",
  "==",
  "!=",
  ">",
  ">=",
  "<",
  "<=",
] satisfies readonly string[];

/** Reads what counts: `count_over_time(...)`, `sum by (...) (...)`, numbers, and arithmetic on them. */
export function readMetric(tree: Tree, node: SyntaxNode, readLog: ReadLog): MetricExpr {
  const child = tree.children(node).find(({ name }) => name !== "(" && name !== ")");
  if (!child) throw tree.unsupported(node);
  switch (child.name) {
    case "MetricExpr":
      return readMetric(tree, child, readLog);
    case "RangeAggregationExpr":
      return readRange(tree, child, readLog);
    case "VectorAggregationExpr":
      return readAggregate(tree, child, readLog);
    case "BinOpExpr":
      return readBinary(tree, child, readLog);
    case "LiteralExpr":
      return { kind: "number", value: numberOf(tree, child) };
    case "VectorExpr": {
      const number = child.getChild("Number") ?? child.getChild("LiteralExpr");
      return { kind: "vector", value: number ? numberOf(tree, number) : Number.NaN };
    }
  }
  throw tree.unsupported(child);
}

function numberOf(tree: Tree, node: SyntaxNode): number {
  return Number(tree.text(node).replaceAll(/\s/g, ""));
}

function readRange(tree: Tree, node: SyntaxNode, readLog: ReadLog): MetricExpr {
  const sign = node.getChild("RangeOp");
  const op = sign ? tree.text(sign) : "";
  if (!rangeOps.includes(op)) throw tree.unsupported(sign ?? node);
  const grouping = node.getChild("Grouping");
  if (grouping) throw new Problem(`grouping not allowed for ${op} aggregation`, grouping.from);
  let range = node.getChild("LogRangeExpr");
  while (range?.getChild("LogRangeExpr")) range = range.getChild("LogRangeExpr");
  const length = range?.getChild("Range")?.getChild("Duration");
  if (!range || !length) throw tree.unsupported(node);
  const unwrap = range.getChild("UnwrapExpr");
  if (unwrap) throw tree.unsupported(unwrap);
  const offset = range.getChild("OffsetExpr");
  return {
    kind: "range",
    op: op as RangeOp,
    log: readLog(tree, range),
    rangeMs: durationOf(tree, length),
    offsetMs: offset ? offsetOf(tree, offset) : 0,
  };
}

function offsetOf(tree: Tree, offset: SyntaxNode): number {
  const duration = offset.getChild("Duration");
  if (!duration) throw tree.unsupported(offset);
  return durationOf(tree, duration);
}

function durationOf(tree: Tree, node: SyntaxNode): number {
  const ms = durationMs(tree.text(node));
  if (ms === undefined || ms === 0) {
    throw new Problem(`not a valid duration string: "${tree.text(node).slice(0, 40)}"`, node.from);
  }
  return ms;
}

function readAggregate(tree: Tree, node: SyntaxNode, readLog: ReadLog): AggregateExpr {
  const sign = node.getChild("VectorOp");
  const op = sign ? tree.text(sign) : "";
  if (!aggregateOps.includes(op)) throw tree.unsupported(sign ?? node);
  const of = node.getChild("MetricExpr");
  if (!of) throw tree.unsupported(node);
  const number = node.getChild("Number");
  const needsNumber = op === "topk" || op === "bottomk";
  const k = number ? numberOf(tree, number) : 0;
  if (needsNumber !== (number !== null) || (needsNumber && !(Number.isInteger(k) && k > 0))) {
    throw new Problem(`${needsNumber ? "" : "no "}parameter is wanted for operation ${op}`, node.from);
  }
  return {
    kind: "aggregate",
    op: op as AggregateOp,
    grouping: readGrouping(tree, node.getChild("Grouping")),
    k,
    of: readMetric(tree, of, readLog),
  };
}

function readGrouping(tree: Tree, node: SyntaxNode | null): Grouping {
  if (!node) return { isWithout: false, labels: [] };
  const labels = tree.flat(node.getChild("Labels"), "Labels", "Identifier").map((each) => tree.text(each));
  return { isWithout: node.getChild("Without") !== null, labels };
}

/** How tight operators bind; the grammar's own order is another one than Loki's, so only its leaves are taken. */
const bindings: Readonly<Record<string, number>> = {
  ...Object.fromEntries(["==", "!=", ">", ">=", "<", "<="].map((op) => [op, 1])),
  "+": 2,
  "-": 2,
  "*": 3,
  "/": 3,
  "%": 3,
  "^": 4,
};

interface Chain {
  readonly operands: MetricExpr[];
  readonly ops: BinaryExpr["op"][];
}

/** Reads a chain of operands without parentheses, and puts it together as Loki does. */
function readBinary(tree: Tree, node: SyntaxNode, readLog: ReadLog): MetricExpr {
  const chain: Chain = { operands: [], ops: [] };
  collect(tree, node, readLog, chain);
  return climb(chain, 0);
}

function collect(tree: Tree, node: SyntaxNode, readLog: ReadLog, chain: Chain): void {
  for (const child of tree.children(node)) {
    if (child.name === "BinOpModifier") {
      if (child.to > child.from) throw tree.unsupported(child);
    } else if (child.name === "Expr") {
      const metric = child.getChild("MetricExpr");
      if (!metric) {
        throw new Problem("unexpected type for a leg of a binary operation: a log query", child.from);
      }
      const inner = metric.getChild("BinOpExpr");
      if (inner) collect(tree, inner, readLog, chain);
      else chain.operands.push(readMetric(tree, metric, readLog));
    } else {
      const op = tree.text(child);
      if (!binaryOps.includes(op)) throw tree.unsupported(child);
      chain.ops.push(op as BinaryExpr["op"]);
    }
  }
}

/** Takes from the front of a chain what binds at least so tight. */
function climb(chain: Chain, least: number): MetricExpr {
  let left = chain.operands.shift();
  if (left === undefined) throw new Problem("an operand is missing");
  for (let op = chain.ops[0]; op !== undefined; op = chain.ops[0]) {
    const binding = bindings[op] ?? 0;
    if (binding < least) break;
    chain.ops.shift();
    // A power binds to the right, all others to the left.
    left = { kind: "binary", op, left, right: climb(chain, op === "^" ? binding : binding + 1) };
  }
  return left;
}
