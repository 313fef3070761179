/** A place in a config file; line and column count from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** What is wrong with a config, where, and what to write instead. */
export interface Problem extends Place {
  readonly message: string;
}

/** Problems for people, one per line: `file:line:column: message`, as editors and terminals understand it. */
export function renderProblems(problems: readonly Problem[]): string {
  return problems.map((p) => `${p.file}:${p.line}:${p.column}: ${p.message}`).join("\n");
}

/** Where something is, without the rest of whatever carries the place. */
export function placeOf({ file, line, column }: Place): Place {
  return { file, line, column };
}

/** A problem at a place, without the rest of whatever carries the place. */
export function problemAt(place: Place, message: string): Problem {
  return { ...placeOf(place), message };
}
