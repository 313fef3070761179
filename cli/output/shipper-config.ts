import { mayHoldSecret } from "#shipper";
import type { ExplainedSection, Problem, Setting } from "#shipper";
import { clean, cut } from "./text.ts";

const lists = [
  ["inputs", "input"],
  ["filters", "filter"],
  ["outputs", "output"],
] as const;

interface Line {
  readonly text: string;
  readonly comment: string;
}

/** A config in force, as YAML that loads again: behind each value stands where it comes from. */
export function renderShipperConfig(sections: readonly ExplainedSection[]): readonly string[] {
  const lines: Line[] = [];
  for (const section of sections.filter(({ kind }) => kind === "service")) {
    lines.push({ text: "service:", comment: "" }, ...settingLines(section.settings, "  "));
  }
  if (sections.some(({ kind }) => kind !== "service")) lines.push({ text: "pipeline:", comment: "" });
  for (const [list, kind] of lists) {
    const found = sections.filter((section) => section.kind === kind);
    if (found.length > 0) lines.push({ text: `  ${list}:`, comment: "" });
    for (const { settings } of found) lines.push(...asItem(settingLines(nameFirst(settings), "      ")));
  }
  const width = Math.min(
    60,
    Math.max(...lines.map(({ text, comment }) => (comment === "" ? 0 : text.length))),
  );
  return lines.map(({ text, comment }) => (comment === "" ? text : `${text.padEnd(width)}  # ${comment}`));
}

/** A list begins each item with a dash. */
function asItem(lines: readonly Line[]): readonly Line[] {
  return lines.map((line, index) =>
    index === 0 ? { ...line, text: `    - ${line.text.trimStart()}` } : line,
  );
}

function nameFirst(settings: readonly Setting[]): readonly Setting[] {
  const first = ["name", "alias", "match", "match_regex"];
  const isFirst = ({ key }: Setting): boolean => first.includes(key);
  return [...settings.filter(isFirst), ...settings.filter((one) => !isFirst(one))];
}

/** Options, those that are there several times as a list. */
function settingLines(settings: readonly Setting[], indent: string): readonly Line[] {
  const groups = new Map<string, Setting[]>();
  for (const setting of settings) groups.set(setting.key, [...(groups.get(setting.key) ?? []), setting]);
  const commentOf = (setting: Setting): string => {
    const order = setting.order === undefined ? "" : `applies as rule ${setting.order}`;
    return [originOf(setting), setting.note ?? "", order].filter((part) => part !== "").join("; ");
  };
  return [...groups].flatMap(([key, group]) => {
    const [only] = group;
    if (group.length === 1 && only !== undefined) {
      return [{ text: `${indent}${key}: ${scalar(only.value)}`, comment: clean(commentOf(only)) }];
    }
    const items = group.map((one) => ({
      text: `${indent}  - ${scalar(one.value)}`,
      comment: clean(commentOf(one)),
    }));
    return [{ text: `${indent}${key}:`, comment: "" }, ...items];
  });
}

/** `audit.conf:12`, or that it is a default and what Fluent Bit's is. */
export function originOf({ at, fluentBit }: Setting): string {
  if (at !== undefined) return `${at.file}:${at.line}`;
  return fluentBit === undefined ? "default" : `default (Fluent Bit: ${fluentBit})`;
}

function scalar(value: string): string {
  const isPlain = /^[A-Za-z0-9_./-]+$/.test(value) && value !== "null";
  return isPlain ? value : clean(JSON.stringify(value));
}

/** Problems for people, each with the line of the file that it is about. */
export function renderShipperProblems(
  problems: readonly Problem[],
  label: string,
  files: readonly { readonly name: string; readonly content: string }[],
): readonly string[] {
  const linesOf = new Map(files.map(({ name, content }) => [name, content.split("\n")]));
  return problems.flatMap(({ file, line, column, message }) => {
    const head = `${clean(file)}:${line}:${column}: ${label}${clean(message)}`;
    const written = linesOf.get(file)?.[line - 1]?.trimEnd() ?? "";
    if (written === "" || mayHoldSecret(written)) return [head];
    const number = String(line);
    const marker = `${" ".repeat(number.length)} | ${" ".repeat(Math.min(column - 1, 99))}^`;
    return [head, `  ${number} | ${cut(clean(written), 100)}`, `  ${marker}`];
  });
}
