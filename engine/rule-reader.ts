import type { Collector, Warn } from "./collector.ts";
import type { Context } from "./context.ts";
import {
  optionalCount,
  optionalFlag,
  optionalText,
  optionalTexts,
  optionalWord,
  refuse,
  requiredText,
  valueContext,
} from "./decode.ts";
import type { ExceptionDefinition, RuleChange } from "./definitions.ts";
import { readExceptions } from "./exception-reader.ts";
import { bothWords, type Overrides, readOverrides } from "./overrides.ts";
import { parsePriority, type Priority } from "./ruleset.ts";
import type { Act } from "./statements.ts";
import { entryOf, type YamlMap } from "./yaml.ts";

export const appendWords =
  "'append' key is deprecated. Add an 'append' entry (e.g. 'condition: append') under 'override' instead.";
const enabledWords =
  "The standalone 'enabled' key usage is deprecated. The correct approach requires also a 'replace' entry under the 'override' key (i.e. 'enabled: replace').";

/** Keys that an override may append to and replace, each in the order in which Falco reads them. */
const appendable = ["condition", "exceptions", "output", "desc", "tags"] as const;
const replaceable = [
  ...appendable,
  "priority",
  "capture",
  "capture_duration",
  "enabled",
  "warn_evttypes",
  "skip-if-unknown-filter",
] as const;

/** Keys a rule may have. */
export const ruleKeys: readonly string[] = ["rule", "source", "append", "override", ...replaceable];

/** Reads an item that starts with `rule`, hands it to the collector, and gives its place. */
export function readRule(item: YamlMap, collector: Collector, warn: Warn, parent: Context): Context {
  const name = requiredText(item, "rule", parent.child("rule", "", item.at));
  const context = parent.child("rule", name, item.at);
  const source = optionalWord(item, "source", context);
  const isAppend = optionalFlag(item, "append", context) ?? false;
  if (isAppend) warn("LOAD_DEPRECATED_ITEM", appendWords, context);
  const overrides = readOverrides(item, appendable, replaceable, context);
  const hasOverrides = overrides.append.size + overrides.replace.size > 0;
  if (isAppend && hasOverrides) refuse(bothWords, context);
  const reader = new RuleReader(item, name, source, { collector, warn, context });
  if (hasOverrides) reader.changes(overrides);
  else if (isAppend) reader.appended();
  else if (["condition", "output", "desc", "priority"].some((key) => reader.has(key))) reader.definition();
  else reader.enabled();
  return context;
}

/** Reads the rest of a rule's item in one of the four ways it can be meant. */
class RuleReader {
  private readonly item: YamlMap;
  private readonly name: string;
  private readonly source: string | undefined;
  private readonly collector: Collector;
  private readonly warn: Warn;
  private readonly context: Context;

  constructor(
    item: YamlMap,
    name: string,
    source: string | undefined,
    { collector, warn, context }: { collector: Collector; warn: Warn; context: Context },
  ) {
    this.item = item;
    this.name = name;
    this.source = source;
    this.collector = collector;
    this.warn = warn;
    this.context = context;
  }

  has(key: string): boolean {
    return entryOf(this.item, key) !== undefined;
  }

  private say(act: Act, properties: Iterable<string>): void {
    const { item, name, context, collector } = this;
    collector.say({ kind: "rule", name, act, item, source: context.source }, properties);
  }

  enabled(): void {
    const { item, context } = this;
    const enabled = optionalFlag(item, "enabled", context);
    if (enabled === undefined) return refuse("Item has no mapping for key 'enabled'", context);
    this.warn("LOAD_DEPRECATED_ITEM", enabledWords, context);
    this.say("replace", ["enabled"]);
    this.collector.enableRule(this.name, enabled, context);
  }

  definition(): void {
    const { item, name, context } = this;
    const condition = requiredText(item, "condition", context);
    const output = trimmed(requiredText(item, "output", context));
    const conditionContext = valueContext(item, "condition", context, "rule condition", "");
    const outputContext = valueContext(item, "output", context, "rule output", "");
    const desc = requiredText(item, "desc", context);
    const priority = this.priority();
    const source = optionalText(item, "source", context) ?? "syscall";
    const enabled = optionalFlag(item, "enabled", context) ?? true;
    this.capture();
    optionalCount(item, "capture_duration", context);
    this.say("define", ["source", ...replaceable]);
    this.collector.defineRule(
      {
        name,
        condition,
        output,
        desc,
        priority,
        source,
        enabled,
        warnEvttypes: optionalFlag(item, "warn_evttypes", context) ?? true,
        skipIfUnknownFilter: optionalFlag(item, "skip-if-unknown-filter", context) ?? false,
        tags: this.tags(),
        exceptions: this.exceptions(false),
        context,
        conditionContext,
        outputContext,
        conditionPlace: conditionContext,
        outputPlace: outputContext,
      },
      this.warn,
    );
  }

  appended(): void {
    const parts = ["condition", "exceptions"].filter((key) => this.has(key));
    this.say("append", parts);
    this.collector.appendRule(this.change(parts, true, this.source));
  }

  changes({ append, replace }: Overrides): void {
    const { collector } = this;
    this.say("append", append);
    this.say("replace", replace);
    const rest = new Set(replaceable.filter((key) => this.has(key)));
    if (append.size > 0) collector.appendRule(this.overridden("append", append, rest));
    if (replace.size > 0) collector.replaceInRule(this.overridden("replace", replace, rest));
    const [stray] = [...rest].sort();
    if (stray === undefined) return;
    const place = valueContext(this.item, stray, this.context, "overrides", stray);
    refuse(`Unexpected key '${stray}': no corresponding entry under 'override' is defined.`, place);
  }

  /** Reads the keys of one kind of override and takes them out of `rest`. */
  private overridden(kind: "append" | "replace", wanted: ReadonlySet<string>, rest: Set<string>): RuleChange {
    const keys = replaceable.filter((key) => wanted.has(key));
    // Falco looks at the source of an override only where it also changes the condition.
    const source = wanted.has("condition") ? this.source : undefined;
    return this.change(keys, kind === "append", source, (key) => {
      if (rest.delete(key)) return;
      refuse(`An ${kind} override for '${key}' was specified but '${key}' is not defined`, this.context);
    });
  }

  private change(
    keys: readonly string[],
    isAppend: boolean,
    source: string | undefined,
    check: (key: string) => void = () => undefined,
  ): RuleChange {
    const parts = keys.map((key) => {
      check(key);
      return this.part(key, isAppend);
    });
    const { name, context } = this;
    const change: RuleChange = source === undefined ? { name, context } : { name, context, source };
    return Object.assign({}, change, ...parts) as RuleChange;
  }

  private part(key: string, isAppend: boolean): Partial<RuleChange> {
    const { item, context } = this;
    switch (key) {
      case "condition":
        return {
          condition: requiredText(item, key, context),
          conditionPlace: valueContext(item, key, context, "rule condition", ""),
        };
      case "output":
        return {
          output: requiredText(item, key, context),
          outputPlace: valueContext(item, key, context, "rule output", ""),
        };
      case "desc":
        return { desc: requiredText(item, key, context) };
      case "priority":
        return { priority: this.priority() };
      case "tags":
        return { tags: this.tags() };
      case "exceptions":
        return { exceptions: this.exceptions(isAppend) };
      case "enabled":
        return { enabled: optionalFlag(item, key, context) ?? true };
      case "warn_evttypes":
        return { warnEvttypes: optionalFlag(item, key, context) ?? true };
      case "skip-if-unknown-filter":
        return { skipIfUnknownFilter: optionalFlag(item, key, context) ?? false };
      case "capture":
        this.capture();
        return {};
      default:
        optionalCount(item, key, context);
        return {};
    }
  }

  /** Captures record system calls into files, which this engine does not. */
  private capture(): void {
    const { item, context } = this;
    if (optionalFlag(item, "capture", context) !== true) return;
    const place = valueContext(item, "capture", context, "value for", "");
    this.collector.note("'capture' has no effect: this engine records no captures", place);
  }

  private priority(): Priority {
    const { item, context } = this;
    const text = requiredText(item, "priority", context);
    const place = valueContext(item, "priority", context, "rule priority", "");
    return parsePriority(text) ?? refuse("Invalid priority", place);
  }

  private tags(): readonly string[] {
    return [...new Set(optionalTexts(this.item, "tags", this.context) ?? [])].sort();
  }

  private exceptions(isAppend: boolean): readonly ExceptionDefinition[] {
    return readExceptions(this.item, isAppend, this.warn, this.context);
  }
}

/** Without the six kinds of white space of C at either end. */
function trimmed(text: string): string {
  const blank = /[ \t\n\v\f\r]/;
  let from = 0;
  let to = text.length;
  while (from < to && blank.test(text.charAt(from))) from++;
  while (to > from && blank.test(text.charAt(to - 1))) to--;
  return text.slice(from, to);
}
