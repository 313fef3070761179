import type { Context, Location, Shown } from "./context.ts";

/** An error or warning, in the shape of `falco -V` with JSON output but for what people are shown. */
export interface Finding {
  readonly code: ErrorCode | WarningCode;
  readonly codedesc: string;
  readonly message: string;
  /** From the file down to the thing itself. */
  readonly context: { readonly locations: readonly Location[]; readonly snippet: string };
  /** The field that a warning of a deprecated field is about. */
  readonly deprecated_field?: string;
  /** Left out of Falco's shape. */
  readonly shown: Shown;
}

/** What became of one rules file, in the shape of `falco -V` with JSON output but for what people are shown. */
export interface FileResult {
  readonly name: string;
  readonly successful: boolean;
  /** Whether the file fits the schema of rules files, which is stricter than the loader and never decides. */
  readonly schema_valid: "ok" | "failed" | "none";
  readonly schema_warnings: readonly string[];
  readonly errors: readonly Finding[];
  readonly warnings: readonly Finding[];
  /** What this engine leaves aside without Falco having a warning for it. Left out of Falco's shape. */
  readonly notes: readonly Note[];
}

/** A remark for people about a place in a file. */
export interface Note {
  readonly message: string;
  readonly shown: Shown;
}

const errorWords = {
  LOAD_ERR_FILE_READ: "File read error",
  LOAD_ERR_YAML_PARSE: "YAML parse error",
  LOAD_ERR_YAML_VALIDATE: "Error validating internal structure of YAML file",
  LOAD_ERR_COMPILE_CONDITION: "Error compiling condition",
  LOAD_ERR_COMPILE_OUTPUT: "Error compiling output",
  LOAD_ERR_VALIDATE: "Error validating rule/macro/list/exception objects",
  LOAD_ERR_EXTENSION: "Error in extension item",
} as const;

const warningWords = {
  LOAD_UNKNOWN_SOURCE: "Unknown event source",
  LOAD_UNSAFE_NA_CHECK: "Unsafe <NA> comparison in condition",
  LOAD_NO_EVTTYPE: "Condition has no event-type restriction",
  LOAD_UNKNOWN_FILTER: "Unknown field or event-type in condition or output",
  LOAD_UNAVAILABLE_FILTER: "Field or event-type that the event source can not give",
  LOAD_UNUSED_MACRO: "Unused macro",
  LOAD_UNUSED_LIST: "Unused list",
  LOAD_UNKNOWN_ITEM: "Unknown rules file item",
  LOAD_DEPRECATED_ITEM: "Used deprecated item",
  LOAD_WARNING_EXTENSION: "Warning in extension item",
  LOAD_APPEND_NO_VALUES: "Overriding/appending with no values",
  LOAD_EXCEPTION_NAME_NOT_UNIQUE: "Multiple exceptions defined with the same name",
  LOAD_INVALID_MACRO_NAME: "Invalid macro name",
  LOAD_INVALID_LIST_NAME: "Invalid list name",
  LOAD_COMPILE_CONDITION: "Warning in rule condition",
  LOAD_UNKNOWN_KEY: "Unknown key in item definition",
} as const;

export type ErrorCode = keyof typeof errorWords;
export type WarningCode = keyof typeof warningWords;

/** An error that ends the loading of a file. */
export class LoadProblem extends Error {
  readonly code: ErrorCode;
  readonly context: Context;
  constructor(code: ErrorCode, message: string, context: Context) {
    super(message);
    this.code = code;
    this.context = context;
  }
}

/** What {@link warningFinding} is told besides code, message and place. */
export interface WarningExtras {
  readonly deprecatedField?: string;
}

/** Builds an error of the report. */
export function errorFinding({ code, message, context }: LoadProblem): Finding {
  return { code, codedesc: errorWords[code], message, ...placeOf(context) };
}

/** Builds a warning of the report. */
export function warningFinding(
  code: WarningCode,
  message: string,
  context: Context,
  { deprecatedField }: WarningExtras = {},
): Finding {
  const finding = { code, codedesc: warningWords[code], message, ...placeOf(context) };
  return deprecatedField === undefined ? finding : { ...finding, deprecated_field: deprecatedField };
}

function placeOf(context: Context): Pick<Finding, "context" | "shown"> {
  return {
    context: { locations: context.locations(), snippet: context.snippet() },
    shown: context.shown(),
  };
}

/** The findings as `falco -V` prints them with JSON output. */
export function falcoResults(results: readonly FileResult[]): readonly object[] {
  const plain = ({ shown: _shown, ...finding }: Finding): object => finding;
  return results.map(({ notes: _notes, ...result }) => ({
    ...result,
    errors: result.errors.map(plain),
    warnings: result.warnings.map(plain),
  }));
}
