import type { Alert, AlertFormat, AlertWriter } from "./alert.ts";
import { alertWriter } from "./alert.ts";
import type { Frame, Slots } from "./compile.ts";
import type { Compat } from "./fields/field.ts";
import { RuleIndex } from "./rule-index.ts";
import type { CompiledRule } from "./ruleset.ts";

/** A rule whose alerts are prepared when it raises its first. */
export class ActiveRule {
  readonly name: string;
  private readonly prepare: () => AlertWriter;
  private writer: AlertWriter | undefined;

  constructor(name: string, prepare: () => AlertWriter) {
    this.name = name;
    this.prepare = prepare;
    this.writer = undefined;
  }

  write(frame: Frame): Alert {
    this.writer ??= this.prepare();
    return this.writer(frame);
  }
}

/** How rules are evaluated, and how they write. */
export interface IndexOptions {
  readonly compat: Compat;
  readonly format: AlertFormat;
  readonly ruleMatching: "first" | "all";
}

/** Rules in an index over the given slots, which several sets of rules may share. */
export function indexRules(
  rules: readonly CompiledRule[],
  slots: Slots,
  { compat, format, ruleMatching }: IndexOptions,
): RuleIndex<ActiveRule> {
  const active = rules.map((rule) => ({
    rule: new ActiveRule(rule.name, () => alertWriter(rule, slots, compat, format)),
    condition: rule.condition,
  }));
  return new RuleIndex(active, slots, compat, ruleMatching === "first");
}

/** The rules that look at audit events and plain JSON. */
export function auditRules(compiled: readonly CompiledRule[]): readonly CompiledRule[] {
  return compiled.filter(({ enabled, source }) => enabled && source !== "syscall");
}
