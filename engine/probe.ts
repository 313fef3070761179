import type { Check, Expression, Operand, TransformerArgument } from "./ast.ts";
import { canonical, operandText } from "./canonical.ts";
import type { Detection, DetectorOptions } from "./detector.ts";
import { createEventStream } from "./event-stream.ts";
import type { CompiledRule, RuleSet } from "./ruleset.ts";

/** What single checks and fields say about one event. */
export interface Probed {
  /** For each check, in their order, whether it holds. */
  readonly verdicts: readonly boolean[];
  /** Texts of fields and transformer calls; null where missing. */
  readonly values: ReadonlyMap<string, ProbedValue>;
  /** How many events the text held, and why it held none. */
  readonly events: number;
  readonly problems: readonly string[];
}

export type ProbedValue = string | number | boolean | null | readonly ProbedValue[];

/** The checks of a condition from left to right. */
export function checksIn(expression: Expression): readonly Check[] {
  switch (expression.kind) {
    case "and":
    case "or":
      return expression.parts.flatMap(checksIn);
    case "not":
      return checksIn(expression.part);
    case "check":
      return [expression];
    case "identifier":
      return [];
  }
}

/** The fields that a check reads. */
export function fieldsIn({ left, right }: Check): readonly Operand[] {
  const isOperand = right?.kind === "field" || right?.kind === "transformer";
  return [left, ...(isOperand ? [right] : [])].flatMap(fieldsOf);
}

function fieldsOf(operand: TransformerArgument): readonly Operand[] {
  if (operand.kind === "field") return [operand];
  if (operand.kind === "literal") return [];
  return (operand.kind === "group" ? operand.items : operand.args).flatMap(fieldsOf);
}

/** Fields and transformer calls of a check, outer before inner; `val(field)` is its field. */
export function operandsIn(check: Check): readonly Operand[] {
  const outer = [check.left, check.right].filter(
    (operand) => operand?.kind === "transformer" && operand.name !== "val",
  ) as Operand[];
  return [...outer, ...fieldsIn(check)];
}

/**
 * Makes a function that says of an event what each check of a ruleset gives and what the fields hold. Each check becomes a rule
 * of its own, so the answer is the detector's and can never differ from what it would do. `shown` are the fields and calls whose values
 * are wanted: those that the checks read when left out.
 */
export function probe(
  checks: readonly Check[],
  source: string,
  ruleset: RuleSet,
  options: DetectorOptions,
  shown: readonly Operand[] = checks.flatMap(operandsIn),
): (line: string) => Probed {
  const rule = (name: string, condition: Expression, output: string): CompiledRule => ({
    name,
    priority: "Debug",
    source,
    tags: [],
    enabled: true,
    condition,
    output,
  });
  const calls = uniqueOf(shown).filter(isPrintable);
  const [first] = checks;
  // One of a check and its opposite always holds.
  const always: Expression | undefined =
    first === undefined
      ? undefined
      : { kind: "or", at: 0, parts: [first, { kind: "not", at: 0, part: first }] };
  const compiled = [
    ...checks.map((check, index) => rule(`check ${index}`, check, "held")),
    ...(always === undefined
      ? []
      : calls.map((call) => rule(operandText(call), always, `%${operandText(call)}`))),
  ];
  const rules = compiled.map((one) => ({ ...one, ...noInfo, condition: canonical(one.condition) }));
  const detect = detectOne({ ...ruleset, rules, compiled }, { ...options, ruleMatching: "all" });
  return (text) => {
    const { alerts, events, problems } = detect(text);
    const fired = new Set(alerts.map(({ rule: name }) => name));
    const values = alerts
      .filter(({ rule: name }) => !name.startsWith("check "))
      .map(({ rule: name, output, body }) => [name, valueIn(name, output, body)] as const);
    return {
      verdicts: checks.map((_, index) => fired.has(`check ${index}`)),
      values: new Map(values),
      events,
      problems,
    };
  };
}

const noInfo = { desc: "", ownCondition: "", exceptions: [] };

/** Makes a function that evaluates one event at a time: a JSON text, or all records of a system call. */
export function detectOne(ruleset: RuleSet, options: DetectorOptions): (text: string) => Detection {
  const stream = createEventStream(ruleset, options);
  return (text) => {
    const taken = stream.take(text);
    const rest = stream.end();
    return {
      alerts: [...taken.alerts, ...rest.alerts],
      events: taken.events + rest.events,
      problems: [...taken.problems, ...rest.problems],
    };
  };
}

/** Plain fields are taken from the alert's JSON, which knows lists and what is missing; calls only have their text. */
function valueIn(name: string, output: string, body: string): ProbedValue {
  const { output_fields: fields } = JSON.parse(body) as { output_fields: Record<string, ProbedValue> };
  if (Object.hasOwn(fields, name)) return fields[name] ?? null;
  const text = output.slice(output.indexOf(": Debug ") + ": Debug ".length);
  return text === "<NA>" ? null : text;
}

function uniqueOf(operands: readonly Operand[]): readonly Operand[] {
  return [...new Map(operands.map((operand) => [operandText(operand), operand])).values()];
}

/** An argument with a bracket or a quote in it can stand in a condition but not in an output. */
function isPrintable(operand: Operand): boolean {
  return operand.argument === undefined || !/[\]"'\s]/.test(operand.argument);
}
