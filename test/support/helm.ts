import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { parse } from "yaml";

/**
 * Renders a chart whose templates keep to the small part of Helm's language that is here; everything else is an error.
 * With `HELM_BIN` a test holds it against the real program.
 */
export function renderChart(
  chart: string,
  values: object,
  release: { readonly namespace: string },
): Readonly<Record<string, string>> {
  const defaults = parse(readFileSync(join(chart, "values.yaml"), "utf8")) as Scope;
  const root: Scope = {
    Values: merge(defaults, values as Scope),
    Release: { Namespace: release.namespace, Service: "Helm" },
  };
  const folder = join(chart, "templates");
  const files = readdirSync(folder).toSorted();
  const parsed = files.map(
    (file) => [file, parseTemplate(readFileSync(join(folder, file), "utf8"))] as const,
  );
  const defines = new Map(
    parsed.flatMap(([, nodes]) =>
      nodes.flatMap((node) => (node.kind === "define" ? [[node.name, node.body]] : [])),
    ),
  );
  return Object.fromEntries(
    parsed
      .filter(([file]) => file.endsWith(".yaml"))
      .map(([file, nodes]) => [file, render(nodes, { dot: root, variables: { $: root }, defines })]),
  );
}

/** The chart's values as they are after those that were given. */
export function valuesOf(chart: string, values: object): object {
  return merge(parse(readFileSync(join(chart, "values.yaml"), "utf8")) as Scope, values as Scope);
}

type Scope = { readonly [name: string]: unknown };
type Node =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "say"; readonly what: string }
  | { readonly kind: "let"; readonly name: string; readonly what: string }
  | { readonly kind: "if"; readonly arms: readonly (readonly [condition: string, body: readonly Node[]])[] }
  | {
      readonly kind: "range";
      readonly index: string;
      readonly each: string;
      readonly what: string;
      readonly body: readonly Node[];
    }
  | { readonly kind: "define"; readonly name: string; readonly body: readonly Node[] };

interface Context {
  readonly dot: unknown;
  readonly variables: Scope;
  readonly defines: ReadonlyMap<string, readonly Node[]>;
}

function merge(base: Scope, over: Scope): Scope {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    merged[key] = isMap(value) && isMap(merged[key]) ? merge(merged[key], value) : value;
  }
  return merged;
}

function isMap(value: unknown): value is Scope {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Text and actions in turn; `{{-` and `-}}` take the blanks beside them away. */
function parseTemplate(text: string): readonly Node[] {
  const tokens: Node[] = [];
  const pattern = /\{\{(-?)\s*([\s\S]*?)\s*(-?)\}\}/g;
  let at = 0;
  let trimsNext = false;
  for (const match of text.matchAll(pattern)) {
    const before = text.slice(at, match.index);
    const left = trimsNext ? before.trimStart() : before;
    tokens.push({ kind: "text", text: match[1] === "-" ? left.trimEnd() : left });
    if (match[2]?.startsWith("/*") !== true) tokens.push({ kind: "say", what: match[2] ?? "" });
    trimsNext = match[3] === "-";
    at = match.index + match[0].length;
  }
  const rest = text.slice(at);
  tokens.push({ kind: "text", text: trimsNext ? rest.trimStart() : rest });
  const queue = tokens.filter((token) => token.kind !== "text" || token.text !== "");
  const { body } = block(queue);
  if (queue.length > 0) throw new Error("an end without a beginning");
  return body;
}

/** Takes what belongs to one block from the front of the queue, up to and with the action that ends it. */
function block(queue: Node[]): { readonly body: readonly Node[]; readonly end: string } {
  const body: Node[] = [];
  for (;;) {
    const token = queue.shift();
    if (token === undefined) return { body, end: "" };
    const what = token.kind === "say" ? token.what : "";
    if (token.kind !== "say" || !/^(if|else|end|range|define|\$\w+ :=)\b|^\$\w+ :=/.test(what)) {
      body.push(token);
    } else if (what === "end" || what.startsWith("else")) return { body, end: what };
    else body.push(opened(what, queue));
  }
}

function opened(what: string, queue: Node[]): Node {
  const variable = /^(\$\w+) := ([\s\S]+)$/.exec(what);
  if (variable !== null) return { kind: "let", name: variable[1] ?? "", what: variable[2] ?? "" };
  const range = /^range (\$\w+), (\$\w+) := ([\s\S]+)$/.exec(what);
  if (range !== null) {
    const [, index = "", each = "", list = ""] = range;
    return { kind: "range", index, each, what: list, body: block(queue).body };
  }
  const define = /^define "([^"]+)"$/.exec(what);
  if (define !== null) return { kind: "define", name: define[1] ?? "", body: block(queue).body };
  if (!what.startsWith("if ")) throw new Error(`not rendered here: {{ ${what} }}`);
  const arms: (readonly [string, readonly Node[]])[] = [];
  let condition = what.slice("if ".length);
  for (;;) {
    const { body, end } = block(queue);
    arms.push([condition, body]);
    if (end === "end") return { kind: "if", arms };
    condition = end === "else" ? "true" : end.slice("else if ".length);
  }
}

function render(nodes: readonly Node[], context: Context): string {
  let { variables } = context;
  let text = "";
  for (const node of nodes) {
    const here = { ...context, variables };
    if (node.kind === "text") text += node.text;
    else if (node.kind === "say") text += String(evaluate(node.what, here));
    else if (node.kind === "let") variables = { ...variables, [node.name]: evaluate(node.what, here) };
    else if (node.kind === "if") {
      text += render(node.arms.find(([condition]) => isTrue(evaluate(condition, here)))?.[1] ?? [], here);
    } else if (node.kind === "range") {
      for (const [index, each] of (evaluate(node.what, here) as unknown[]).entries()) {
        const own = { ...variables, [node.index]: index, [node.each]: each };
        text += render(node.body, { ...here, dot: each, variables: own });
      }
    }
  }
  return text;
}

function isTrue(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : Boolean(value);
}

const functions: Readonly<Record<string, (...given: readonly unknown[]) => unknown>> = {
  // Go escapes these three in JSON; for whoever reads it they are the same.
  toJson: (value) =>
    JSON.stringify(value).replaceAll(/[<>&]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`),
  int: Number,
  int64: Number,
  sub: (a, b) => Number(a) - Number(b),
  max: (...numbers) => Math.max(...numbers.map(Number)),
  eq: (a, b) => a === b,
  not: (value) => !isTrue(value),
  or: (...given) => given.find(isTrue) ?? given.at(-1),
  contains: (part, text) => String(text).includes(String(part)),
  regexMatch: (pattern, text) => new RegExp(String(pattern)).test(String(text)),
  trim: (text) => String(text).trim(),
  base: (path) => posix.basename(String(path)),
  dir: (path) => posix.dirname(String(path)),
};

/** A pipeline of commands, each given what the one before answered as its last argument. */
function evaluate(text: string, context: Context): unknown {
  const words = text.match(/"[^"]*"|\(|\)|\||[^\s()|]+/g) ?? [];
  const value = pipeline(words, context);
  if (words.length > 0) throw new Error(`not understood here: {{ ${text} }}`);
  return value;
}

function pipeline(words: string[], context: Context): unknown {
  let value = command(words, context, []);
  while (words[0] === "|") {
    words.shift();
    value = command(words, context, [value]);
  }
  return value;
}

function command(words: string[], context: Context, last: readonly unknown[]): unknown {
  const name = words[0] ?? "";
  if (name !== "include" && !Object.hasOwn(functions, name)) return operand(words, context);
  words.shift();
  const given: unknown[] = [];
  while (words.length > 0 && words[0] !== ")" && words[0] !== "|") given.push(operand(words, context));
  if (name !== "include") return functions[name]?.(...given, ...last);
  const [which, dot] = given;
  const body = context.defines.get(String(which));
  if (body === undefined) throw new Error(`no template "${String(which)}"`);
  return render(body, { ...context, dot, variables: { $: dot } });
}

function operand(words: string[], { dot, ...context }: Context): unknown {
  const word = words.shift() ?? "";
  if (word === "(") {
    const value = pipeline(words, { dot, ...context });
    words.shift();
    return value;
  }
  if (word.startsWith('"') || /^(\d+|true|false)$/.test(word)) return JSON.parse(word);
  const path = /^(\$\w*)?((?:\.\w+)*)\.?$/.exec(word);
  if (path === null) throw new Error(`not known here: ${word}`);
  const from = path[1] === undefined ? dot : context.variables[path[1]];
  return (path[2] ?? "")
    .split(".")
    .slice(1)
    .reduce<unknown>((value, key) => (isMap(value) ? value[key] : undefined), from);
}
