import type { CompareOp, LabelChoice, LabelFilter, Stage } from "./ast.ts";
import { fixedLabels, type Labels } from "./labels.ts";
import { jsonLabels } from "./json-labels.ts";
import { compileMatcher, compilePattern } from "./match.ts";

/** The labels that a line leaves a pipeline with; undefined when it does not get through. */
export type Pipeline = (line: string, labels: Labels) => Labels | undefined;

/** A pipeline of one stage, which also knows the labels that the stream has of itself. */
type Step = (line: string, labels: Labels, stream: Labels) => Labels | undefined;

/** Makes functions of the stages once, so that a line only calls them. */
export function compilePipeline(stages: readonly Stage[]): Pipeline {
  const steps = stages.map(compileStage);
  return (line, labels) => {
    let now: Labels | undefined = labels;
    for (const step of steps) {
      now = step(line, now, labels);
      if (now === undefined) return undefined;
    }
    return now;
  };
}

function compileStage(stage: Stage): Step {
  switch (stage.kind) {
    case "line": {
      const isWanted = stage.op === "|=" || stage.op === "|~";
      const tests = stage.texts.map((text) => lineTest(stage.op, text));
      return (line, labels) => (tests.some((test) => test(line)) === isWanted ? labels : undefined);
    }
    case "json":
      return jsonLabels;
    case "filter":
      return compileFilter(stage.filter);
    case "drop": {
      const goes = compileChoices(stage.labels);
      return (_line, labels) => onlyWhere(labels, (name, value) => !goes(name, value));
    }
    case "keep": {
      const stays = compileChoices(stage.labels);
      return (_line, labels) =>
        onlyWhere(labels, (name, value) => name.startsWith("__error") || stays(name, value));
    }
  }
}

function lineTest(op: "|=" | "!=" | "|~" | "!~", text: string): (line: string) => boolean {
  if (op === "|=" || op === "!=") return (line) => line.includes(text);
  return compilePattern(text);
}

function onlyWhere(labels: Labels, stays: (name: string, value: string) => boolean): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([name, value]) => stays(name, value)));
}

function compileChoices(choices: readonly LabelChoice[]): (name: string, value: string) => boolean {
  const tests = choices.map(({ name, matcher }) => {
    const test = matcher === undefined ? () => true : compileMatcher(matcher);
    // `__error__` goes with what it says more of itself.
    const isIt = (of: string) => of === name || (name === "__error__" && of === "__error_details__");
    return (of: string, value: string) => isIt(of) && test(value);
  });
  return (name, value) => tests.some((test) => test(name, value));
}

/** Filters may add the labels of an error. */
function compileFilter(filter: LabelFilter): Pipeline {
  switch (filter.kind) {
    case "and": {
      const [left, right] = [compileFilter(filter.left), compileFilter(filter.right)];
      return (line, labels) => {
        const first = left(line, labels);
        return first === undefined ? undefined : right(line, first);
      };
    }
    case "or": {
      const [left, right] = [compileFilter(filter.left), compileFilter(filter.right)];
      return (line, labels) => left(line, labels) ?? right(line, labels);
    }
    case "text": {
      const test = compileMatcher(filter.matcher);
      const { name } = filter.matcher;
      return (_line, labels) => (test(valueOf(labels, name)) ? labels : undefined);
    }
    case "number": {
      const { name, op, value: wanted } = filter;
      return (_line, labels) => {
        const text = valueOf(labels, name);
        if (text === "") return undefined;
        const value = Number(text);
        // As in Loki, where a value is no number the line stays, and says so.
        if (Number.isNaN(value)) return { ...labels, __error__: "LabelFilterErr" };
        return compare(value, op, wanted) ? labels : undefined;
      };
    }
  }
}

function valueOf(labels: Labels, name: string): string {
  return Object.hasOwn(labels, name) ? (labels[name] ?? "") : "";
}

export function compare(left: number, op: CompareOp, right: number): boolean {
  switch (op) {
    case "==":
      return left === right;
    case "!=":
      return left !== right;
    case ">":
      return left > right;
    case ">=":
      return left >= right;
    case "<":
      return left < right;
    case "<=":
      return left <= right;
  }
}

/** Text that Postgres can be asked about. */
function isStorable(text: string): boolean {
  return !text.includes("\0");
}

/** What of the line filters the store can do by itself: texts that a line has to contain, one of each list, or may not contain. */
export interface LineTexts {
  readonly contains: readonly (readonly string[])[];
  readonly lacks: readonly string[];
}

export function lineTexts(stages: readonly Stage[]): LineTexts {
  const lines = stages.filter((stage) => stage.kind === "line");
  return {
    contains: lines.flatMap(({ op, texts }) => (op === "|=" && texts.every(isStorable) ? [texts] : [])),
    lacks: lines.flatMap(({ op, texts }) => (op === "!=" ? texts.filter(isStorable) : [])),
  };
}

/**
 * Whether lines need not be looked at, once the store has done its part: what the stages do depends only on labels that the stream has.
 * `wanted` are the labels that are asked for in the end; undefined when all are.
 */
export function isDecidedByStream(stages: readonly Stage[], wanted: readonly string[] | undefined): boolean {
  const hasJson = stages.some(({ kind }) => kind === "json");
  const isKnown = (name: string) => !hasJson || fixedLabels.has(name);
  if (hasJson && !(wanted ?? [""]).every(isKnown)) return false;
  return stages.every((stage) => {
    switch (stage.kind) {
      case "line":
        return (stage.op === "|=" || stage.op === "!=") && stage.texts.every(isStorable);
      case "json":
        return true;
      case "filter":
        return namesIn(stage.filter).every(isKnown);
      case "drop":
      case "keep":
        // What is dropped before a line is taken apart, the line may bring again.
        return !hasJson || stage.labels.every(({ name }) => name.startsWith("__error"));
    }
  });
}

/** The stages that are left when the store has done its part and lines are not looked at. */
export function streamStages(stages: readonly Stage[]): readonly Stage[] {
  return stages.filter(({ kind }) => kind !== "line" && kind !== "json");
}

/** The labels that stages look at. */
export function namesInStages(stages: readonly Stage[]): readonly string[] {
  return stages.flatMap((stage) => {
    if (stage.kind === "filter") return namesIn(stage.filter);
    return stage.kind === "drop" || stage.kind === "keep" ? stage.labels.map(({ name }) => name) : [];
  });
}

function namesIn(filter: LabelFilter): readonly string[] {
  switch (filter.kind) {
    case "and":
    case "or":
      return [...namesIn(filter.left), ...namesIn(filter.right)];
    case "text":
      return [filter.matcher.name];
    case "number":
      return [filter.name];
  }
}
