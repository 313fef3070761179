import { parser } from "@grafana/lezer-logql";
import type { SyntaxNode } from "@lezer/common";

import type { CompareOp, Expr, LabelChoice, LabelFilter, LogExpr, Matcher, MatchOp, Stage } from "./ast.ts";
import { isEmptyMatch } from "./match.ts";
import { checked, Problem, type Checked } from "./problem.ts";
import { readMetric } from "./parse-metric.ts";
import { unquote } from "./text.ts";
import { Tree } from "./tree.ts";

/** Letters of a query. A dashboard's longest are some hundreds. */
export const queryLettersMax = 8_192;
/** Expressions and filters in a query: more of them than anybody writes, fewer than exhaust the stack. */
const partsMax = 256;
const parts: readonly string[] = ["Expr", "LogExpr", "MetricExpr", "LabelFilter", "OrFilter"];

/**
 * Reads a query in the subset of LogQL that is answered here. Whatever is no LogQL, or LogQL beyond it, is named together with its
 * place.
 */
export function parseQuery(text: string): Checked<Expr> {
  return checked(text, () => {
    const tree = treeOf(text);
    const top = tree.root.getChild("Expr");
    const log = top?.getChild("LogExpr");
    if (log) return readLog(tree, log);
    const metric = top?.getChild("MetricExpr");
    if (metric) return readMetric(tree, metric, readLog);
    throw new Problem("syntax error: unexpected end of query", text.length);
  });
}

/** Reads a stream selector alone, as `series` and the lists of labels take it. */
export function parseSelectorText(text: string): Checked<readonly Matcher[]> {
  const parsed = parseQuery(text);
  if (!parsed.ok) return parsed;
  if (parsed.value.kind === "log" && parsed.value.stages.length === 0) {
    return { ok: true, value: parsed.value.matchers };
  }
  return { ok: false, why: "parse error : only a stream selector is allowed here" };
}

function treeOf(text: string): Tree {
  if (text.length > queryLettersMax) {
    throw new Problem(`the query has ${text.length} letters; at most ${queryLettersMax} are allowed`);
  }
  if (text.trim() === "") throw new Problem("syntax error: unexpected end of query", 0);
  const root = parser.parse(text).topNode;
  const cursor = root.cursor();
  let count = 0;
  do {
    if (cursor.type.isError) {
      const token = /^\s*(\w+|\S)/.exec(text.slice(cursor.from))?.[1];
      const what = token === undefined ? "end of query" : `"${token.slice(0, 40)}"`;
      throw new Problem(`syntax error: unexpected ${what}`, cursor.from);
    }
    if (parts.includes(cursor.name) && (count += 1) > partsMax) {
      throw new Problem(`the query has more than ${partsMax} parts`, cursor.from);
    }
  } while (cursor.next());
  return new Tree(text, root);
}

/** Reads `{...}` and what follows it. */
function readLog(tree: Tree, node: SyntaxNode): LogExpr {
  const inner = node.getChild("LogExpr");
  if (inner) return readLog(tree, inner);
  const selector = node.getChild("Selector");
  if (!selector) throw new Problem('a stream selector such as {source="falco"} is missing', node.from);
  const matchers = tree
    .flat(selector.getChild("Matchers"), "Matchers", "Matcher")
    .map((each) => readMatcher(tree, each));
  if (matchers.every(isEmptyMatch)) {
    throw new Problem(
      'queries require at least one regexp or equality matcher that does not have an empty-compatible value. For instance, app=~".*" does not meet this requirement, but app=~".+" will',
      selector.from,
    );
  }
  const stages = tree
    .flat(node.getChild("PipelineExpr"), "PipelineExpr", "PipelineStage")
    .flatMap((stage) => readStage(tree, stage));
  return { kind: "log", matchers, stages };
}

export function readMatcher(tree: Tree, node: SyntaxNode): Matcher {
  const [name, op, value] = tree.children(node);
  if (!name || !op || !value) throw new Problem("a matcher is not whole", node.from);
  const matcher: Matcher = {
    name: tree.text(name),
    op: tree.text(op) as MatchOp,
    value: unquote(tree.text(value), value.from),
    at: node.from,
  };
  if (matcher.op === "=~" || matcher.op === "!~") tree.checkPattern(matcher.value, value.from);
  return matcher;
}

function readStage(tree: Tree, stage: SyntaxNode): readonly Stage[] {
  const lines = stage.getChild("LineFilters");
  if (lines) return tree.flat(lines, "LineFilters", "LineFilter").map((each) => readLine(tree, each));
  const node = tree.children(stage).find(({ name }) => name !== "Pipe");
  if (!node) throw tree.unsupported(stage);
  switch (node.name) {
    case "LabelParser":
      if (node.firstChild?.name === "Json") return [{ kind: "json" }];
      break;
    case "LineFormatExpr":
      if (isTheLine(tree, node)) return [];
      break;
    case "LabelFilter":
      return [{ kind: "filter", filter: readFilter(tree, node) }];
    case "DropLabelsExpr":
      return [{ kind: "drop", labels: readChoices(tree, node, "Drop") }];
    case "KeepLabelsExpr":
      return [{ kind: "keep", labels: readChoices(tree, node, "Keep") }];
  }
  throw tree.unsupported(node);
}

/**
 * `line_format "{{.log}}"` takes an alert out of the record that Fluent Bit wraps it in, in a Loki that is fed so. Here nothing wraps it: it
 * is the line as it is.
 */
function isTheLine(tree: Tree, node: SyntaxNode): boolean {
  const text = node.getChild("String");
  return text !== null && /^\{\{\s*\.log\s*\}\}$/.test(unquote(tree.text(text), text.from));
}

function readLine(tree: Tree, node: SyntaxNode): Stage {
  const sign = node.getChild("Filter");
  const op = sign ? tree.text(sign) : "";
  const function_ = node.getChild("FilterOp");
  if (function_) throw tree.unsupported(function_);
  if (sign && op !== "|=" && op !== "!=" && op !== "|~" && op !== "!~") throw tree.unsupported(sign);
  const texts: string[] = [];
  for (let at: SyntaxNode | null = node; at; at = at.getChild("OrFilter")) {
    const text = at.getChild("String");
    if (!text) throw tree.unsupported(at);
    texts.push(unquote(tree.text(text), text.from));
    if (op === "|~" || op === "!~") tree.checkPattern(texts.at(-1) ?? "", text.from);
  }
  return { kind: "line", op: op as "|=" | "!=" | "|~" | "!~", texts };
}

function readFilter(tree: Tree, node: SyntaxNode): LabelFilter {
  const [left, right] = node.getChildren("LabelFilter");
  if (left && right) {
    const kind = node.getChild("Or") ? "or" : "and";
    return { kind, left: readFilter(tree, left), right: readFilter(tree, right) };
  }
  if (left) return readFilter(tree, left);
  const matcher = node.getChild("Matcher");
  if (matcher) return { kind: "text", matcher: readMatcher(tree, matcher) };
  const number = node.getChild("NumberFilter");
  if (!number) throw tree.unsupported(node.firstChild ?? node);
  const [name, op, value] = tree.children(number);
  if (!name || !op || !value) throw new Problem("a label filter is not whole", number.from);
  const sign = tree.text(op) === "=" ? "==" : tree.text(op);
  return {
    kind: "number",
    name: tree.text(name),
    op: sign as CompareOp,
    value: Number(tree.text(value).replaceAll(/\s/g, "")),
  };
}

function readChoices(tree: Tree, node: SyntaxNode, word: "Drop" | "Keep"): readonly LabelChoice[] {
  return tree.flat(node.getChild(`${word}Labels`), `${word}Labels`, `${word}Label`).map((each) => {
    const matcher = each.getChild("Matcher");
    if (!matcher) return { name: tree.text(each) };
    const read = readMatcher(tree, matcher);
    return { name: read.name, matcher: read };
  });
}
