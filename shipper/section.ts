import type { Place, Problem } from "./problem.ts";

/** One file of a shipper bundle. */
export interface ConfigFile {
  readonly name: string;
  readonly content: string;
}

/** One `key value` of a section, as it was written: `${VAR}` is not expanded yet. */
export interface Entry extends Place {
  /** Lower case: Fluent Bit does not distinguish. */
  readonly key: string;
  readonly value: string;
}

export type SectionKind = "service" | "env" | "parser" | "input" | "filter" | "output";

/** What both formats are read into, so that nothing behind this point knows which one it was. */
export interface Section extends Place {
  readonly kind: SectionKind;
  readonly entries: readonly Entry[];
}

/** Another file that is to be read in the middle of this one. */
export interface Include extends Place {
  /** As it was written. */
  readonly path: string;
  /** The number of sections of this file that come before it. */
  readonly before: number;
}

export interface Sections {
  readonly sections: readonly Section[];
  /** In the order in which they are written. */
  readonly includes: readonly Include[];
  readonly problems: readonly Problem[];
}

/** Bounds of what is read at all; a config beyond them is refused before it costs anything. */
export const limits: Readonly<
  Record<"files" | "fileBytes" | "sections" | "entriesPerSection" | "entries" | "depth", number>
> = {
  files: 64,
  fileBytes: 256 * 1024,
  sections: 256,
  entriesPerSection: 256,
  entries: 4096,
  depth: 8,
};

/** The value of the last entry with this key: in Fluent Bit, too, the last one wins. */
export function lastValue(section: Section, key: string): Entry | undefined {
  return section.entries.findLast((entry) => entry.key === key);
}
