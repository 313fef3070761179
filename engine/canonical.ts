import type { Expression, Operand, RightOperand, TransformerArgument } from "./ast.ts";

/**
 * One text per meaning: every group in parentheses, one blank around operators, values quoted only where
 * they must be. It is Falco's own canonical form, so that compiled conditions can be compared with it.
 */
export function canonical(expression: Expression): string {
  switch (expression.kind) {
    case "and":
    case "or":
      return `(${expression.parts.map(canonical).join(` ${expression.kind} `)})`;
    case "not":
      return `not ${canonical(expression.part)}`;
    case "identifier":
      return expression.name;
    case "check": {
      const { left, operator, modifier, right } = expression;
      const words = [operandText(left), operator];
      if (modifier !== undefined) words.push(modifier);
      if (right !== undefined) words.push(rightText(right));
      return words.join(" ");
    }
  }
}

/** A field or transformer call as a rule would write it; also the key of a field in an alert. */
export function operandText(operand: Operand): string {
  const argument = operand.argument === undefined ? "" : `[${operand.argument}]`;
  if (operand.kind === "field") return `${operand.name}${argument}`;
  return `${operand.name}(${operand.args.map(argumentText).join(", ")})${argument}`;
}

function argumentText(argument: TransformerArgument): string {
  if (argument.kind === "group") return `(${argument.items.map(argumentText).join(", ")})`;
  if (argument.kind === "literal") return quote(argument.value);
  return operandText(argument);
}

function rightText(right: RightOperand): string {
  if (right.kind === "value") return valueText(right.value);
  if (right.kind === "list") return `(${right.values.map(valueText).join(", ")})`;
  return operandText(right);
}

// The text of a rule may hold any of these; only they need quotes.
// oxlint-disable-next-line eslint/no-control-regex
const special = /[\s="'\\\u0000-\u001f]/;

function valueText(value: string): string {
  return value === "" || special.test(value) ? quote(value) : value;
}

const escapes: ReadonlyMap<string, string> = new Map([
  ["\b", "\\b"],
  ["\f", "\\f"],
  ["\n", "\\n"],
  ["\r", "\\r"],
  ["\t", "\\t"],
  ["\\", "\\\\"],
  ['"', '\\"'],
]);

function quote(value: string): string {
  let text = "";
  for (const char of value) text += escapes.get(char) ?? char;
  return `"${text}"`;
}
