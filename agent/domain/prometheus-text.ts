import type { Histogram } from "./histogram.ts";

/** One line of Prometheus text. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const samplesMax = 100_000;
const line = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?$/;
const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"\s*,?\s*/gy;
const escapes: Readonly<Record<string, string>> = { "\\\\": "\\", '\\"': '"', "\\n": "\n" };

/** The samples in Prometheus text 0.0.4. A line that is none is left out: what it says is not known, not an error. */
export function readPrometheus(text: string): readonly Sample[] {
  const samples: Sample[] = [];
  for (const each of text.split("\n")) {
    const sample = readLine(each.trim());
    if (sample !== undefined) samples.push(sample);
    if (samples.length >= samplesMax) break;
  }
  return samples;
}

function readLine(text: string): Sample | undefined {
  if (text === "" || text.startsWith("#")) return undefined;
  const [, name, inBraces, written] = line.exec(text) ?? [];
  if (name === undefined || written === undefined) return undefined;
  const value = Number(written);
  const labels = readLabels(inBraces ?? "");
  return Number.isNaN(value) || labels === undefined ? undefined : { name, labels, value };
}

function readLabels(text: string): Readonly<Record<string, string>> | undefined {
  const labels: [string, string][] = [];
  label.lastIndex = 0;
  let end = 0;
  for (let found = label.exec(text); found !== null; found = label.exec(text)) {
    const [, key = "", value = ""] = found;
    labels.push([key, value.replaceAll(/\\./g, (escape) => escapes[escape] ?? escape)]);
    end = label.lastIndex;
  }
  return end === text.length ? Object.fromEntries(labels) : undefined;
}

/** The sum of a metric over all its labels; undefined when it is not there. */
export function sumOf(samples: readonly Sample[], name: string): number | undefined {
  const found = samples.filter((sample) => sample.name === name);
  return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
}

type Labelled = readonly [Readonly<Record<string, string>>, Histogram];

/** A histogram as Prometheus text, its name and help on top also while nothing was counted. */
export function renderHistogram(name: string, help: string, values: readonly Labelled[]): string {
  const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} histogram`];
  for (const [labels, { bounds, counts, count, sum }] of values) {
    const put = (suffix: string, more: Readonly<Record<string, string>>, value: number) =>
      lines.push(`${name}${suffix}${writeLabels({ ...labels, ...more })} ${value}`);
    let below = 0;
    for (const [index, bound] of bounds.entries()) {
      below += counts[index] ?? 0;
      put("_bucket", { le: String(bound) }, below);
    }
    put("_bucket", { le: "+Inf" }, count);
    put("_sum", {}, sum);
    put("_count", {}, count);
  }
  return `${lines.join("\n")}\n`;
}

function writeLabels(labels: Readonly<Record<string, string>>): string {
  const written = Object.entries(labels).map(([key, value]) => `${key}="${escapeLabel(value)}"`);
  return written.length === 0 ? "" : `{${written.join(",")}}`;
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
