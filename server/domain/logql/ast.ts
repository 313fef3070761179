/** How a label is compared; `=~` and `!~` take RE2's patterns, which have to match the whole value. */
export type MatchOp = "=" | "!=" | "=~" | "!~";

export interface Matcher {
  readonly name: string;
  readonly op: MatchOp;
  readonly value: string;
  /** Where it stands in the query, for errors. */
  readonly at: number;
}

/** A condition on the labels that a line has when it comes to it. */
export type LabelFilter =
  | { readonly kind: "and" | "or"; readonly left: LabelFilter; readonly right: LabelFilter }
  | { readonly kind: "text"; readonly matcher: Matcher }
  | { readonly kind: "number"; readonly name: string; readonly op: CompareOp; readonly value: number };

export type CompareOp = "==" | "!=" | ">" | ">=" | "<" | "<=";

/** What happens to a line on its way, in the order in which it is written. */
export type Stage =
  /** `|= "a" or "b"`: one of the texts is enough; for the two that exclude, one is enough to exclude. */
  | { readonly kind: "line"; readonly op: "|=" | "!=" | "|~" | "!~"; readonly texts: readonly string[] }
  | { readonly kind: "json" }
  | { readonly kind: "filter"; readonly filter: LabelFilter }
  | { readonly kind: "drop" | "keep"; readonly labels: readonly LabelChoice[] };

/** A label by its name, and where a matcher stands, only when its value matches. */
export interface LabelChoice {
  readonly name: string;
  readonly matcher?: Matcher;
}

export interface LogExpr {
  readonly kind: "log";
  readonly matchers: readonly Matcher[];
  readonly stages: readonly Stage[];
}

export type RangeOp = "count_over_time" | "rate" | "bytes_over_time" | "bytes_rate";

export interface RangeExpr {
  readonly kind: "range";
  readonly op: RangeOp;
  readonly log: LogExpr;
  readonly rangeMs: number;
  readonly offsetMs: number;
}

export type AggregateOp = "sum" | "avg" | "count" | "min" | "max" | "topk" | "bottomk" | "sort" | "sort_desc";

export interface Grouping {
  /** `without`: by all labels but these. */
  readonly isWithout: boolean;
  readonly labels: readonly string[];
}

export interface AggregateExpr {
  readonly kind: "aggregate";
  readonly op: AggregateOp;
  readonly grouping: Grouping;
  /** Of `topk` and `bottomk`. */
  readonly k: number;
  readonly of: MetricExpr;
}

export interface BinaryExpr {
  readonly kind: "binary";
  readonly op: "+" | "-" | "*" | "/" | "%" | "^" | CompareOp;
  readonly left: MetricExpr;
  readonly right: MetricExpr;
}

export type MetricExpr =
  | RangeExpr
  | AggregateExpr
  | BinaryExpr
  | { readonly kind: "number"; readonly value: number }
  | { readonly kind: "vector"; readonly value: number };

export type Expr = LogExpr | MetricExpr;
