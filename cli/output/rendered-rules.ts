import type {
  Piece,
  Position,
  TracedException,
  TracedItem,
  TracedNames,
  TracedProperty,
  TracedValue,
} from "#engine";
import { clean } from "./text.ts";

interface Line {
  readonly text: string;
  readonly comment: string;
}

const commentColumnMax = 60;
const foldedWidth = 100;

/** Rules as they are in force, as YAML that loads again: behind each line stands where it comes from. */
export function renderRules(items: readonly TracedItem[]): readonly string[] {
  const lines = items.flatMap((item) => [...itemLines(item), { text: "", comment: "" }]);
  const lengths = lines.map(({ text, comment }) => (comment === "" ? 0 : text.length));
  const width = lengths.reduce((max, length) => Math.max(max, Math.min(length, commentColumnMax)), 0);
  return lines.map(({ text, comment }) =>
    comment === "" ? text : `${text.padEnd(width)}  # ${clean(comment)}`,
  );
}

/** `layers/team-payments/tune.yaml:3`. */
export function originOf({ name, line }: Position): string {
  return `${name}:${line + 1}`;
}

function itemLines({ kind, name, place, properties }: TracedItem): readonly Line[] {
  const head = { text: `- ${kind}: ${scalar(name)}`, comment: originOf(place) };
  return [head, ...properties.flatMap(propertyLines)];
}

function propertyLines(property: TracedProperty): readonly Line[] {
  const [head, ...rest] = linesOf(property);
  if (head === undefined) return [];
  const over = originsOf(property.over);
  if (over === "") return [head, ...rest];
  const own = head.comment === "" ? "" : `${head.comment}, `;
  return [{ ...head, comment: `${own}in place of ${over}` }, ...rest];
}

function linesOf(property: TracedProperty): readonly Line[] {
  const { key } = property;
  if (property.form === "exceptions") return exceptionLines(property.exceptions);
  if (property.form === "text") return textLines(key, property.pieces);
  const origins = originsOf(property.pieces.map(({ place }) => place));
  if (!origins.includes(", ")) {
    return [{ text: `  ${key}: ${flow(property.pieces.map(({ value }) => value))}`, comment: origins }];
  }
  return [
    { text: `  ${key}:`, comment: "" },
    ...property.pieces.map(({ value, place }) => ({
      text: `    - ${scalar(value)}`,
      comment: originOf(place),
    })),
  ];
}

/** A text in one line where it fits, else folded; one that several places put together has a line for each of them. */
function textLines(key: string, pieces: readonly Piece[]): readonly Line[] {
  const texts = pieces.map(({ value }) =>
    key === "condition" ? value.trim().replaceAll(/\s*\n\s*/g, "\n") : value,
  );
  // Line breaks of a condition are blanks, but not inside quotes.
  const isFree = key === "condition" && !texts.some((text) => /["'\\]/.test(text));
  const ready = isFree ? texts.map((text) => text.replaceAll(/\s+/g, " ")) : texts;
  const comment = pieces.map(({ place }) => originOf(place)).join(", then ");
  const whole = ready.join(" ");
  const [only = ""] = ready;
  if (ready.length === 1 && only.length <= foldedWidth) {
    return [{ text: `  ${key}: ${scalar(only)}`, comment }];
  }
  const body = whole.endsWith("\n") ? [...ready.slice(0, -1), (ready.at(-1) ?? "").slice(0, -1)] : ready;
  if (!body.every(isFoldable)) return [{ text: `  ${key}: ${quoted(whole)}`, comment }];
  const folded = body.length === 1 ? wrapped(body[0] ?? "") : body;
  return [
    { text: `  ${key}: ${whole.endsWith("\n") ? ">" : ">-"}`, comment },
    ...folded.map((text) => ({ text: `    ${text}`, comment: "" })),
  ];
}

/** Whether a text is the same after its line is joined to others by a blank. */
function isFoldable(text: string): boolean {
  return text !== "" && text === text.trim() && text === clean(text);
}

/** Cut at single blanks only, so that folding puts back exactly what was there. */
function wrapped(text: string): readonly string[] {
  const lines = [""];
  for (const word of text.split(/(?<=\S) (?=\S)/)) {
    const last = lines.at(-1) ?? "";
    if (last === "") lines[lines.length - 1] = word;
    else if (last.length + word.length < foldedWidth) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

function exceptionLines(exceptions: readonly TracedException[]): readonly Line[] {
  if (exceptions.length === 0) return [{ text: "  exceptions: []", comment: "" }];
  return [{ text: "  exceptions:", comment: "" }, ...exceptions.flatMap(exceptionLine)];
}

function exceptionLine({ name, place, fields, comps, values }: TracedException): readonly Line[] {
  const named = (key: string, names: TracedNames | undefined): readonly Line[] =>
    names === undefined ? [] : [{ text: `      ${key}: ${value(names)}`, comment: "" }];
  const excused = (values ?? []).map((piece) => ({
    text: `        - ${value(piece.value)}`,
    comment: originOf(piece.place),
  }));
  return [
    { text: `    - name: ${scalar(name)}`, comment: originOf(place) },
    ...named("fields", fields),
    ...named("comps", comps),
    ...(excused.length === 0 ? [] : [{ text: "      values:", comment: "" }, ...excused]),
  ];
}

function value(one: TracedValue): string {
  return typeof one === "string" ? scalar(one) : flow(one);
}

function flow(values: readonly TracedValue[]): string {
  return `[${values.map(value).join(", ")}]`;
}

function scalar(text: string): string {
  return /^[A-Za-z0-9_](?:[A-Za-z0-9_./= %()+-]*[A-Za-z0-9_./=%()+-])?$/.test(text) && text !== "null"
    ? text
    : quoted(text);
}

function quoted(text: string): string {
  return clean(JSON.stringify(text));
}

/** Each place once, in order. */
function originsOf(places: readonly Position[]): string {
  return [...new Set(places.map(originOf))].join(", ");
}
