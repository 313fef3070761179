import type { FieldPath } from "./field-path.ts";
import type { Match } from "./match.ts";
import type { Place } from "./problem.ts";

export type FilterConfig =
  | ModifyConfig
  | GrepConfig
  | NestConfig
  | ThrottleConfig
  | TypeConverterConfig
  | MaskConfig;

interface FilterCommon {
  readonly at: Place;
  /** Unique among filters; names counters. */
  readonly alias: string;
  readonly match: Match;
}

/** What changes top-level keys: `record_modifier` and `cluster_facts` are rules of `modify`, written shorter. */
export interface ModifyConfig extends FilterCommon {
  readonly plugin: "modify" | "record_modifier" | "cluster_facts";
  /** All have to hold, or the record is left as it is. */
  readonly conditions: readonly Condition[];
  /** In the order in which they apply; a rule sees what those before it did. */
  readonly rules: readonly ModifyRule[];
}

/**
 * `add` leaves a key alone that is there; `set` replaces it. What was written as `Add x_... ${FACT}` arrives here as
 * `set`: see plugins/modify.ts. A hard `rename` or `copy` replaces what has the new name; others then do nothing.
 */
export type ModifyRule =
  | { readonly kind: "add" | "set"; readonly key: string; readonly value: string }
  | { readonly kind: "remove"; readonly keys: KeyTest }
  | { readonly kind: "keep"; readonly keys: readonly KeyTest[] }
  | { readonly kind: "rename" | "copy"; readonly key: string; readonly to: string; readonly isHard: boolean }
  | { readonly kind: "move"; readonly keys: KeyTest; readonly to: "start" | "end" };

/** Which top-level keys are meant. */
export interface KeyTest {
  readonly kind: "is" | "begins" | "matches";
  /** The key, how it begins, or a regular expression. */
  readonly text: string;
  readonly ignoresCase: boolean;
}

/** A question about a record. Values that are no text never equal nor match, `true` and `false` can match. */
export type Condition =
  | { readonly kind: "exists"; readonly path: FieldPath; readonly wanted: boolean }
  | { readonly kind: "a-key-matches"; readonly keys: string; readonly wanted: boolean }
  | { readonly kind: "equals"; readonly path: FieldPath; readonly value: string; readonly wanted: boolean }
  | { readonly kind: "matches"; readonly path: FieldPath; readonly pattern: string; readonly wanted: boolean }
  | {
      readonly kind: "matching-keys-match";
      readonly keys: string;
      readonly pattern: string;
      readonly wanted: boolean;
    };

/** Drops records by the content of fields. Either all rules keep or all drop, except in `legacy`. */
export interface GrepConfig extends FilterCommon {
  readonly plugin: "grep";
  /** `legacy`: whatever an `exclude` matches goes, and so does what the `regex`, if there is one, does not match. */
  readonly op: "legacy" | "and" | "or";
  readonly rules: readonly GrepRule[];
}

export interface GrepRule {
  readonly kind: "regex" | "exclude";
  readonly path: FieldPath;
  readonly pattern: string;
  /** As it was written: the reason of a drop. */
  readonly written: string;
}

/** Puts keys into an object, or an object's keys at the top. */
export type NestConfig = FilterCommon & {
  readonly plugin: "nest";
  readonly prefix: { readonly kind: "add" | "remove"; readonly text: string } | undefined;
} & (
    | { readonly operation: "nest"; readonly keys: readonly KeyTest[]; readonly under: string }
    | { readonly operation: "lift"; readonly under: string }
  );

/** Lets `rate` records an interval through, on average over `window` intervals. Drops the rest. */
export interface ThrottleConfig extends FilterCommon {
  readonly plugin: "throttle";
  readonly rate: number;
  readonly window: number;
  readonly intervalMs: number;
  /** A top-level key with the record's own time, by which rates are counted; without it the agent's clock counts. */
  readonly timeKey: string | undefined;
}

export interface TypeConverterConfig extends FilterCommon {
  readonly plugin: "type_converter";
  readonly rules: readonly ConvertRule[];
}

export interface ConvertRule {
  readonly from: "int" | "uint" | "float" | "string";
  readonly path: FieldPath;
  readonly key: string;
  readonly to: "int" | "uint" | "float" | "string" | "bool" | "hex";
}

/** Makes the values below some fields unreadable for every output but `detect`. */
export interface MaskConfig extends FilterCommon {
  readonly plugin: "mask";
  readonly conditions: readonly Condition[];
  readonly fields: readonly FieldPath[];
  /** `hash`: texts that are the same stay the same, and nobody without the key can guess them. */
  readonly how:
    | { readonly kind: "text"; readonly text: string }
    | { readonly kind: "hash"; readonly key: string };
}
