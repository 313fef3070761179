import type { LogExpr } from "../../domain/logql/ast.ts";
import { jsonLabels } from "../../domain/logql/json-labels.ts";
import type { Labels } from "../../domain/logql/labels.ts";
import { sampleLines } from "./lines.ts";
import type { StreamSize } from "./lists.ts";
import type { Span } from "./params.ts";
import type { Reading } from "./reading.ts";

/** A label of streams, and how many values it has. */
export interface DetectedLabel {
  readonly label: string;
  readonly cardinality: number;
}

/** Labels that streams have, each with the number of its values. */
export function detectedLabels(streams: readonly StreamSize[]): readonly DetectedLabel[] {
  const values = valuesOf(streams.map(({ labels }) => labels));
  return [...values].map(([label, { size: cardinality }]) => ({ label, cardinality })).toSorted(byLabel);
}

/** A label that `| json` would make of lines. */
export interface DetectedField extends DetectedLabel {
  readonly type: "int" | "float" | "boolean" | "string";
  readonly parsers: readonly ["json"];
}

/** The labels that `| json` would make of lines, each with its values. */
export type FieldValues = ReadonlyMap<string, ReadonlySet<string>>;

/** At most `max` of the labels, each with what its values are like. */
export function detectedFields(fields: FieldValues, max: number): readonly DetectedField[] {
  const found = [...fields].map(([label, values]): DetectedField => {
    return { label, type: typeOf(values), cardinality: values.size, parsers: ["json"] };
  });
  return found.toSorted(byLabel).slice(0, max);
}

/** The values of one of the labels. */
export function detectedValues(fields: FieldValues, label: string, max: number): readonly string[] {
  return [...(fields.get(label) ?? [])].toSorted().slice(0, max);
}

/** How much is looked at; what comes first ends it. */
export interface SampleSize {
  readonly linesMax: number;
  readonly bytesMax: number;
}

/** What `| json` behind the query would make of its newest lines, read as any query is: in turns, and within its time. */
export async function sampleFields(
  reading: Reading,
  log: LogExpr,
  { linesMax, bytesMax, ...span }: Span & SampleSize,
): Promise<FieldValues> {
  const fields = new Map<string, Set<string>>();
  let [lines, bytes] = [0, 0];
  await sampleLines(reading, log, { ...span, atMost: linesMax }, ({ body }, labels, stream) => {
    addTo(fields, fieldsOf(body, labels, stream));
    lines += 1;
    bytes += body.length;
    return lines < linesMax && bytes < bytesMax;
  });
  return fields;
}

/** The stream's own labels keep their names, whatever the line says; those that an earlier `| json` made are made again. */
function fieldsOf(line: string, labels: Labels, stream: Labels): Labels {
  const own = Object.fromEntries(Object.entries(labels).filter(([name]) => Object.hasOwn(stream, name)));
  const { __error__: error, ...all } = jsonLabels(line, own);
  // What is no JSON has no fields.
  if (error !== undefined) return {};
  return Object.fromEntries(Object.entries(all).filter(([name]) => !Object.hasOwn(own, name)));
}

function valuesOf(all: readonly Labels[]): FieldValues {
  const values = new Map<string, Set<string>>();
  for (const labels of all) addTo(values, labels);
  return values;
}

function addTo(values: Map<string, Set<string>>, labels: Labels): void {
  for (const [label, value] of Object.entries(labels)) {
    const known = values.get(label);
    if (known === undefined) values.set(label, new Set([value]));
    else known.add(value);
  }
}

function typeOf(values: ReadonlySet<string>): DetectedField["type"] {
  const all = (pattern: RegExp) => [...values].every((value) => pattern.test(value));
  if (all(/^-?\d+$/)) return "int";
  if (all(/^-?\d+(\.\d+)?([eE][+-]?\d+)?$/)) return "float";
  return all(/^(true|false)$/) ? "boolean" : "string";
}

function byLabel(a: DetectedLabel, b: DetectedLabel): number {
  return a.label < b.label ? -1 : a.label > b.label ? 1 : 0;
}
