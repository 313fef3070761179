import { clean, countOf } from "./text.ts";

interface Problem {
  readonly fault: string;
  readonly sequence: number;
  readonly through: number;
  readonly why: string;
}

/** What a verification found, as lines. */
export function auditVerdict(verified: {
  readonly org: string;
  readonly rows: number;
  readonly signedThrough: number;
  readonly heads: number;
  readonly carried: number;
  readonly problems: readonly Problem[];
  readonly notes: readonly string[];
}): readonly string[] {
  const { rows, signedThrough, problems, notes } = verified;
  const with_ = `${countOf(verified.heads, "signed head")} and ${countOf(verified.carried, "head")} that agents carry`;
  const notesShown = notes.map((note) => `Note: ${clean(note)}.`);
  const [first, ...others] = problems;
  if (first !== undefined) {
    return [
      `NOT WHOLE: ${placeOf(first)}: ${first.fault}: ${clean(first.why)}.`,
      ...others.map((problem) => `Also ${placeOf(problem)}: ${problem.fault}: ${clean(problem.why)}.`),
      `Compared ${countOf(rows, "row")} of org "${clean(verified.org)}" with ${with_}.`,
      ...notesShown,
    ];
  }
  const unsigned = rows - signedThrough;
  return [
    `Whole: ${countOf(rows, "row")} of org "${clean(verified.org)}", compared with ${with_}.`,
    ...(unsigned > 0 ? [`The newest ${countOf(unsigned, "row")} are not under a signed head yet.`] : []),
    ...notesShown,
  ];
}

function placeOf({ sequence, through }: Problem): string {
  return through > sequence
    ? `first bad row is one of ${sequence} to ${through}`
    : `first bad row ${sequence}`;
}
