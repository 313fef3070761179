import { type Alert, type LoadReport, renderFindings, type RuleSet } from "#engine";
import { nearest } from "../nearest.ts";
import type { LoadedRules } from "./rules-cache.ts";
import type { Expectation } from "./test-expectation.ts";

/** What loading came to against what a test expects of it: a sentence for each difference. */
export function judgeLoading(expect: Expectation, { report, files }: LoadedRules): readonly string[] {
  const errors = codesOf(report, "errors");
  const warnings = codesOf(report, "warnings");
  if (expect.load === "error") {
    if (report.ok) return [`the rules load, but should fail${withCodes(expect.codes)}`];
    if (expect.codes.length === 0 || expect.codes.some((code) => errors.includes(code))) {
      return missing(expect.warnings, warnings);
    }
    const found = renderFindings(report, files);
    return [`the rules fail with ${listed(errors)} instead of ${expect.codes.join(" or ")}:\n${found}`];
  }
  if (!report.ok) return [`the rules do not load:\n${renderFindings(report, files)}`];
  if (expect.load === "warning" && warnings.length === 0) {
    return [`the rules load without a warning, but should give one${withCodes(expect.codes)}`];
  }
  const isGiven = expect.codes.length === 0 || expect.codes.some((code) => warnings.includes(code));
  return [
    ...(isGiven ? [] : [`loading warns of ${listed(warnings)} instead of ${expect.codes.join(" or ")}`]),
    ...missing(expect.warnings, warnings),
  ];
}

function missing(wanted: readonly string[] | undefined, warnings: readonly string[]): readonly string[] {
  if (wanted === undefined) return [];
  if (wanted.length === 0 && warnings.length > 0) {
    return [`loading warns of ${listed(warnings)}, but should not warn`];
  }
  return wanted
    .filter((code) => !warnings.includes(code))
    .map((code) => `loading does not warn of ${code}; it warns of ${listed(warnings)}`);
}

function codesOf({ results }: LoadReport, kind: "errors" | "warnings"): readonly string[] {
  return results.flatMap((result) => result[kind].map(({ code }) => code));
}

function listed(codes: readonly string[]): string {
  return codes.length === 0 ? "nothing" : [...new Set(codes)].join(", ");
}

function withCodes(codes: readonly string[]): string {
  return codes.length === 0 ? "" : ` with ${codes.join(" or ")}`;
}

/** What running the events of a test gave. */
export interface Fired {
  readonly alerts: readonly Alert[];
  /** Events that were evaluated. */
  readonly events: number;
}

export interface Judgement {
  readonly failures: readonly string[];
  readonly notes: readonly string[];
}

/** What fired against what should. */
export function judgeAlerts(expect: Expectation, { alerts, events }: Fired, ruleset: RuleSet): Judgement {
  const fired = new Map<string, number>();
  for (const { rule } of alerts) fired.set(rule, (fired.get(rule) ?? 0) + 1);
  const wanted = expect.alerts;
  const rules = wanted === undefined ? [] : [...new Set([...wanted.keys(), ...fired.keys()])];
  const counts = rules.flatMap((rule) => {
    const want = wanted?.get(rule) ?? 0;
    const got = fired.get(rule) ?? 0;
    if (want === got) return [];
    const should = want === 0 ? "not fire" : `fire ${times(want)}`;
    const why = got === 0 ? whySilent(rule, ruleset) : "";
    return [`${rule}: fired ${times(got)}, should ${should}${why}`];
  });
  const said = alerts.map(({ output }) => `  ${output}`).join("\n");
  const silent = expect.outputContains
    .filter((text) => !alerts.some(({ output }) => output.includes(text)))
    .map(
      (text) => `no alert says "${text}"; ${alerts.length === 0 ? "there is none" : `they say:\n${said}`}`,
    );
  const failures = [...counts, ...silent];
  const noEvents = failures.length > 0 && events === 0 ? ["none of the test's events was evaluated"] : [];
  return { failures: [...failures, ...noEvents], notes: notesOf(expect, fired, ruleset) };
}

/** Why a rule cannot have fired, whatever the events; an empty text when it can. */
function whySilent(name: string, { rules }: RuleSet): string {
  const rule = rules.find((one) => one.name === name);
  if (rule !== undefined) {
    return rule.enabled ? "" : "; it is disabled, or less urgent than the minimum priority";
  }
  const names = rules.map((one) => one.name);
  const [near] = nearest(name, names);
  const meant = near === undefined ? `the rules are ${names.slice(0, 8).join(", ")}` : `is "${near}" meant?`;
  return `; no rule has this name, ${names.length === 0 ? "there are no rules" : meant}`;
}

function notesOf(
  { alerts: wanted, outputContains }: Expectation,
  fired: ReadonlyMap<string, number>,
  { rules }: RuleSet,
): readonly string[] {
  if (wanted === undefined) {
    if (fired.size === 0 || outputContains.length > 0) return [];
    const counts = [...fired].map(([rule, count]) => `${rule}: ${count}`).join(", ");
    return [`rules fired, but expect says nothing of alerts; write alerts: { ${counts} } to check them`];
  }
  const known = new Set(rules.map(({ name }) => name));
  return [...wanted]
    .filter(([rule, count]) => count === 0 && !known.has(rule))
    .map(([rule]) => `${rule}: should not fire, but no rule has this name`);
}

function times(count: number): string {
  return count === 1 ? "once" : `${count} times`;
}
