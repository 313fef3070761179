/** How the elements of a list are combined by a check such as `startswith oneof (a, b)`. */
export type Modifier = "oneof" | "anyof" | "allof";

/** A field as written, e.g. `ka.uri.param[k]`. */
export interface FieldReference {
  readonly kind: "field";
  readonly name: string;
  readonly argument: string | undefined;
  readonly at: number;
}

/** A literal inside a transformer call. */
export interface Literal {
  readonly kind: "literal";
  readonly value: string;
  readonly at: number;
}

/** The parenthesised list that `join` takes. */
export interface TransformerList {
  readonly kind: "group";
  readonly items: readonly TransformerArgument[];
  readonly at: number;
}

export type TransformerArgument = Operand | Literal | TransformerList;

/** A call such as `tolower(ka.user.name)`; `val(field)` on the right-hand side is one too. */
export interface TransformerCall {
  readonly kind: "transformer";
  readonly name: string;
  readonly args: readonly TransformerArgument[];
  readonly argument: string | undefined;
  readonly at: number;
}

export type Operand = FieldReference | TransformerCall;

export interface ValueOperand {
  readonly kind: "value";
  readonly value: string;
  readonly at: number;
}

export interface ListOperand {
  readonly kind: "list";
  readonly values: readonly string[];
  readonly at: number;
}

export type RightOperand = ValueOperand | ListOperand | Operand;

/** What stands in place of a macro's name remembers it, so that people can be told; it has no meaning. */
interface Written {
  /** Names of the macros that stood here, the outermost first. */
  readonly macros?: readonly string[];
}

/** One comparison. `right` is missing for `exists` only. */
export interface Check extends Written {
  readonly kind: "check";
  readonly left: Operand;
  readonly operator: string;
  readonly modifier: Modifier | undefined;
  readonly right: RightOperand | undefined;
  readonly at: number;
}

/** The name of a macro; none is left once macros are resolved. */
export interface Identifier {
  readonly kind: "identifier";
  readonly name: string;
  readonly at: number;
}

export interface Group extends Written {
  readonly kind: "and" | "or";
  readonly parts: readonly Expression[];
  readonly at: number;
}

export interface Negation extends Written {
  readonly kind: "not";
  readonly part: Expression;
  readonly at: number;
}

/**
 * A parsed condition. `at` is the offset, in UTF-16 units, into the text that was parsed; lines and columns
 * are worked out only when something is reported.
 */
export type Expression = Group | Negation | Check | Identifier;

/** Where reading an operand got to last, which is the place Falco names when the operand does not fit. */
export function lastPlace(operand: TransformerArgument): number {
  const last = operand.kind === "transformer" ? operand.args.at(-1) : undefined;
  return last === undefined ? operand.at : lastPlace(last);
}
