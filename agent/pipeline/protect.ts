import { isDeepStrictEqual } from "node:util";
import { lossesOf, protectedTag } from "#engine";
import type { RuleSet } from "#engine";
import { compileMatch } from "#shipper";
import type { FilterConfig, PipelineConfig } from "#shipper";

/** What the node itself says about rules that must not get lost; no signature changes it. */
export interface RuleGuard {
  /** Names of rules that every rules bundle has to have, enabled, from the first one on. */
  readonly protectedRules?: readonly string[];
  /** Protected rules that may be changed, disabled and removed all the same. */
  readonly releasedRules?: readonly string[];
}

type Rules = Pick<RuleSet, "compiled">;

const next = 'If that is meant, list the rule under "releasedRules" in the allow-list of this node';
const shownMax = 10;

/** Why rules may not take the place of those that run, or undefined when they may. */
export function rulesProblem(
  running: Rules | undefined,
  wanted: Rules,
  guard: RuleGuard,
): string | undefined {
  const released = new Set(guard.releasedRules ?? []);
  const named = new Set((guard.protectedRules ?? []).filter((name) => !released.has(name)));
  const enabled = new Set(wanted.compiled.flatMap(({ name, enabled }) => (enabled ? [name] : [])));
  const missing = [...named]
    .filter((name) => !enabled.has(name))
    .map((name) => `Rule "${name}", which the allow-list of this node protects, is not there or disabled`);
  const isProtected = isProtectedBy(guard);
  const losses = (running === undefined ? [] : lossesOf(running, wanted, isProtected))
    .filter(({ rule }) => !named.has(rule) || enabled.has(rule))
    .map(({ rule, why }) => `Protected rule "${rule}" ${why}`);
  const all = [...missing, ...losses];
  if (all.length === 0) return undefined;
  const more = all.length > shownMax ? [`And ${all.length - shownMax} more`] : [];
  return [...all.slice(0, shownMax), ...more, next].join("\n");
}

/**
 * Why a shipper config may not take the place of the one that runs while protected rules do: it must not take events away
 * from them by leaving out the output detect, or by a filter that drops records before they get there.
 */
export function shipperProblem(
  running: PipelineConfig | undefined,
  wanted: PipelineConfig,
  rules: Rules | undefined,
  guard: RuleGuard,
): string | undefined {
  const isProtected = isProtectedBy(guard);
  const rule = rules?.compiled.find((one) => one.enabled && isProtected(one));
  if (running === undefined || rule === undefined) return undefined;
  const ofDetect = ({ outputs }: PipelineConfig) => outputs.filter(({ plugin }) => plugin === "detect");
  if (ofDetect(running).length === 0) return undefined;
  const because = `while the protected rule "${rule.name}" runs`;
  const detects = ofDetect(wanted).map(({ match }) => compileMatch(match));
  if (detects.length === 0) return `The output "detect" cannot go ${because}. ${next}`;
  const detected = wanted.inputs.filter(({ tag }) => detects.some((takes) => takes(tag)));
  if (detected.length === 0) {
    return `The output "detect" has to get the records of an input ${because}. ${next}`;
  }
  const known = running.filters.map(meaningOf);
  const dropper = wanted.filters.find(
    (filter) =>
      (filter.plugin === "grep" || filter.plugin === "throttle") &&
      detected.some(({ tag }) => tag.includes("*") || compileMatch(filter.match)(tag)) &&
      !known.some((one) => isDeepStrictEqual(one, meaningOf(filter))),
  );
  if (dropper === undefined) return undefined;
  const what = `Filter "${dropper.alias}" (${dropper.plugin}) drops records before the rules see them`;
  return `${what}: it cannot be added or changed ${because}. ${next}`;
}

/** Whether a rule must not get lost on this node. */
export function isProtectedBy({ protectedRules = [], releasedRules = [] }: RuleGuard) {
  const [named, released] = [new Set(protectedRules), new Set(releasedRules)];
  return ({ name, tags }: { readonly name: string; readonly tags: readonly string[] }): boolean =>
    !released.has(name) && (named.has(name) || tags.includes(protectedTag));
}

/** A filter without its place in the file and its own name. */
function meaningOf({ at: _at, alias: _alias, ...rest }: FilterConfig): object {
  return rest;
}
