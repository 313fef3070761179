import { Cursor, SyntaxProblem } from "../lexer.ts";
import { eventFields as genericFields } from "./event.ts";
import type { Compat, Extract, FieldClass, FieldDefinition } from "./field.ts";
import { jsonFields } from "./json.ts";
import { containerFields } from "./k8s-audit-container.ts";
import { podFields } from "./k8s-audit-pod.ts";
import { bindingFields, roleFields } from "./k8s-audit-rbac.ts";
import { bodyFields, eventFields, responseFields, targetFields } from "./k8s-audit.ts";
import { descriptorFields, pathFields } from "./syscall-descriptor.ts";
import { staticFields } from "./static.ts";
import { syscallEventFields } from "./syscall-event.ts";
import { groupFields, userFields } from "./syscall-identity.ts";
import { processFields } from "./syscall-process.ts";
import { unavailableFields } from "./syscall-unavailable.ts";

/** Every field a rule may use, by class. */
export const fieldClasses: readonly FieldClass[] = [
  { name: "evt", doc: "Fields of every event", sources: undefined, fields: genericFields },
  {
    name: "ka",
    doc: "Fields of Kubernetes audit events",
    sources: ["k8s_audit"],
    fields: [
      ...eventFields,
      ...targetFields,
      ...bindingFields,
      ...roleFields,
      ...bodyFields,
      ...podFields,
      ...containerFields,
      ...responseFields,
    ],
  },
  { name: "json", doc: "Fields of JSON events", sources: ["k8s_audit"], fields: jsonFields },
  { name: "static", doc: "Fixed texts from configuration", sources: undefined, fields: staticFields },
  {
    name: "syscall",
    doc: "The system call and its arguments",
    sources: ["syscall"],
    fields: syscallEventFields,
  },
  { name: "proc", doc: "The process that made the call", sources: ["syscall"], fields: processFields },
  { name: "fd", doc: "The file or socket the call is about", sources: ["syscall"], fields: descriptorFields },
  { name: "fs.path", doc: "The paths the call names", sources: ["syscall"], fields: pathFields },
  { name: "user", doc: "The user the process acts as", sources: ["syscall"], fields: userFields },
  { name: "group", doc: "The group the process acts as", sources: ["syscall"], fields: groupFields },
  {
    name: "unavailable",
    doc: "Fields of Falco that Linux audit records can not fill; a rule that needs one is left out with a warning",
    sources: ["syscall"],
    fields: unavailableFields,
  },
];

/** Event sources whose rules are compiled; rules of other sources are skipped with a warning. */
export const builtInSources: readonly string[] = ["k8s_audit", "syscall"];

const byName: ReadonlyMap<string, FieldDefinition> = new Map(
  fieldClasses.flatMap(({ fields }) => fields.map((field) => [field.name, field] as const)),
);

/** Sources whose rules may use a field, by its name; undefined means all. */
const sourcesOf: ReadonlyMap<string, readonly string[] | undefined> = new Map(
  fieldClasses.flatMap(({ fields, sources }) => fields.map(({ name }) => [name, sources] as const)),
);

/** Fields of plugins, which read arguments in a way of their own. */
const pluginFields: ReadonlySet<FieldDefinition> = new Set(
  fieldClasses.flatMap(({ name, fields }) => (name === "ka" || name === "json" ? fields : [])),
);

/** How long the longest name is. */
const nameLengthMax = Math.max(...[...byName.keys()].map((name) => name.length));

/** A field with its argument checked, ready to be read. */
export interface BoundField {
  readonly definition: FieldDefinition;
  /** Name and argument as written: the key of the field in an alert. */
  readonly key: string;
  readonly argument: string | undefined;
  readonly extract: Extract;
}

export type BindOutcome =
  | { readonly ok: true; readonly field: BoundField }
  | { readonly ok: false; readonly message: string };

/** Whether there is no such field, and not only something wrong with its argument. */
export function isUnknownField({ message }: { readonly message: string }): boolean {
  return message.startsWith(nonexistent(""));
}

/**
 * Finds a field and checks its argument, with Falco's words for what is wrong. With a source, fields of other sources
 * do not exist.
 */
export function bindField(
  written: string,
  bracketed: string | undefined,
  compat: Compat,
  source?: string,
): BindOutcome {
  // Empty brackets in quotes are no brackets.
  const given = bracketed === "" ? undefined : bracketed;
  const { name, argument } = splitWord(written, given);
  const definition = byName.get(name);
  const key = given === undefined ? written : `${written}[${given}]`;
  if (definition === undefined || !isOf(name, source)) return { ok: false, message: nonexistent(key) };
  const problem = bracketProblem(definition, key, given) ?? argumentProblem(definition, key, argument);
  if (problem !== undefined) return { ok: false, message: problem };
  return { ok: true, field: { definition, key, argument, extract: definition.bind(argument, compat) } };
}

const nonexistent = (key: string): string => `filter_check called with nonexistent field ${key}`;

function isOf(name: string, source: string | undefined): boolean {
  const sources = sourcesOf.get(name);
  return source === undefined || sources === undefined || sources.includes(source);
}

/** Takes `evt.arg.flags` apart; the word behind such a field may hold points of its own. */
function splitWord(written: string, argument: string | undefined) {
  if (argument !== undefined || byName.has(written)) return { name: written, argument };
  for (let dot = written.lastIndexOf("."); dot > 0; dot = written.lastIndexOf(".", dot - 1)) {
    const name = written.slice(0, dot);
    if (byName.get(name)?.argument === "word-required") return { name, argument: written.slice(dot + 1) };
  }
  return { name: written, argument };
}

/** What is wrong with brackets before anyone looks at what they mean. Falco's plugins read a field only up to a blank. */
function bracketProblem(definition: FieldDefinition, key: string, given = ""): string | undefined {
  const { name, argument } = definition;
  const blank = given.indexOf(" ");
  if (!pluginFields.has(definition)) {
    return given.includes("]") || (given !== "" && argument === "none") ? nonexistent(key) : undefined;
  }
  if (blank === 0) return `filter '${key}': ${name} terminates with incomplete argument brackets`;
  const end = given.indexOf("]");
  if (blank > 0 && (end < 0 || end > blank)) {
    return `filter '${key}': ${name} has unbalanced argument brackets`;
  }
  return end < 0 ? undefined : nonexistent(key);
}

function argumentProblem(
  { name, argument: rule }: FieldDefinition,
  key: string,
  argument: string | undefined,
) {
  if (rule === "none") {
    if (argument === undefined) return undefined;
    return `filter '${key}': ${name} does not allow nor require an argument but one is provided: ${argument}`;
  }
  if (argument === undefined) {
    return rule === "key-required" || rule === "word-required"
      ? `filter '${key}': ${name} requires an argument but none provided`
      : undefined;
  }
  if (rule !== "index-optional") return undefined;
  const problem = `filter ${key} ${name} has an invalid index argument`;
  if (!/^[0-9]+$/.test(argument)) return `${problem} not composed only by digits: ${argument}`;
  if (argument.length > 1 && argument.startsWith("0")) return `${problem} starting with 0: ${argument}`;
  if (BigInt(argument) >= 2n ** 64n) return `${problem} not representable on 64 bit: ${argument}`;
  return undefined;
}

/**
 * The longest field that starts at an offset of a text, and where it ends. What follows is text, even brackets that the field
 * can not have.
 */
export function fieldAt(
  text: string,
  at: number,
  compat: Compat,
  source?: string,
): { field: BoundField; end: number } | undefined {
  for (let open = behindName(text, at); open > at; open--) {
    const name = text.slice(at, open);
    const rule = byName.get(name)?.argument;
    if (rule === undefined || !isOf(name, source)) continue;
    const brackets = bracketsAt(text, open);
    const word = rule === "word-required" && brackets === undefined ? wordAt(text, open) : "";
    const bare = { name: name + word, argument: undefined, end: open + word.length };
    for (const one of brackets === undefined ? [bare] : [{ name, ...brackets }, bare]) {
      const outcome = bindField(one.name, one.argument, compat, source);
      if (outcome.ok) return { field: outcome.field, end: one.end };
    }
  }
  return undefined;
}

/** Where a name that starts at an offset may end at most. */
function behindName(text: string, at: number): number {
  const name = /[\w.]+/y;
  name.lastIndex = at;
  return at + Math.min(name.exec(text)?.[0].length ?? 0, nameLengthMax);
}

function bracketsAt(text: string, at: number): { argument: string; end: number } | undefined {
  const cursor = new Cursor(text, at);
  try {
    if (!cursor.take("[")) return undefined;
    const argument = cursor.quoted() ?? cursor.fieldArgument();
    return argument !== undefined && cursor.take("]") ? { argument, end: cursor.at } : undefined;
  } catch (error) {
    if (error instanceof SyntaxProblem) return undefined;
    throw error;
  }
}

function wordAt(text: string, at: number): string {
  const word = /\.[a-zA-Z0-9_]+/y;
  word.lastIndex = at;
  return word.exec(text)?.[0] ?? "";
}
