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

const longestFirst: readonly FieldDefinition[] = [...byName.values()].sort(
  (a, b) => b.name.length - a.name.length,
);

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

const unknownField = "filter_check called with nonexistent field";

/** Whether there is no such field, and not only something wrong with its argument. */
export function isUnknownField({ message }: { readonly message: string }): boolean {
  return message.startsWith(unknownField);
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
  const { name, argument } = splitWord(written, bracketed);
  const definition = byName.get(name);
  const key = bracketed === undefined ? written : `${written}[${bracketed}]`;
  if (definition === undefined || !isOf(name, source)) {
    return { ok: false, message: `${unknownField} ${key}` };
  }
  const problem = argumentProblem(definition, key, argument);
  if (problem !== undefined) return { ok: false, message: problem };
  return { ok: true, field: { definition, key, argument, extract: definition.bind(argument, compat) } };
}

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
  if (argument.length > 15) return `${problem} not representable on 64 bit: ${argument}`;
  return undefined;
}

/** The longest field that starts at an offset of a text and needs nothing more, and where it ends. */
export function fieldAt(
  text: string,
  at: number,
  compat: Compat,
  source?: string,
): { field: BoundField; end: number } | undefined {
  for (const { name, argument: rule } of longestFirst) {
    if (!text.startsWith(name, at) || !isOf(name, source)) continue;
    const open = at + name.length;
    const close = rule !== "none" && text.charAt(open) === "[" ? text.indexOf("]", open) : -1;
    if (rule === "word-required" && close < 0) {
      const word = /\.[a-zA-Z0-9_]+/y;
      word.lastIndex = open;
      const found = word.exec(text);
      if (found === null) continue;
      const outcome = bindField(name + found[0], undefined, compat, source);
      if (outcome.ok) return { field: outcome.field, end: open + found[0].length };
      continue;
    }
    const argument = close < 0 ? undefined : text.slice(open + 1, close);
    const outcome = bindField(name, argument, compat, source);
    if (outcome.ok) return { field: outcome.field, end: close < 0 ? open : close + 1 };
  }
  return undefined;
}
