import type { Compat, Extract, FieldValue } from "./fields/field.ts";
import { bindField, fieldAt, type BoundField } from "./fields/registry.ts";
import { SyntaxProblem } from "./lexer.ts";
import { compileOperand, type Frame, type Read, type Slots } from "./compile.ts";
import { parseTransformerAt } from "./parser.ts";
import { fieldOperand, resolveOperand, type ResolvedOperand } from "./resolve-operand.ts";
import { utf8Cut, utf8Length } from "./utf8.ts";

/** A list is cut at this many bytes when it is printed. */
const listBytesMax = 1023;
const widthMax = 4096;

/** A part of an output: fixed text, or a field with an optional fixed width. */
type Part =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "field"; readonly operand: ResolvedOperand; readonly width: number | undefined };

/** An output whose fields all exist. */
export interface OutputTemplate {
  readonly parts: readonly Part[];
}

export type OutputOutcome =
  | { readonly ok: true; readonly template: OutputTemplate }
  | { readonly ok: false; readonly message: string; readonly at: number };

/** Parses an output such as `pod started (user=%ka.user.name)`. There is no escape for `%`. Never throws. */
export function parseOutput(text: string, compat: Compat, source?: string): OutputOutcome {
  const parts: Part[] = [];
  // A leading star asks to print even when fields are missing, which is what always happens.
  let from = text.startsWith("*") ? 1 : 0;
  for (let at = text.indexOf("%", from); at >= 0; at = text.indexOf("%", from)) {
    if (at > from) parts.push({ kind: "text", text: text.slice(from, at) });
    if (at === text.length - 1) {
      return { ok: false, message: "invalid formatting syntax: formatting cannot end with a %", at };
    }
    const outcome = fieldPart(text, at, compat, source);
    if (!("part" in outcome)) return { ok: false, message: outcome.message, at };
    parts.push(outcome.part);
    from = outcome.end;
  }
  if (from < text.length) parts.push({ kind: "text", text: text.slice(from) });
  return { ok: true, template: { parts } };
}

type FieldPart = { readonly part: Part; readonly end: number } | { readonly message: string };

function fieldPart(text: string, percent: number, compat: Compat, source: string | undefined): FieldPart {
  const start = behindDigits(text, percent + 1);
  const width = text.slice(percent + 1, start);
  if (start === text.length) {
    return { message: "invalid formatting syntax: formatting cannot end with a number" };
  }
  if (Number(width) > widthMax) {
    return { message: `invalid formatting syntax: a width of ${width} is more than ${widthMax}` };
  }
  const found = operandAt(text, start, compat, source);
  if (found.operand === undefined) {
    const name = text.slice(start, start + 32);
    const why = found.message === undefined ? "" : ` (${found.message})`;
    return { message: `unknown filter: unexpected token after '%': no field starts at '${name}'${why}` };
  }
  // A width of 0 is none.
  return {
    part: { kind: "field", operand: found.operand, width: Number(width) || undefined },
    end: found.end,
  };
}

function behindDigits(text: string, from: number): number {
  let at = from;
  while (at < text.length && isDigit(text.charCodeAt(at))) at++;
  return at;
}

const isDigit = (unit: number): boolean => unit >= 0x30 && unit <= 0x39;

type FoundOperand =
  | { readonly operand: ResolvedOperand; readonly end: number }
  | { readonly operand?: undefined; readonly message: string | undefined };

/** A transformer call or a field at an offset, as much as makes sense: brackets that do not are text. */
function operandAt(text: string, at: number, compat: Compat, source: string | undefined): FoundOperand {
  let message: string | undefined;
  for (const hasBrackets of [true, false]) {
    const found = parseTransformerAt(text, at, hasBrackets);
    if (found === undefined) continue;
    try {
      return { operand: resolveOperand(found.call, compat), end: found.end };
    } catch (error) {
      if (!(error instanceof SyntaxProblem)) throw error;
      message ??= error.message;
    }
  }
  if (message !== undefined) return { message };
  const found = fieldAt(text, at, compat, source);
  if (found === undefined) return { message };
  return { operand: fieldOperand(found.field), end: found.end };
}

/** What is wrong with an output that prints a field which can only be compared. */
export function unprintableIn({ parts }: OutputTemplate): string | undefined {
  const field = parts
    .flatMap((part) => (part.kind === "field" ? part.operand.fields : []))
    .find(({ definition }) => definition.isFilterOnly === true);
  return field && `unknown filter: ${field.key} is filter only and cannot be used as a display field`;
}

/** An output that is ready to be printed for an event. */
export interface Printer {
  readonly print: (frame: Frame) => string;
  /** The fields that an alert lists, by name in alphabetical order. */
  readonly fields: readonly { readonly key: string; readonly read: Read; readonly isList: boolean }[];
}

/** Prepares an output that has been checked: reads of fields are shared with conditions through `slots`. */
export function compileOutput(text: string, slots: Slots, compat: Compat, time = "evt.time"): Printer {
  const outcome = parseOutput(text, compat);
  if (!outcome.ok) throw new Error(`output '${text}' was checked before: ${outcome.message}`);
  const { template } = outcome;
  const printers = template.parts.map((part): ((frame: Frame) => string) => {
    if (part.kind === "text") return () => part.text;
    const read = compileOperand(part.operand, slots);
    const pad = padding(part.operand);
    return (frame) => toWidth(valueText(read(frame), pad), part.width);
  });
  const fields = new Map<string, { key: string; read: Read; isList: boolean }>();
  const used = template.parts.flatMap((part) => (part.kind === "field" ? part.operand.fields : []));
  for (const field of [...used, timeField(time, compat)]) {
    const { json, isList } = field.definition;
    fields.set(field.key, { key: field.key, read: jsonRead(json) ?? slots.read(field), isList });
  }
  return {
    print: (frame) => {
      let text = "";
      for (const print of printers) text += print(frame);
      return text;
    },
    fields: [...fields.values()].sort((a, b) => (a.key < b.key ? -1 : 1)),
  };
}

function jsonRead(json: Extract | undefined): Read | undefined {
  return json === undefined ? undefined : (frame) => json(frame.event);
}

/** Every line starts with the time, so every alert lists it. */
function timeField(name: string, compat: Compat): BoundField {
  const outcome = bindField(name, undefined, compat);
  if (!outcome.ok) throw new Error(outcome.message);
  return outcome.field;
}

function padding({ source }: ResolvedOperand): number {
  return source.kind === "field" ? (source.field.definition.padTo ?? 0) : 0;
}

function valueText(value: FieldValue, padTo: number): string {
  if (value === undefined) return "<NA>";
  if (Array.isArray(value)) return cutAt(`(${listed(value.map(String))})`, listBytesMax);
  return String(value).padStart(padTo, "0");
}

/** Elements with commas between them, but none before the first text that is not empty: Falco prints them so. */
function listed(items: readonly string[]): string {
  const first = items.findIndex((item) => item !== "");
  return first < 0 ? "" : items.slice(first).join(",");
}

/** Falco counts bytes; where it cuts a character in two, what is left of it is replaced in the alert. */
function cutAt(text: string, bytesMax: number): string {
  if (text.length * 3 <= bytesMax || utf8Length(text) <= bytesMax) return text;
  const cut = utf8Cut(text, bytesMax);
  return utf8Length(cut) < bytesMax ? `${cut}\ufffd` : cut;
}

function toWidth(text: string, width: number | undefined): string {
  if (width === undefined) return text;
  const bytes = utf8Length(text);
  return bytes <= width ? text + " ".repeat(width - bytes) : cutAt(text, width);
}
