import { lastPlace, type Operand, type TransformerArgument } from "./ast.ts";
import { operandText } from "./canonical.ts";
import type { Compat, FieldType } from "./fields/field.ts";
import { bindField, type BoundField } from "./fields/registry.ts";
import { SyntaxProblem } from "./lexer.ts";
import { findTransformer, type Shape } from "./transformers.ts";

/** An operand whose fields exist and whose types fit. */
export interface ResolvedOperand extends Shape {
  readonly source: ResolvedSource;
  /** The fields it reads, in the order of writing. */
  readonly fields: readonly BoundField[];
}

export type ResolvedSource =
  | { readonly kind: "field"; readonly field: BoundField }
  | { readonly kind: "literal"; readonly value: string }
  | { readonly kind: "group"; readonly items: readonly ResolvedOperand[] }
  | {
      readonly kind: "call";
      readonly name: string;
      readonly argument: string | undefined;
      readonly args: readonly ResolvedOperand[];
    };

/** Resolves fields and checks the types of transformer calls. Throws {@link SyntaxProblem} at the culprit. */
export function resolveOperand(operand: Operand, compat: Compat, source?: string): ResolvedOperand {
  if (operand.kind === "field") {
    const outcome = bindField(operand.name, operand.argument, compat, source);
    if (!outcome.ok) throw new SyntaxProblem(outcome.message, operand.at);
    return fieldOperand(outcome.field);
  }
  const transformer = findTransformer(operand.name, operand.argument);
  if (transformer === undefined) {
    const why = operand.argument === undefined ? "does not exist" : "takes no argument in brackets";
    throw new SyntaxProblem(`transformer '${operand.name}' ${why}`, operand.at);
  }
  const args = operand.args.map((arg) => resolveArgument(arg, compat, source));
  const alone = operand.name === "val" ? undefined : args.flatMap((arg) => arg.fields).find(isUsedAlone);
  if (alone !== undefined) {
    throw new SyntaxProblem(`field '${alone.key}' does not support transformers`, lastPlace(operand));
  }
  const shape = transformer.shape(args);
  if (!shape.ok) throw new SyntaxProblem(shape.message, lastPlace(operand));
  const text = operand.name === "val" ? (args[0]?.text ?? "") : operandText(operand);
  const call = { kind: "call", name: operand.name, argument: operand.argument, args } as const;
  const fields = args.flatMap((arg) => arg.fields);
  return { source: call, fields, type: shape.type, isList: shape.isList, text, isLiteral: false };
}

/** Whether a field is compared in a way of its own, which has no value to give to anything else. */
export function isUsedAlone({ definition: { isAny = false, isFilterOnly = false } }: BoundField): boolean {
  return isAny || isFilterOnly;
}

/** An operand that is a plain field. */
export function fieldOperand(field: BoundField): ResolvedOperand {
  const { type, isList } = field.definition;
  return {
    source: { kind: "field", field },
    fields: [field],
    type,
    isList,
    text: field.key,
    isLiteral: false,
  };
}

function resolveArgument(
  argument: TransformerArgument,
  compat: Compat,
  source: string | undefined,
): ResolvedOperand {
  if (argument.kind === "literal") {
    const { value } = argument;
    return { source: { kind: "literal", value }, fields: [], ...textShape, text: value, isLiteral: true };
  }
  if (argument.kind !== "group") return resolveOperand(argument, compat, source);
  const items = argument.items.map((item) => resolveArgument(item, compat, source));
  // A number stands in a list as it is printed; only a list has no place there.
  const wrong = items.find(({ isList }) => isList);
  if (wrong !== undefined) {
    throw new SyntaxProblem(`'${wrong.text}' can not be an element of a list`, argument.at);
  }
  const fields = items.flatMap((item) => item.fields);
  return {
    source: { kind: "group", items },
    fields,
    ...textShape,
    isList: true,
    text: "list",
    isLiteral: false,
  };
}

const textShape: { readonly type: FieldType; readonly isList: boolean } = { type: "CHARBUF", isList: false };
