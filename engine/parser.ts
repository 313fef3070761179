import type {
  Check,
  Expression,
  FieldReference,
  ListOperand,
  Modifier,
  Operand,
  RightOperand,
  TransformerArgument,
  TransformerCall,
} from "./ast.ts";
import { Cursor, SyntaxProblem } from "./lexer.ts";

/** How deep parentheses, negations and transformer calls may nest. Deeper text is refused, never a crash. */
export const nestingMax = 250;

const numberOperators = ["<=", "<", ">=", ">"] as const;
const symbolOperators = ["==", "=", "!="] as const;
const wordOperators = [
  "glob",
  "iglob",
  "contains",
  "icontains",
  "bcontains",
  "startswith",
  "bstartswith",
  "endswith",
  "regex",
] as const;
const modifiers = ["oneof", "anyof", "allof"] as const;

/** Operators that take a list. */
export const listOperators = ["intersects", "in", "pmatch"] as const;
/** Operators that take a string and may carry a modifier. */
export const stringOperators: readonly string[] = [...symbolOperators, ...wordOperators];
/** Every operator, in the order in which messages list them. */
export const operators: readonly string[] = [
  "exists",
  ...numberOperators,
  ...stringOperators,
  ...listOperators,
];
/** Every function a field can be passed through. */
export const transformers = [
  "tolower",
  "toupper",
  "b64",
  "basename",
  "len",
  "join",
  "concat",
  "getopt",
] as const;

const names = (words: readonly string[]): string => words.map((word) => `'${word}'`).join(", ");
const transformerNames = names(["val", ...transformers]);
const operatorExpected = `expected a valid check operator: one of ${names(operators)}`;
const orTransformer = `or a field with a valid transformer: ${transformerNames}`;

export type ParseOutcome =
  | { readonly ok: true; readonly expression: Expression }
  | { readonly ok: false; readonly message: string; readonly at: number };

/** Parses the text of a condition. Never throws, whatever the text. */
export function parseCondition(text: string): ParseOutcome {
  if (text === "") return { ok: false, message: "filter input string is empty", at: 0 };
  const parser = new Parser(text, 0);
  try {
    const expression = parser.or();
    if (!parser.cursor.done) {
      throw parser.cursor.problem(`unexpected token after '${parser.cursor.last}', expecting 'or', 'and'`);
    }
    return { ok: true, expression };
  } catch (error) {
    if (error instanceof SyntaxProblem) return { ok: false, message: error.message, at: error.at };
    throw error;
  }
}

/**
 * Parses a transformer call that starts at `at` of a longer text, such as an output, and says where it ends: behind its
 * brackets, or before them. Gives undefined when none starts there.
 */
export function parseTransformerAt(
  text: string,
  at: number,
  hasBrackets = true,
): { call: TransformerCall; end: number } | undefined {
  const parser = new Parser(text, at);
  try {
    const call = hasBrackets ? parser.transformer() : parser.transformerCall();
    return call === undefined ? undefined : { call, end: parser.cursor.at };
  } catch (error) {
    if (error instanceof SyntaxProblem) return undefined;
    throw error;
  }
}

class Parser {
  readonly cursor: Cursor;
  private depth: number;

  constructor(text: string, at: number) {
    this.cursor = new Cursor(text, at);
    this.depth = 0;
  }

  or(): Expression {
    return this.nested(() => this.sequence("or", () => this.and()));
  }

  private and(): Expression {
    return this.sequence("and", () => this.not());
  }

  private sequence(kind: "and" | "or", next: () => Expression): Expression {
    const { cursor } = this;
    const at = cursor.at;
    cursor.blank();
    const first = next();
    const parts = [first];
    cursor.blank();
    while (cursor.take(kind)) {
      if (cursor.blank()) parts.push(next());
      else if (cursor.take("(")) parts.push(this.remainder());
      else throw cursor.problem(`expected blank or '(' after '${kind}'`);
      cursor.blank();
    }
    return parts.length === 1 ? first : { kind, parts, at };
  }

  private not(): Expression {
    const { cursor } = this;
    const at = cursor.at;
    cursor.blank();
    let negated = false;
    while (cursor.takeNot()) negated = !negated;
    let part: Expression;
    if (cursor.take("not(")) {
      negated = !negated;
      part = this.remainder();
    } else {
      part = this.check();
    }
    return negated ? { kind: "not", part, at } : part;
  }

  /** What follows an opening parenthesis, and the closing one. */
  private remainder(): Expression {
    const part = this.or();
    this.cursor.blank();
    if (!this.cursor.take(")")) throw this.cursor.problem("expected a ')' token");
    return part;
  }

  private check(): Expression {
    const { cursor } = this;
    const at = cursor.at;
    if (cursor.take("(")) return this.remainder();
    const left = this.field() ?? this.transformer();
    if (left !== undefined) return this.condition(left, at);
    const name = cursor.identifier();
    if (name === undefined) throw cursor.problem("expected a '(' token, a field check, or an identifier");
    return { kind: "identifier", name, at };
  }

  private field(): FieldReference | undefined {
    const { cursor } = this;
    const at = cursor.at;
    const name = cursor.fieldName();
    if (name === undefined) return undefined;
    return { kind: "field", name, argument: this.argument(), at };
  }

  private argument(): string | undefined {
    const { cursor } = this;
    if (!cursor.take("[")) return undefined;
    const argument = cursor.quoted() ?? cursor.fieldArgument();
    if (argument === undefined) {
      throw cursor.problem("expected a valid field argument: a quoted string or a bare string");
    }
    if (!cursor.take("]")) throw cursor.problem("expected a ']' token");
    return argument;
  }

  transformer(): TransformerCall | undefined {
    const call = this.transformerCall();
    return call === undefined ? undefined : { ...call, argument: this.argument() };
  }

  transformerCall(): TransformerCall | undefined {
    const { cursor } = this;
    const at = cursor.at;
    const name = transformers.find((word) => cursor.take(`${word}(`));
    if (name === undefined) return undefined;
    const args = this.nested(() => this.callArguments());
    if (!cursor.take(")")) throw cursor.problem("expected a ')' token closing the transformer");
    return { kind: "transformer", name, args, argument: undefined, at };
  }

  private callArguments(): readonly TransformerArgument[] {
    const { cursor } = this;
    const args: TransformerArgument[] = [];
    cursor.blank();
    do {
      cursor.blank();
      const arg = this.callArgument();
      if (arg === undefined) {
        throw cursor.problem(`expected a field or a nested valid transformer: ${transformerNames}`);
      }
      args.push(arg);
      cursor.blank();
    } while (cursor.take(","));
    return args;
  }

  private callArgument(): TransformerArgument | undefined {
    const { cursor } = this;
    const at = cursor.at;
    const operand = this.transformer() ?? this.field();
    if (operand !== undefined) return operand;
    if (cursor.take("(")) {
      cursor.blank();
      if (cursor.take(")")) return { kind: "group", items: [], at };
      const items = this.nested(() => this.callArguments());
      if (!cursor.take(")")) throw cursor.problem("expected a ')' token closing the list");
      return { kind: "group", items, at };
    }
    const value = cursor.quoted() ?? cursor.number();
    return value === undefined ? undefined : { kind: "literal", value, at };
  }

  private condition(left: Operand, at: number): Check {
    const { cursor } = this;
    cursor.blank();
    if (cursor.take("exists")) {
      return { kind: "check", left, operator: "exists", modifier: undefined, right: undefined, at };
    }
    const numeric = numberOperators.find((word) => cursor.take(word));
    if (numeric !== undefined) return this.checkOf(left, numeric, this.numberValue(), at);
    const text =
      symbolOperators.find((word) => cursor.take(word)) ?? wordOperators.find((w) => cursor.takeWord(w));
    if (text !== undefined) {
      cursor.blank();
      const modifier = this.modifier();
      const right = modifier === undefined ? this.stringValue() : this.listValue();
      return { kind: "check", left, operator: text, modifier, right, at };
    }
    const list = listOperators.find((word) => cursor.take(word));
    if (list === undefined) throw cursor.problem(operatorExpected);
    return this.checkOf(left, list, this.listValue(), at);
  }

  private checkOf(left: Operand, operator: string, right: RightOperand, at: number): Check {
    return { kind: "check", left, operator, modifier: undefined, right, at };
  }

  /** A modifier is one only when a list can follow; else the word is an ordinary value. */
  private modifier(): Modifier | undefined {
    const { cursor } = this;
    for (const word of modifiers) {
      const before = cursor.at;
      if (!cursor.takeWord(word)) continue;
      if (cursor.text.charAt(cursor.at) === "(") return word;
      const start = cursor.at;
      const next = cursor.identifier();
      if (next !== undefined && next !== "and" && next !== "or") {
        cursor.at = start;
        return word;
      }
      cursor.at = before;
    }
    return undefined;
  }

  private numberValue(): RightOperand {
    const { cursor } = this;
    cursor.blank();
    const at = cursor.at;
    const operand = this.rightOperand();
    if (operand !== undefined) return operand;
    const value = cursor.number();
    if (value === undefined) throw cursor.problem(`expected a number value ${orTransformer}`);
    return { kind: "value", value, at };
  }

  private stringValue(): RightOperand {
    const { cursor } = this;
    cursor.blank();
    const at = cursor.at;
    const operand = this.rightOperand();
    if (operand !== undefined) return operand;
    const value = cursor.quoted() ?? cursor.bareString();
    if (value === undefined) throw cursor.problem(`expected a string value ${orTransformer}`);
    return { kind: "value", value, at };
  }

  private listValue(): RightOperand {
    const { cursor } = this;
    cursor.blank();
    const at = cursor.at;
    if (cursor.take("(")) return this.listRemainder(at);
    const operand = this.rightOperand();
    if (operand !== undefined) return operand;
    const value = cursor.identifier();
    if (value === undefined) throw cursor.problem(`expected a list, an identifier, ${orTransformer}`);
    return { kind: "list", values: [value], at };
  }

  private listRemainder(at: number): ListOperand {
    const { cursor } = this;
    cursor.blank();
    const values: string[] = [];
    const first = cursor.quoted() ?? cursor.bareString();
    if (first !== undefined) {
      values.push(first);
      cursor.blank();
      while (cursor.take(",")) {
        cursor.blank();
        const value = cursor.quoted() ?? cursor.bareString();
        if (value === undefined) throw cursor.problem("expected a string value");
        values.push(value);
        cursor.blank();
      }
    }
    if (!cursor.take(")")) throw cursor.problem("expected a ')' token");
    return { kind: "list", values, at };
  }

  /** `val(field)` or a transformer call; the plain name of a field on this side is an ordinary string. */
  private rightOperand(): Operand | undefined {
    const { cursor } = this;
    const at = cursor.at;
    if (!cursor.take("val(")) return this.transformer();
    cursor.blank();
    const field = this.field();
    if (field === undefined) throw cursor.problem("expected a field within 'val' transformer");
    cursor.blank();
    if (!cursor.take(")")) throw cursor.problem("expected a ')' token closing the transformer");
    return { kind: "transformer", name: "val", args: [field], argument: undefined, at };
  }

  private nested<T>(read: () => T): T {
    if (++this.depth > nestingMax) throw this.cursor.problem(`exceeded max depth limit of ${nestingMax}`);
    const value = read();
    this.depth--;
    return value;
  }
}
