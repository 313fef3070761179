import { type AppendOutput, withAppended } from "./append-output.ts";
import type { Check, Expression } from "./ast.ts";
import { canonical } from "./canonical.ts";
import type { Collector, Warn } from "./collector.ts";
import { compileCondition, Slots } from "./compile.ts";
import type { RuleDefinition } from "./definitions.ts";
import { conditionWithoutExceptions, describeExceptions } from "./exception-info.ts";
import { withExceptions } from "./exceptions.ts";
import type { Compat } from "./fields/field.ts";
import { bindField } from "./fields/registry.ts";
import { builtInSources } from "./fields/registry.ts";
import { type Context, LoadProblem } from "./findings.ts";
import { SyntaxProblem } from "./lexer.ts";
import { expandedLengthMax, prepareLists, type ReadyList, substituteLists } from "./lists.ts";
import { resolveMacros } from "./macros.ts";
import { parseOutput, unprintableIn } from "./output.ts";
import { parseCondition, transformers } from "./parser.ts";
import { CheckFields, checkSource, checksOf, reachOf } from "./rule-reach.ts";
import { checkStatics, type StaticFields, staticFieldNames, unknownStaticIn } from "./static-fields.ts";
import type { CompiledRule, RuleInfo } from "./ruleset.ts";

/** A rule after expansion. */
export interface ExpandedRule {
  readonly info: RuleInfo;
  readonly compiled: CompiledRule;
}

/** What configuration adds to rules. */
interface CompilerOptions {
  readonly appendOutput?: readonly AppendOutput[];
  readonly staticFields?: StaticFields;
}

interface Condition {
  readonly text: string;
  readonly expression: Expression;
  readonly context: Context;
}

/** Expands and compiles everything a collector holds. Throws {@link LoadProblem} at the first error. */
export class RuleCompiler {
  private readonly collector: Collector;
  private readonly compat: Compat;
  private readonly warn: Warn;
  private readonly lists: readonly ReadyList[];
  private readonly macros: Map<string, Condition>;
  private readonly appendOutput: readonly AppendOutput[];
  private readonly statics: readonly string[];
  private readonly checkFields: CheckFields;
  private readonly usedLists: Set<string>;
  private readonly usedMacros: Set<string>;

  constructor(collector: Collector, compat: Compat, warn: Warn, options: CompilerOptions = {}) {
    this.collector = collector;
    this.appendOutput = options.appendOutput ?? [];
    this.statics = staticFieldNames(options.staticFields ?? {});
    this.compat = compat;
    this.warn = warn;
    this.checkFields = new CheckFields(compat);
    this.usedLists = new Set();
    this.usedMacros = new Set();
    this.lists = prepareLists(collector.lists, (name) => this.usedLists.add(name));
    this.macros = new Map();
  }

  compile(): readonly ExpandedRule[] {
    const { collector } = this;
    for (const { value } of collector.macros.values()) {
      this.macros.set(value.name, this.parse(value.condition, value.conditionContext));
    }
    for (const { value, visibility } of collector.macros.values()) {
      const parsed = this.macros.get(value.name);
      if (parsed === undefined) continue;
      const expression = this.resolve(parsed, visibility, value.context);
      this.macros.set(value.name, { ...parsed, expression });
    }
    const rules = [...collector.rules.values()].flatMap(({ value }) => this.rule(value) ?? []);
    this.warnOfUnused();
    return rules;
  }

  private rule(rule: RuleDefinition): ExpandedRule | undefined {
    if (!builtInSources.includes(rule.source)) return undefined;
    const text = withExceptions(rule.condition, rule.exceptions);
    const output = this.output(rule);
    if (output === undefined) return undefined;
    const parsed = this.parse(text, rule.conditionContext);
    const condition = this.resolve(parsed, Number.POSITIVE_INFINITY, rule.context);
    this.warnOfMissingValues(condition, rule.conditionContext);
    try {
      checkSource(condition, rule.source, this.compat);
      checkStatics(condition, this.statics);
      compileCondition(condition, new Slots(), this.compat);
    } catch (error) {
      if (!(error instanceof SyntaxProblem)) throw error;
      const place = this.blame(parsed, error);
      if (!this.isSkipped(rule, error.message, place)) {
        throw new LoadProblem("LOAD_ERR_COMPILE_CONDITION", error.message, place);
      }
      return undefined;
    }
    this.warnOfValues(condition, parsed, rule.source);
    if (rule.source === "syscall" && !this.isReachable(rule, condition)) return undefined;
    const { name, priority, source, tags, enabled, desc } = rule;
    return {
      info: {
        name,
        priority,
        source,
        tags,
        enabled,
        desc,
        condition: canonical(condition),
        ownCondition: conditionWithoutExceptions(condition, rule.exceptions),
        exceptions: describeExceptions(rule.exceptions),
        output: rule.output,
      },
      compiled: { name, priority, source, tags, enabled, condition, ...output },
    };
  }

  /** The text to print and the fields to list, all of them known; undefined when the rule is left out. */
  private output(rule: RuleDefinition): Pick<CompiledRule, "output" | "extraFields"> | undefined {
    const whole = withAppended(rule, this.appendOutput, this.statics);
    const output = whole.output.replaceAll("%container.info", "");
    if (output !== whole.output) this.warn("LOAD_DEPRECATED_ITEM", containerInfoWords, rule.context);
    const problem = this.outputProblem(output, rule.source);
    if (problem !== undefined) {
      if (this.isSkipped(rule, problem, outputPlace(rule))) return undefined;
      throw new LoadProblem("LOAD_ERR_COMPILE_OUTPUT", problem, outputPlace(rule));
    }
    for (const { key, format } of whole.extraFields) {
      const extra = this.outputProblem(format, rule.source);
      if (extra === undefined) continue;
      const message = `${extra} (in the extra field '${key}' that configuration appends)`;
      throw new LoadProblem("LOAD_ERR_COMPILE_OUTPUT", message, outputPlace(rule));
    }
    return whole.extraFields.length === 0 ? { output } : { ...whole, output };
  }

  private outputProblem(text: string, source: string): string | undefined {
    const outcome = parseOutput(text, this.compat, source);
    if (!outcome.ok) return outcome.message;
    return unprintableIn(outcome.template) ?? unknownStaticIn(outcome.template, this.statics);
  }

  /** Whether records of system calls can ever match the rule. What stands in the way, or is missing, is warned of. */
  private isReachable(rule: RuleDefinition, condition: Expression): boolean {
    const { needs, missing, isBroad } = reachOf(condition, this.checkFields);
    if (isBroad && rule.warnEvttypes) this.warn("LOAD_NO_EVTTYPE", broadWords, rule.context);
    if (needs.length > 0) {
      const words = `Rule '${rule.name}' is skipped: Linux audit records can not give it ${needs.join(", ")}`;
      this.warn("LOAD_UNAVAILABLE_FILTER", words, rule.context);
    } else if (missing.length > 0) {
      const words = `Rule '${rule.name}' reads as missing: ${missing.join(", ")}`;
      this.warn("LOAD_UNAVAILABLE_FILTER", words, rule.context);
    }
    return needs.length === 0;
  }

  private isSkipped(rule: RuleDefinition, message: string, place: Context): boolean {
    const isUnknown = [
      "nonexistent field",
      "invalid formatting token",
      "unknown event type",
      "unknown filter:",
    ].some((words) => message.includes(words));
    if (!rule.skipIfUnknownFilter || !isUnknown) return false;
    this.warn("LOAD_UNKNOWN_FILTER", message, place);
    return true;
  }

  private parse(condition: string, context: Context): Condition {
    const text = substituteLists(condition, this.lists, (name) => this.usedLists.add(name));
    if (text === undefined) {
      const message = `condition is longer than ${expandedLengthMax} characters once its lists are written out`;
      throw new LoadProblem("LOAD_ERR_VALIDATE", message, context);
    }
    const outcome = parseCondition(text);
    if (outcome.ok) return { text, expression: outcome.expression, context };
    throw new LoadProblem(
      "LOAD_ERR_COMPILE_CONDITION",
      outcome.message,
      context.inCondition(text, outcome.at),
    );
  }

  private resolve({ expression, text }: Condition, visibility: number, context: Context): Expression {
    const outcome = resolveMacros(expression, (name) => {
      const placed = this.collector.macros.get(name);
      return placed === undefined || placed.index >= visibility
        ? undefined
        : this.macros.get(name)?.expression;
    });
    if (!outcome.ok) {
      throw new LoadProblem("LOAD_ERR_VALIDATE", outcome.message, context.inCondition(text, outcome.at));
    }
    for (const name of outcome.used) this.usedMacros.add(name);
    return outcome.expression;
  }

  /** Finds the text that a problem stands in: the rule's own, or that of a macro it uses. */
  private blame(own: Condition, problem: SyntaxProblem): Context {
    const guilty = [own, ...this.macros.values()].find(({ expression }) =>
      checksOf(expression).some((check) => this.fails(check, problem)),
    );
    const place = guilty ?? own;
    return place.context.inCondition(place.text, problem.at);
  }

  private fails(check: Check, problem: SyntaxProblem): boolean {
    try {
      compileCondition(check, new Slots(), this.compat);
      return false;
    } catch (error) {
      return error instanceof SyntaxProblem && error.message === problem.message && error.at === problem.at;
    }
  }

  private warnOfMissingValues(condition: Expression, context: Context): void {
    const operators = ["=", "==", "!=", "in", "intersects", "pmatch"];
    const isUnsafe = checksOf(condition).some(
      (check) =>
        check.left.kind === "field" &&
        /^(?:ka|jevt)\./.test(check.left.name) &&
        operators.includes(check.operator) &&
        constantsOf(check).includes("<NA>"),
    );
    if (isUnsafe) this.warn("LOAD_UNSAFE_NA_CHECK", "", context);
  }

  /** Values that are probably not what was meant. */
  private warnOfValues(condition: Expression, { text, context }: Condition, source: string): void {
    for (const check of checksOf(condition)) {
      for (const value of constantsOf(check)) {
        for (const message of suspicions(check.operator, value, this.compat, source)) {
          this.warn(
            "LOAD_COMPILE_CONDITION",
            message,
            context.inCondition(text, check.right?.at ?? check.at),
          );
        }
      }
    }
  }

  private warnOfUnused(): void {
    for (const { value } of this.collector.macros.values()) {
      if (this.usedMacros.has(value.name)) continue;
      this.warn("LOAD_UNUSED_MACRO", "Macro not referred to by any other rule/macro", value.context);
    }
    for (const { value } of this.collector.lists.values()) {
      if (this.usedLists.has(value.name)) continue;
      this.warn("LOAD_UNUSED_LIST", "List not referred to by any other rule/macro", value.context);
    }
  }
}

/** Old rules end in this word, which has come to mean nothing. */
const containerInfoWords = "%container.info is deprecated and prints nothing. Remove it from the output.";

const broadWords = "Rule matches too many evt.type values. This has a significant performance penalty.";

function outputPlace({ outputContext }: RuleDefinition): Context {
  const offset = outputContext.locations.at(-1)?.position.offset ?? 0;
  return outputContext.child("rule output expression", "", offset);
}

function constantsOf({ right }: Check): readonly string[] {
  if (right?.kind === "value") return [right.value];
  return right?.kind === "list" ? right.values : [];
}

function suspicions(operator: string, value: string, compat: Compat, source: string): readonly string[] {
  const found: string[] = [];
  if (operator === "regex" && isSimplePattern(value)) {
    const simpler = ["=", "contains", "startswith", "endswith"].map((word) => `'${word}'`).join(", ");
    found.push(`regex check with '${value}' may be optimized with simpler operators such as ${simpler}`);
  }
  const dense = value.replaceAll(/\s+/g, "");
  const open = dense.indexOf("[");
  const argument = open > 0 && dense.endsWith("]") ? dense.slice(open + 1, -1) : undefined;
  if (bindField(argument === undefined ? dense : dense.slice(0, open), argument, compat, source).ok) {
    found.push(`'${value}' may be a valid field misused as a const string value`);
  }
  if (["val", ...transformers].some((name) => dense.startsWith(`${name}(`)) && dense.endsWith(")")) {
    found.push(`'${value}' may be a valid field transformer misused as a const string value`);
  }
  return found;
}

/** Whether a pattern is fixed text but for anchors and a wildcard at either end. */
function isSimplePattern(pattern: string): boolean {
  const core = pattern.replace(/^\^/, "").replace(/\$$/, "");
  const inner = (pattern === core ? core.replace(/^\.[+*?]/, "") : core).replace(/\.[+*?]$/, (end) =>
    pattern.endsWith(end) ? "" : end,
  );
  return !/[.+*?^$()[\]{}|\\]/.test(inner);
}
