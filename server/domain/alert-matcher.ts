import { RE2JS } from "re2js";

import { judgePattern, patternLettersMax } from "./pattern.ts";
import { priorityNumber, priorityWord } from "./priority.ts";
import { accept, invalid, type Outcome } from "./refusal.ts";

export const matchOperators = ["=~", "!~", "!=", ">=", "<=", "=", ">", "<"] as const;
export type MatchOperator = (typeof matchOperators)[number];

/** One comparison, such as `ka.user.name=~"system:.*"`. Plain data: it can be stored as the text of `matchersText`. */
export interface AlertMatcher {
  /** As it was written: see `subjectOf` for what it names. */
  readonly name: string;
  readonly operator: MatchOperator;
  /** A pattern for `=~` and `!~`, Falco's word for a priority, a text for everything else. */
  readonly value: string;
}

/** What a name of a matcher means. */
export type MatchSubject =
  | { readonly kind: "rule" | "priority" | "cluster" | "source" | "tag" | "output" | "actor" }
  /** A label of the cluster. */
  | { readonly kind: "label"; readonly key: string }
  /** A field that the rule's output shows. */
  | { readonly kind: "field"; readonly name: string };

/** What matchers look at. `fields` may be a getter: it is asked only when a matcher names a field. */
export interface AlertFacts {
  readonly rule: string;
  /** Falco's number: 0 emergency to 7 debug. */
  readonly priority: number;
  readonly source: string;
  readonly output: string;
  readonly tags: readonly string[];
  readonly actor: string;
  /** The cluster's name. */
  readonly cluster: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `output_fields` of Falco's JSON. */
  readonly fields: Readonly<Record<string, unknown>>;
}

const textCharsMax = 4_096;
export const matchersMax = 32;
const nameCharsMax = 320;
const valueCharsMax = 1_024;
/** A pattern sees so much of a text. What is longer was made to be long. */
const testedCharsMax = 4_096;

/**
 * Reads matchers: `rule="Exec into a pod", priority>=warning, ka.user.name=~"system:.*"`, with braces around them or
 * without. All of them have to hold. A value may stand without quotes when it has no comma, quote or brace; between
 * backticks nothing is escaped. An empty text is no matcher, which every alert meets. `field` names the place in refusals.
 */
export function parseMatchers(field: string, text: string): Outcome<readonly AlertMatcher[]> {
  if (text.length > textCharsMax) return invalid(field, `is longer than ${textCharsMax} characters`);
  const inner = /^\s*\{(.*)\}\s*$/s.exec(text)?.[1] ?? text;
  const matchers: AlertMatcher[] = [];
  let rest = inner.trim();
  while (rest !== "") {
    if (matchers.length >= matchersMax) return invalid(field, `holds more than ${matchersMax} matchers`);
    const read = readMatcher(rest);
    if (typeof read === "string") return invalid(field, read);
    matchers.push(read.matcher);
    rest = read.rest;
  }
  return accept(matchers);
}

/** The matchers in words that `parseMatchers` reads as the same. */
export function matchersText(matchers: readonly AlertMatcher[]): string {
  return matchers.map(({ name, operator, value }) => `${name}${operator}${quoted(value)}`).join(",");
}

/** What a name means: a word of alerts, an output field when it has a dot, otherwise a label of the cluster. */
export function subjectOf(name: string): MatchSubject {
  switch (name) {
    case "rule":
    case "priority":
    case "cluster":
    case "source":
    case "tag":
    case "output":
    case "actor":
      return { kind: name };
    default:
      if (name.startsWith("label.")) return { kind: "label", key: name.slice("label.".length) };
      return name.includes(".") ? { kind: "field", name } : { kind: "label", key: name };
  }
}

/** Whether matchers name only what alerts of one rule, cluster and user have in common: no tag, output or field. */
export function namesGroupsAlone(matchers: readonly AlertMatcher[]): boolean {
  return matchers.every(({ name }) => !["tag", "output", "field"].includes(subjectOf(name).kind));
}

/** A test for all matchers together. Patterns are compiled once, and what they said of a text is remembered for a while. */
export function compileMatchers(matchers: readonly AlertMatcher[]): (facts: AlertFacts) => boolean {
  const tests = matchers.map(compileMatcher);
  return (facts) => tests.every((test) => test(facts));
}

/** The values that a subject has in an alert. What is not there is an empty text, as in Prometheus. */
export function valuesOf(subject: MatchSubject, facts: AlertFacts): readonly string[] {
  switch (subject.kind) {
    case "tag":
      return facts.tags.length === 0 ? [""] : facts.tags;
    case "priority":
      return [priorityWord(facts.priority)];
    case "label":
      return [Object.hasOwn(facts.labels, subject.key) ? (facts.labels[subject.key] ?? "") : ""];
    case "field":
      return [Object.hasOwn(facts.fields, subject.name) ? fieldText(facts.fields[subject.name]) : ""];
    case "rule":
    case "cluster":
    case "source":
    case "output":
    case "actor":
      return [facts[subject.kind]];
  }
}

/** The value of an output field as text: what is null is empty, a list or object is its JSON. */
export function fieldText(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return `${value}`;
  return value === null || value === undefined ? "" : JSON.stringify(value);
}

function compileMatcher(matcher: AlertMatcher): (facts: AlertFacts) => boolean {
  const { operator, value } = matcher;
  const subject = subjectOf(matcher.name);
  if (subject.kind === "priority") return comparePriority(operator, priorityNumber(value) ?? 0);
  const isPattern = operator === "=~" || operator === "!~";
  const test = isPattern ? compilePattern(value) : (text: string) => text === value;
  const isNegative = operator === "!=" || operator === "!~";
  return (facts) => valuesOf(subject, facts).some(test) !== isNegative;
}

/** More severe is greater, and has the smaller number. */
function comparePriority(operator: MatchOperator, wanted: number): (facts: AlertFacts) => boolean {
  switch (operator) {
    case ">=":
      return ({ priority }) => priority <= wanted;
    case "<=":
      return ({ priority }) => priority >= wanted;
    case ">":
      return ({ priority }) => priority < wanted;
    case "<":
      return ({ priority }) => priority > wanted;
    case "!=":
    case "!~":
      return ({ priority }) => priority !== wanted;
    case "=":
    case "=~":
      return ({ priority }) => priority === wanted;
  }
}

/** Alerts of a fleet name the same few users and images over and over. */
const rememberedMax = 1_000;

function compilePattern(pattern: string): (text: string) => boolean {
  const compiled = RE2JS.compile(pattern, RE2JS.DOTALL);
  const remembered = new Map<string, boolean>();
  return (text) => {
    const tested = text.slice(0, testedCharsMax);
    const known = remembered.get(tested);
    if (known !== undefined) return known;
    const isMatch = compiled.matches(tested);
    if (remembered.size >= rememberedMax) remembered.clear();
    remembered.set(tested, isMatch);
    return isMatch;
  };
}

interface Read {
  readonly matcher: AlertMatcher;
  readonly rest: string;
}

const namePattern = /^([A-Za-z_][A-Za-z0-9_./-]*(?:\[[^\]"`]*\])?)\s*/;
const bare = /^([^,"`{}]*)/;

/** The first matcher of a text and what follows its comma, or why it cannot be read. */
function readMatcher(text: string): Read | string {
  const [head = "", name = ""] = namePattern.exec(text) ?? [];
  if (name === "") return `expected a name such as rule or ka.user.name at "${excerpt(text)}"`;
  if (name.length > nameCharsMax) return `has a name of more than ${nameCharsMax} characters`;
  const afterName = text.slice(head.length);
  const operator = matchOperators.find((each) => afterName.startsWith(each));
  if (operator === undefined) {
    return `expected one of ${matchOperators.join(" ")} after "${excerpt(name)}"`;
  }
  const value = readValue(afterName.slice(operator.length).trimStart());
  if (typeof value === "string") return `${value} after "${excerpt(name)}${operator}"`;
  const problem = problemOf(name, operator, value.text);
  if (problem !== undefined) return problem;
  const matcher = { name, operator, value: value.text };
  const rest = value.rest.trimStart();
  if (rest === "") return { matcher, rest };
  if (!rest.startsWith(",")) return `expected a comma or the end at "${excerpt(rest)}"`;
  const next = rest.slice(1).trim();
  return next === "" ? "ends with a comma" : { matcher, rest: next };
}

function readValue(text: string): { readonly text: string; readonly rest: string } | string {
  if (text.startsWith("`")) {
    const end = text.indexOf("`", 1);
    return end === -1
      ? "expected a closing backtick"
      : { text: text.slice(1, end), rest: text.slice(end + 1) };
  }
  if (text.startsWith('"')) {
    const [whole, inner = ""] = /^"((?:[^"\\]|\\.)*)"/s.exec(text) ?? [];
    if (whole === undefined) return "expected a closing quote";
    const bad = /\\[^"\\nt]/s.exec(inner.replaceAll("\\\\", ""))?.[0];
    if (bad !== undefined) return `expected \\\\ instead of \\, or backticks around the value: "${bad}"`;
    return { text: unquoted(inner), rest: text.slice(whole.length) };
  }
  const [whole = ""] = bare.exec(text) ?? [];
  if (whole.trim() === "") return 'expected a value, or "" for an empty one,';
  return { text: whole.trim(), rest: text.slice(whole.length) };
}

const unescaped: Readonly<Record<string, string>> = { n: "\n", t: "\t" };

function unquoted(inner: string): string {
  return inner.replaceAll(/\\(.)/gs, (_, char: string) => unescaped[char] ?? char);
}

function quoted(value: string): string {
  const inner = value.replaceAll(/["\\]/g, (char) => `\\${char}`);
  return `"${inner.replaceAll("\n", "\\n").replaceAll("\t", "\\t")}"`;
}

function problemOf(name: string, operator: MatchOperator, value: string): string | undefined {
  if (value.length > valueCharsMax) return `has a value of more than ${valueCharsMax} characters`;
  const isPattern = operator === "=~" || operator === "!~";
  if (subjectOf(name).kind === "priority") {
    if (isPattern) return `compares priority by ${operator}: use =, !=, >=, <=, > or <`;
    if (priorityNumber(value) !== undefined) return undefined;
    return `"${excerpt(value)}" is none of Falco's priorities, for example warning`;
  }
  if (isPattern) return patternProblem(value);
  if (operator === "=" || operator === "!=") return undefined;
  return `compares "${excerpt(name)}" by ${operator}, which only priority can be`;
}

function patternProblem(pattern: string): string | undefined {
  const verdict = judgePattern(pattern);
  switch (verdict.kind) {
    case "fits":
      return undefined;
    case "long":
      return `has a pattern of more than ${patternLettersMax} characters`;
    case "large":
      return `"${excerpt(pattern)}" repeats too much: each test would take too long`;
    case "broken":
      return `"${excerpt(pattern)}" is no regular expression: ${excerpt(verdict.why)}`;
  }
}

function excerpt(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
