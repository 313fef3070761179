import type { Context } from "./context.ts";
import type {
  ExceptionDefinition,
  ListDefinition,
  MacroDefinition,
  Placed,
  PluginRequirement,
  RuleChange,
  RuleDefinition,
} from "./definitions.ts";
import { defaultComps, validateException } from "./exceptions.ts";
import type { Compat } from "./fields/field.ts";
import { builtInSources } from "./fields/registry.ts";
import { LoadProblem, type WarningCode, type WarningExtras } from "./findings.ts";
import { isCompatible, parseVersion } from "./semver.ts";
import type { Said } from "./statements.ts";
import { engineVersion } from "./version.ts";

export type Warn = (code: WarningCode, message: string, context: Context, extras?: WarningExtras) => void;

const noPrevious = {
  macro: "Macro uses 'append' or 'override.condition: append' but no macro by that name already exists",
  list: "List uses 'append' or 'override.items: append' but no list by that name already exists",
  append: "Rule uses 'append' or 'override.<key>: append' but no rule by that name already exists",
  replace: "An 'override.<key>: replace' to a rule was requested but no rule by that name already exists",
  enable: "Rule has 'enabled' key but no rule by that name already exists",
} as const;

const noFields = "Rule exception must have fields property with a list of fields";

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
  private notes: { readonly message: string; readonly context: Context }[];

  constructor(compat: Compat) {
    this.lists = new Map();
    this.macros = new Map();
    this.rules = new Map();
    this.plugins = [];
    this.next = 0;
    this.compat = compat;
    this.notes = [];
  }

  /** Hears what an item says about properties; only a reader of statements keeps it. */
  say(_what: Said, _properties: Iterable<string>): void {}

  /** Remarks about definitions that the engine takes but leaves aside. */
  note(message: string, context: Context): void {
    this.notes.push({ message, context });
  }

  takeNotes(): readonly { readonly message: string; readonly context: Context }[] {
    const { notes } = this;
    this.notes = [];
    return notes;
  }

  requireEngine(version: string, context: Context): void {
    if (isCompatible(engineVersion, version)) return;
    invalid(`Rules require engine version ${version}, but engine version is ${engineVersion}`, context);
  }

  requirePlugin(requirement: PluginRequirement): void {
    const names = new Set<string>();
    for (const { name, version } of [requirement, ...requirement.alternatives]) {
      if (parseVersion(version) === undefined) {
        invalid(`Invalid required version '${version}' for plugin '${name}'`, requirement.context);
      }
      if (names.has(name)) {
        const message = `Defined multiple alternative version requirements for plugin '${name}'`;
        invalid(message, requirement.context);
      }
      names.add(name);
    }
    this.plugins.push(requirement);
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

  appendMacro({ name, condition, context, conditionPlace }: MacroDefinition): void {
    const before = this.macros.get(name)?.value ?? invalid(noPrevious.macro, context);
    this.define(this.macros, {
      ...before,
      condition: joined(before.condition, condition),
      conditionPlace,
    });
  }

  defineRule(rule: RuleDefinition, warn: Warn): void {
    const before = this.rules.get(rule.name)?.value;
    if (before !== undefined && before.source !== rule.source) {
      invalid("Rule has been re-defined with a different source", rule.context);
    }
    if (!builtInSources.includes(rule.source)) {
      warn("LOAD_UNKNOWN_SOURCE", `Unknown source ${rule.source}, skipping`, rule.context);
    }
    const exceptions = rule.exceptions.map((one) => {
      if (one.fields === undefined) {
        invalid("Rule exception item must have fields property with a list of fields", one.context);
      }
      return validateException(one, this.compat, knownSource(rule));
    });
    this.define(this.rules, { ...rule, exceptions });
  }

  appendRule(change: RuleChange): void {
    const before = this.previous(change, noPrevious.append);
    const { condition, output, desc, tags = [], exceptions, conditionPlace, outputPlace } = change;
    if ([condition, output, desc, change.tags, exceptions].every((part) => part === undefined)) {
      invalid("Appended rule must have exceptions or condition property", change.context);
    }
    this.define(this.rules, {
      ...before,
      condition: joined(before.condition, condition),
      conditionPlace: conditionPlace ?? before.conditionPlace,
      outputPlace: outputPlace ?? before.outputPlace,
      output: joined(before.output, output),
      desc: joined(before.desc, desc),
      tags: [...new Set([...before.tags, ...tags])].sort(),
      exceptions: (exceptions ?? []).reduce(
        (all, one) => this.withException(all, one, before),
        before.exceptions,
      ),
    });
  }

  replaceInRule({ context, ...change }: RuleChange): void {
    const before = this.previous({ ...change, context }, noPrevious.replace);
    const exceptions = change.exceptions?.map((one) => this.replacedException(one));
    const rule = { ...before, ...change, source: before.source };
    this.define(this.rules, exceptions === undefined ? rule : { ...rule, exceptions });
  }

  enableRule(name: string, enabled: boolean, context: Context): void {
    const before = this.rules.get(name)?.value ?? invalid(noPrevious.enable, context);
    this.define(this.rules, { ...before, enabled });
  }

  private previous(change: RuleChange, message: string): RuleDefinition {
    const before = this.rules.get(change.name)?.value;
    if (before !== undefined && change.source !== undefined && change.source !== before.source) {
      invalid("Rule has been re-defined with a different source", change.context);
    }
    return before ?? invalid(message, change.context);
  }

  /**
   * Falco takes replaced exceptions as they are, so what is wrong with them shows when the condition is compiled. It
   * leaves their operators open as well, which fails or crashes; the defaults apply here.
   */
  private replacedException(exception: ExceptionDefinition): ExceptionDefinition {
    const { fields, comps } = exception;
    const isOpen = comps === undefined && fields?.kind === "text";
    return isOpen && this.compat === "strict" ? exception : defaultComps(exception);
  }

  private withException(
    all: readonly ExceptionDefinition[],
    added: ExceptionDefinition,
    rule: RuleDefinition,
  ): readonly ExceptionDefinition[] {
    const before = all.find(({ name }) => name === added.name);
    if (before === undefined) {
      if (added.fields === undefined) invalid(noFields, added.context);
      if (added.values.length === 0) {
        invalid("Rule exception must have values property with a list of values", added.context);
      }
      return [...all, validateException(added, this.compat, knownSource(rule))];
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

/** The source of a rule whose fields are known. */
function knownSource({ source }: RuleDefinition): string | undefined {
  return builtInSources.includes(source) ? source : undefined;
}

function joined(before: string, added: string | undefined): string {
  return added === undefined ? before : `${before} ${added}`;
}
