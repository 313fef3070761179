/** Where something stands. Lines, columns and offsets count from 0, as in Falco's own report. */
export interface Position {
  readonly name: string;
  readonly line: number;
  readonly column: number;
  readonly offset: number;
}

export interface Location {
  readonly item_type: string;
  readonly item_name: string;
  readonly position: Position;
}

/** An error or warning, in the shape of `falco -V` with JSON output. */
export interface Finding {
  readonly code: ErrorCode | WarningCode;
  readonly codedesc: string;
  readonly message: string;
  /** From the file down to the thing itself. */
  readonly context: { readonly locations: readonly Location[]; readonly snippet: string };
}

/** What became of one rules file, in the shape of `falco -V` with JSON output. */
export interface FileResult {
  readonly name: string;
  readonly successful: boolean;
  /** Whether the file fits the schema of rules files, which is stricter than the loader and never decides. */
  readonly schema_valid: "ok" | "failed" | "none";
  readonly schema_warnings: readonly string[];
  readonly errors: readonly Finding[];
  readonly warnings: readonly Finding[];
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
  LOAD_UNKNOWN_KEY: "Unknown item key",
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

/** A text with the offsets at which its lines start. */
export class SourceText {
  readonly name: string;
  readonly text: string;
  private readonly starts: number[];

  constructor(name: string, text: string) {
    this.name = name;
    this.text = text;
    this.starts = [0];
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) this.starts.push(at + 1);
  }

  position(offset: number): Position {
    const at = Math.max(0, Math.min(offset, this.text.length));
    let low = 0;
    let high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.starts[middle] ?? 0) <= at) low = middle;
      else high = middle - 1;
    }
    return { name: this.name, line: low, column: at - (this.starts[low] ?? 0), offset: at };
  }

  /** The line an offset lies in, with a caret below the place. Long lines are cut around it. */
  snippet(offset: number): string {
    const { line, column } = this.position(offset);
    const start = this.starts[line] ?? 0;
    const next = this.starts[line + 1];
    const whole = this.text.slice(start, next === undefined ? undefined : next - 1);
    const from = Math.max(0, column - snippetWidth / 2);
    const shown = whole.slice(from, from + snippetWidth).replaceAll("\t", " ");
    return `------\n${shown}\n${" ".repeat(column - from)}^\n------\n`;
  }
}

const snippetWidth = 160;

/** A place in a file, as the way down to it. */
export class Context {
  readonly source: SourceText;
  readonly locations: readonly Location[];
  private readonly shown: { readonly text: SourceText; readonly at: number };

  constructor(source: SourceText, locations: readonly Location[], shown: { text: SourceText; at: number }) {
    this.source = source;
    this.locations = locations;
    this.shown = shown;
  }

  /** The whole file. */
  static file(source: SourceText): Context {
    const root = { item_type: "rules content", item_name: "", position: source.position(0) };
    return new Context(source, [root], { text: source, at: 0 });
  }

  child(type: string, name: string, at: number): Context {
    const location = { item_type: type, item_name: name, position: this.source.position(at) };
    return new Context(this.source, [...this.locations, location], { text: this.source, at });
  }

  /**
   * A place inside a condition. The condition was unfolded from YAML and its lists were substituted, so its
   * own text is shown; the position is the condition's place in the file moved by the place in the text.
   */
  inCondition(condition: string, at: number): Context {
    const text = new SourceText(this.source.name, condition);
    const inner = text.position(at);
    const outer = this.locations.at(-1)?.position ?? this.source.position(0);
    const position = {
      name: this.source.name,
      line: outer.line + inner.line + 1,
      column: outer.column + inner.column + 1,
      offset: outer.offset + inner.offset,
    };
    const location = { item_type: "condition expression", item_name: "", position };
    return new Context(this.source, [...this.locations, location], { text, at });
  }

  snippet(): string {
    return this.shown.text.snippet(this.shown.at);
  }
}

/** Builds an error of the report. */
export function errorFinding({ code, message, context }: LoadProblem): Finding {
  return { code, codedesc: errorWords[code], message, context: contextOf(context) };
}

/** Builds a warning of the report. */
export function warningFinding(code: WarningCode, message: string, context: Context): Finding {
  return { code, codedesc: warningWords[code], message, context: contextOf(context) };
}

function contextOf(context: Context): Finding["context"] {
  return { locations: context.locations, snippet: context.snippet() };
}
