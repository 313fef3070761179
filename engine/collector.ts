import type {
  ExceptionDefinition,
  ListDefinition,
  MacroDefinition,
  Placed,
  PluginRequirement,
  RuleChange,
  RuleDefinition,
} from "./definitions.ts";
import { validateException } from "./exceptions.ts";
import type { Compat } from "./fields/field.ts";
import { builtInSources } from "./fields/registry.ts";
import { type Context, LoadProblem, type WarningCode } from "./findings.ts";

export type Warn = (code: WarningCode, message: string, context: Context) => void;

const noPrevious = {
  macro: "Macro uses 'append' or 'override.condition: append' but no macro by that name already exists",
  list: "List uses 'append' or 'override.items: append' but no list by that name already exists",
  append: "Rule uses 'append' or 'override.<key>: append' but no rule by that name already exists",
  replace: "An 'override.<key>: replace' to a rule was requested but no rule by that name already exists",
  enable: "Rule has 'enabled' key but no rule by that name already exists",
} as const;

function invalid(message: string, context: Context): never {
  throw new LoadProblem("LOAD_ERR_VALIDATE", message, context);
}

/** Everything that was defined so far, over all files, with the latest word on each name. */
export class Collector {
  readonly lists: Map<string, Placed<ListDefinition>>;
  readonly macros: Map<string, Placed<MacroDefinition>>;
  readonly rules: Map<string, Placed<RuleDefinition>>;
  readonly plugins: PluginRequirement[];
  private next: number;
  private readonly compat: Compat;

  constructor(compat: Compat) {
    this.lists = new Map();
    this.macros = new Map();
    this.rules = new Map();
    this.plugins = [];
    this.next = 0;
    this.compat = compat;
  }

  defineList(list: ListDefinition): void {
    this.define(this.lists, list);
  }

  appendList(list: ListDefinition): void {
    const before = this.lists.get(list.name)?.value ?? invalid(noPrevious.list, list.context);
    this.define(this.lists, { ...before, items: [...before.items, ...list.items] });
  }

  defineMacro(macro: MacroDefinition): void {
    this.define(this.macros, macro);
  }

  appendMacro(macro: MacroDefinition): void {
    const before = this.macros.get(macro.name)?.value ?? invalid(noPrevious.macro, macro.context);
    const { conditionContext } = macro;
    const condition = `${before.condition} ${macro.condition}`;
    this.define(this.macros, { ...before, condition, conditionContext });
  }

  defineRule(rule: RuleDefinition, warn: Warn): void {
    const before = this.rules.get(rule.name)?.value;
    if (before !== undefined && before.source !== rule.source) {
      invalid("Rule has been re-defined with a different source", rule.context);
    }
    if (!builtInSources.includes(rule.source)) {
      warn("LOAD_UNKNOWN_SOURCE", `Unknown source ${rule.source}, skipping`, rule.context);
      this.define(this.rules, rule);
      return;
    }
    const exceptions = rule.exceptions.map((one) => validateException(one, this.compat, rule.source));
    this.define(this.rules, { ...rule, exceptions });
  }

  appendRule(change: RuleChange): void {
    const before = this.previous(change, noPrevious.append);
    const { condition, output, desc, tags = [], exceptions = [] } = change;
    this.define(this.rules, {
      ...before,
      condition: joined(before.condition, condition),
      conditionContext: change.conditionContext ?? before.conditionContext,
      outputContext: change.outputContext ?? before.outputContext,
      output: joined(before.output, output),
      desc: joined(before.desc, desc),
      tags: [...new Set([...before.tags, ...tags])].sort(),
      exceptions: exceptions.reduce((all, one) => this.withException(all, one, before), before.exceptions),
    });
  }

  replaceInRule({ context, ...change }: RuleChange): void {
    const before = this.previous({ ...change, context }, noPrevious.replace);
    const exceptions = change.exceptions?.map((one) => this.replacedException(one, before.source));
    const rule = { ...before, ...change, source: before.source };
    this.define(this.rules, exceptions === undefined ? rule : { ...rule, exceptions });
  }

  enableRule(name: string, enabled: boolean, context: Context): void {
    const before = this.rules.get(name)?.value ?? invalid(noPrevious.enable, context);
    this.define(this.rules, { ...before, enabled });
  }

  private previous(change: RuleChange, message: string): RuleDefinition {
    const before = this.rules.get(change.name)?.value ?? invalid(message, change.context);
    if (change.source !== undefined && change.source !== before.source) {
      invalid("Rule has been re-defined with a different source", change.context);
    }
    return before;
  }

  /** Falco leaves the operators of a replaced exception open, which fails or crashes later. */
  private replacedException(exception: ExceptionDefinition, source: string): ExceptionDefinition {
    if (exception.fields === undefined) {
      invalid("Rule exception must have fields property with a list of fields", exception.context);
    }
    const isOpen = exception.comps === undefined && exception.fields.kind === "text";
    return isOpen && this.compat === "strict" ? exception : validateException(exception, this.compat, source);
  }

  private withException(
    all: readonly ExceptionDefinition[],
    added: ExceptionDefinition,
    rule: RuleDefinition,
  ): readonly ExceptionDefinition[] {
    const before = all.find(({ name }) => name === added.name);
    if (before === undefined) {
      if (added.fields === undefined) {
        invalid("Rule exception must have fields property with a list of fields", added.context);
      }
      if (added.values.length === 0) {
        invalid("Rule exception must have values property with a list of values", added.context);
      }
      return [
        ...all,
        builtInSources.includes(rule.source) ? validateException(added, this.compat, rule.source) : added,
      ];
    }
    if (added.fields !== undefined) {
      invalid("Can not append exception fields to existing exception, only values", added.context);
    }
    if (added.comps !== undefined) {
      invalid("Can not append exception comps to existing exception, only values", added.context);
    }
    const grown = { ...before, values: [...before.values, ...added.values] };
    return all.map((one) => (one === before ? grown : one));
  }

  private define<T extends { readonly name: string }>(all: Map<string, Placed<T>>, value: T): void {
    const place = this.next++;
    // A Map keeps the place of a name that it already has, which is the order the language asks for.
    all.set(value.name, { value, index: all.get(value.name)?.index ?? place, visibility: place });
  }
}

function joined(before: string, added: string | undefined): string {
  return added === undefined ? before : `${before} ${added}`;
}
