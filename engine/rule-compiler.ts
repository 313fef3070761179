import { type AppendOutput, withAppended } from "./append-output.ts";
import type { Check, Expression } from "./ast.ts";
import { canonical } from "./canonical.ts";
import { typeCheck } from "./check.ts";
import type { Collector, Warn } from "./collector.ts";
import { compileCheck, Slots } from "./compile.ts";
import { conditionWarnings, outputWarnings, valueWarnings, type Warning } from "./condition-warnings.ts";
import type { Context } from "./context.ts";
import type { MacroDefinition, RuleDefinition } from "./definitions.ts";
import { conditionWithoutExceptions, describeExceptions } from "./exception-info.ts";
import { withExceptions } from "./exceptions.ts";
import type { Compat } from "./fields/field.ts";
import { builtInSources } from "./fields/registry.ts";
import { LoadProblem } from "./findings.ts";
import { SyntaxProblem } from "./lexer.ts";
import { expandedLengthMax, prepareLists, type ReadyList, substituteLists } from "./lists.ts";
import { resolveMacros } from "./macros.ts";
import { parseOutput, unprintableIn } from "./output.ts";
import { parseCondition } from "./parser.ts";
import { CheckFields, checkEventTypes, checksOf, reachOf } from "./rule-reach.ts";
import type { CompiledRule, RuleInfo } from "./ruleset.ts";
import { SourceText } from "./source-text.ts";
import { checkStatics, type StaticFields, staticFieldNames, unknownStaticIn } from "./static-fields.ts";

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

/** The condition of a rule or macro. */
interface Condition {
  /** As it was put together, before lists were written into it. */
  readonly written: string;
  /** With its lists: what was parsed, and what places in it count from. */
  readonly text: SourceText;
  readonly expression: Expression;
  /** Where people find it. */
  readonly place: Context;
}

/** A check that compiles in rules of a source, and what is to be warned of in its values. */
interface KnownCheck {
  readonly source: string;
  readonly suspicions: readonly string[];
}

/** Expands and compiles everything a collector holds. Throws {@link LoadProblem} at the first error. */
export class RuleCompiler {
  private readonly collector: Collector;
  private readonly compat: Compat;
  private readonly warn: Warn;
  private readonly lists: readonly ReadyList[];
  private readonly macros: Map<string, Condition>;
  /** The condition in whose text a check stands, by its left side, which a check keeps when macros are written out. */
  private readonly owners: WeakMap<Check["left"], Condition>;
  private readonly appendOutput: readonly AppendOutput[];
  private readonly statics: readonly string[];
  private readonly checkFields: CheckFields;
  private readonly slots: Slots;
  /** Checks that compile, by their left sides. Rules share those of macros, which most checks are. */
  private readonly known: WeakMap<Check["left"], KnownCheck>;
  private readonly usedLists: Set<string>;
  private readonly usedMacros: Set<string>;

  constructor(collector: Collector, compat: Compat, warn: Warn, options: CompilerOptions = {}) {
    this.collector = collector;
    this.appendOutput = options.appendOutput ?? [];
    this.statics = staticFieldNames(options.staticFields ?? {});
    this.compat = compat;
    this.warn = warn;
    this.checkFields = new CheckFields(compat);
    this.slots = new Slots();
    this.known = new WeakMap();
    this.usedLists = new Set();
    this.usedMacros = new Set();
    this.lists = prepareLists(collector.lists, (name) => this.usedLists.add(name));
    this.macros = new Map();
    this.owners = new WeakMap();
  }

  compile(): readonly ExpandedRule[] {
    const { collector } = this;
    for (const { value } of collector.macros.values()) {
      this.macros.set(value.name, this.parse(value.condition, value));
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
    const parsed = this.parse(text, rule);
    const condition = this.resolve(parsed, Number.POSITIVE_INFINITY, rule.context);
    this.warnAt(rule.conditionContext, conditionWarnings(condition));
    const checks = checksOf(condition);
    if (!checks.every((check) => this.fits(check, rule, parsed))) return undefined;
    for (const check of checks) {
      for (const message of this.known.get(check.left)?.suspicions ?? []) {
        const place = this.placeOf(check, check.right?.at ?? check.at, rule, parsed);
        this.warn("LOAD_COMPILE_CONDITION", message, place);
      }
    }
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
    const place = rule.outputContext.seenAs(rule.outputPlace);
    const problem = this.outputProblem(output, rule.source);
    if (problem !== undefined) {
      if (this.isSkipped(rule, problem, place)) return undefined;
      throw new LoadProblem("LOAD_ERR_COMPILE_OUTPUT", problem, place);
    }
    this.warnAt(place, outputWarnings(output));
    for (const { key, format } of whole.extraFields) {
      const extra = this.outputProblem(format, rule.source);
      if (extra !== undefined) {
        const message = `${extra} (in the extra field '${key}' that configuration appends)`;
        throw new LoadProblem("LOAD_ERR_COMPILE_OUTPUT", message, place);
      }
      this.warnAt(place, outputWarnings(format));
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

  /** Whether a check compiles; false when the rule is to be left out for it. */
  private fits(check: Check, rule: RuleDefinition, parsed: Condition): boolean {
    const known = this.known.get(check.left);
    if (known?.source === rule.source) return true;
    try {
      checkStatics(check, this.statics);
      const typed = typeCheck(check, this.compat, rule.source);
      checkEventTypes(check);
      compileCheck(typed, this.slots);
      const suspicions = valueWarnings(check, this.compat, rule.source);
      this.known.set(check.left, { source: rule.source, suspicions });
      return true;
    } catch (error) {
      if (!(error instanceof SyntaxProblem)) throw error;
      const place = this.placeOf(check, error.at, rule, parsed);
      if (this.isSkipped(rule, error.message, place)) return false;
      throw new LoadProblem("LOAD_ERR_COMPILE_CONDITION", error.message, place);
    }
  }

  /** A place in a check of a rule, which may stand in a macro. */
  private placeOf(check: Check, at: number, rule: RuleDefinition, parsed: Condition): Context {
    const { text, place } = this.owners.get(check.left) ?? parsed;
    return rule.conditionContext.inCondition({ text, at, quoted: parsed.written }, place);
  }

  private parse(
    written: string,
    { conditionContext: context, conditionPlace: place }: RuleDefinition | MacroDefinition,
  ): Condition {
    const text = substituteLists(written, this.lists, (name) => this.usedLists.add(name));
    if (text === undefined) {
      const message = `condition is longer than ${expandedLengthMax} characters once its lists are written out`;
      throw new LoadProblem("LOAD_ERR_VALIDATE", message, context.seenAs(place));
    }
    const outcome = parseCondition(text);
    // Falco counts both halves of a Windows line end as lines.
    const lines = new SourceText("", text.replaceAll("\r", "\n"));
    if (!outcome.ok) {
      const where = context.inCondition({ text: lines, at: outcome.at, quoted: text }, place);
      throw new LoadProblem("LOAD_ERR_COMPILE_CONDITION", outcome.message, where);
    }
    const condition = { written, text: lines, expression: outcome.expression, place };
    for (const { left } of checksOf(outcome.expression)) this.owners.set(left, condition);
    return condition;
  }

  private resolve(parsed: Condition, visibility: number, context: Context): Expression {
    const outcome = resolveMacros(parsed.expression, (name) => {
      const placed = this.collector.macros.get(name);
      return placed === undefined || placed.index >= visibility
        ? undefined
        : this.macros.get(name)?.expression;
    });
    if (!outcome.ok) {
      const { message, at, within } = outcome;
      const { text, place } = (within === undefined ? undefined : this.macros.get(within)) ?? parsed;
      const where = context.inCondition({ text, at, quoted: parsed.written }, place);
      throw new LoadProblem("LOAD_ERR_VALIDATE", message, where);
    }
    for (const name of outcome.used) this.usedMacros.add(name);
    return outcome.expression;
  }

  private warnAt(context: Context, warnings: readonly Warning[]): void {
    for (const { code, message, ...extras } of warnings) this.warn(code, message, context, extras);
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
