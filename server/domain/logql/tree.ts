import type { SyntaxNode } from "@lezer/common";

import { checkPattern } from "./match.ts";
import { Problem } from "./problem.ts";

/** What the nodes of the grammar that are not answered here are called in LogQL. */
const words: Readonly<Record<string, string>> = {
  LogfmtParser: "the parser logfmt",
  LogfmtExpressionParser: "the parser logfmt",
  JsonExpressionParser: "json with expressions",
  LineFormatExpr: 'line_format, but for "{{.log}}"',
  LabelFormatExpr: "label_format",
  DecolorizeExpr: "decolorize",
  IpLabelFilter: "the filter ip()",
  FilterOp: "the filter ip()",
  UnitFilter: "a label filter with a duration or a size",
  UnwrapExpr: "unwrap",
  LabelReplaceExpr: "label_replace",
  LabelAggregationExpr: "approx_count_distinct",
  BinOpModifier: "on, ignoring, group_left, group_right and bool",
};

/** The sizes of all patterns of a query together: a line may meet every one of them. */
const patternSizesMax = 1_000;

/** A parsed query with its text. */
export class Tree {
  readonly root: SyntaxNode;
  readonly #source: string;
  #patternSizes = 0;

  constructor(source: string, root: SyntaxNode) {
    this.#source = source;
    this.root = root;
  }

  text(node: SyntaxNode): string {
    return this.#source.slice(node.from, node.to);
  }

  /** Throws where a pattern is none, or takes too long, alone or together with those that were checked before. */
  checkPattern(pattern: string, at: number): void {
    this.#patternSizes += checkPattern(pattern, at);
    if (this.#patternSizes > patternSizesMax) {
      throw new Problem("the regexps of the query are too large together: each line would take too long", at);
    }
  }

  children(node: SyntaxNode): readonly SyntaxNode[] {
    const found: SyntaxNode[] = [];
    for (let child = node.firstChild; child; child = child.nextSibling) found.push(child);
    return found;
  }

  /** The items of a list that the grammar nests to the left or to the right, in the order of the text. */
  flat(list: SyntaxNode | null, listName: string, itemName: string): readonly SyntaxNode[] {
    if (!list) return [];
    return this.children(list).flatMap((child) =>
      child.name === listName ? this.flat(child, listName, itemName) : child.name === itemName ? [child] : [],
    );
  }

  /** LogQL that Loki would answer and this does not. */
  unsupported(node: SyntaxNode): Problem {
    const what = words[node.name] ?? this.text(node).slice(0, 40);
    return new Problem(
      `not supported here: ${what}. See the LogQL that is answered from the built-in store in docs/grafana.md`,
      node.from,
    );
  }
}
