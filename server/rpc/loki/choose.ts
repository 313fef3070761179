import type { Matcher } from "../../domain/logql/ast.ts";
import { clusterLabels, jobLabel, ownLabels, sourceLabel, type Labels } from "../../domain/logql/labels.ts";
import { compileMatcher } from "../../domain/logql/match.ts";
import { lineTexts } from "../../domain/logql/pipeline.ts";
import type { Stage } from "../../domain/logql/ast.ts";
import { priorities, priorityWord } from "../../domain/priority.ts";
import { isWholeFleet } from "../../domain/scope.ts";
import { listLogClusters, listLogRules, type LogChoice } from "../../store/alert-logs.ts";
import { bad } from "./answer.ts";
import { inTurns } from "../../turns.ts";
import type { Reading } from "./reading.ts";

/** The streams that a selector chooses of those that somebody may see. */
export interface Chosen {
  readonly choice: Omit<LogChoice, "fromUs" | "toUs">;
  /** Labels by cluster: of the clusters that are chosen. */
  readonly clusters: ReadonlyMap<string, Labels>;
}

/** Names of rules that are compared with patterns: more of them than any fleet has. */
const rulesMax = 5_000;

/** Undefined when nothing can match. Patterns are compared here, in bounded time; the store gets names. */
export async function choose(
  reading: Reading,
  matchers: readonly Matcher[],
  stages: readonly Stage[],
): Promise<Chosen | undefined> {
  const { tx, scope, check } = reading;
  const test = testOf(matchers);
  if (!test("job", jobLabel) || !test("source", sourceLabel)) return undefined;
  const words = priorities
    .map((_, number) => number)
    .filter((number) => test("priority", priorityWord(number)));
  const rules = await chooseRules(reading, matchers, test);
  const all = await listLogClusters(tx, scope);
  const others = matchers.filter(({ name }) => !ownLabels.some((own) => own === name));
  const tests = others.map((matcher) => ({ name: matcher.name, test: compileMatcher(matcher) }));
  const clusters = new Map<string, Labels>();
  for await (const { id, labels } of inTurns(all, check)) {
    const named = clusterLabels(labels);
    if (tests.every(({ name, test: holds }) => holds(named[name] ?? ""))) clusters.set(id, named);
  }
  if (clusters.size === 0 || words.length === 0 || rules?.length === 0) return undefined;
  const isEverything = isWholeFleet(scope) && clusters.size === all.length;
  const choice = {
    clusterIds: isEverything ? undefined : [...clusters.keys()],
    rules,
    priorities: words.length === priorities.length ? undefined : words,
    ...lineTexts(stages),
  };
  return { choice, clusters };
}

type Test = (name: string, value: string) => boolean;

function testOf(matchers: readonly Matcher[]): Test {
  const tests = matchers.map((matcher) => ({ name: matcher.name, holds: compileMatcher(matcher) }));
  return (name, value) => tests.every((each) => each.name !== name || each.holds(value));
}

async function chooseRules(
  { tx, check }: Reading,
  matchers: readonly Matcher[],
  test: Test,
): Promise<readonly string[] | undefined> {
  const about = matchers.filter(({ name }) => name === "rule");
  if (about.length === 0) return undefined;
  const exact = about.find(({ op }) => op === "=");
  const names = exact === undefined ? await listLogRules(tx, rulesMax + 1) : [exact.value];
  if (names.length > rulesMax) {
    throw bad(`more than ${rulesMax} rules have alerts: name the rule with =`);
  }
  const chosen: string[] = [];
  for await (const name of inTurns(names, check)) if (test("rule", name)) chosen.push(name);
  return chosen;
}
