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

export interface Sections {
  readonly sections: readonly Section[];
  readonly problems: readonly Problem[];
}

/** Bounds of what is read at all; a config beyond them is refused before it costs anything. */
export const limits: Readonly<
  Record<"files" | "fileBytes" | "sections" | "entriesPerSection" | "depth", number>
> = {
  files: 64,
  fileBytes: 256 * 1024,
  sections: 256,
  entriesPerSection: 256,
  depth: 8,
};

/** The value of the last entry with this key: in Fluent Bit, too, the last one wins. */
export function lastValue(section: Section, key: string): Entry | undefined {
  return section.entries.findLast((entry) => entry.key === key);
}
