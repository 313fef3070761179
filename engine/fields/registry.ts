import { eventFields as genericFields } from "./event.ts";
import type { Compat, Extract, FieldClass, FieldDefinition } from "./field.ts";
import { jsonFields } from "./json.ts";
import { containerFields } from "./k8s-audit-container.ts";
import { podFields } from "./k8s-audit-pod.ts";
import { bindingFields, roleFields } from "./k8s-audit-rbac.ts";
import { bodyFields, eventFields, responseFields, targetFields } from "./k8s-audit.ts";

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
];

/** Event sources whose rules are compiled; rules of other sources are skipped with a warning. */
export const builtInSources: readonly string[] = ["k8s_audit"];

const byName: ReadonlyMap<string, FieldDefinition> = new Map(
  fieldClasses.flatMap(({ fields }) => fields.map((field) => [field.name, field] as const)),
);

const longestFirst: readonly FieldDefinition[] = [...byName.values()].sort(
  (a, b) => b.name.length - a.name.length,
);

/** A field with its argument checked, ready to be read. */
export interface BoundField {
  readonly definition: FieldDefinition;
  /** Name and argument as written: the key of the field in an alert. */
  readonly key: string;
  readonly extract: Extract;
}

export type BindOutcome =
  | { readonly ok: true; readonly field: BoundField }
  | { readonly ok: false; readonly message: string };

/** Finds a field and checks its argument, with Falco's words for what is wrong. */
export function bindField(name: string, argument: string | undefined, compat: Compat): BindOutcome {
  const definition = byName.get(name);
  const key = argument === undefined ? name : `${name}[${argument}]`;
  if (definition === undefined) {
    return { ok: false, message: `filter_check called with nonexistent field ${key}` };
  }
  const problem = argumentProblem(definition, key, argument);
  if (problem !== undefined) return { ok: false, message: problem };
  return { ok: true, field: { definition, key, extract: definition.bind(argument, compat) } };
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
    return rule === "key-required"
      ? `filter '${key}': ${name} requires an argument but none provided`
      : undefined;
  }
  if (rule === "key-required") return undefined;
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
): { field: BoundField; end: number } | undefined {
  for (const { name, argument: rule } of longestFirst) {
    if (!text.startsWith(name, at)) continue;
    const open = at + name.length;
    const close = rule !== "none" && text.charAt(open) === "[" ? text.indexOf("]", open) : -1;
    const outcome = bindField(name, close < 0 ? undefined : text.slice(open + 1, close), compat);
    if (outcome.ok) return { field: outcome.field, end: close < 0 ? open : close + 1 };
  }
  return undefined;
}
