import { clean } from "./text.ts";

/** What is told of one rule test. */
export interface ToldTest {
  readonly file: string;
  readonly line?: number;
  readonly name: string;
  readonly failures: readonly string[];
  readonly notes: readonly string[];
}

/** Passed tests with notes that are shown one by one. */
const notedMax = 20;

/** For people: the failures with their notes, then the notes of tests that passed, and at the end `N passed, N failed`. */
export function renderRuleTests(tests: readonly ToldTest[]): readonly string[] {
  const failed = tests.filter(({ failures }) => failures.length > 0);
  const noted = tests.filter(({ failures, notes }) => failures.length === 0 && notes.length > 0);
  const unseen = noted.length - notedMax;
  return [
    ...failed.flatMap((test) => [
      `FAILED ${placeOf(test)}: ${clean(test.name)}`,
      ...test.failures.flatMap((failure) => indented(failure)),
      ...test.notes.flatMap((note) => indented(`note: ${note}`)),
    ]),
    ...noted
      .slice(0, notedMax)
      .flatMap((test) => [
        `NOTE ${placeOf(test)}: ${clean(test.name)}`,
        ...test.notes.flatMap((note) => indented(note)),
      ]),
    ...(unseen > 0 ? [`NOTE ${unseen} more tests that passed have notes: -o json shows all`] : []),
    `${tests.length - failed.length} passed, ${failed.length} failed`,
  ];
}

function placeOf({ file, line }: ToldTest): string {
  return line === undefined ? file : `${file}:${line}`;
}

function indented(text: string): readonly string[] {
  return text.split("\n").map((line) => `  ${clean(line)}`);
}
