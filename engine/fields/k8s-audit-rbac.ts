import { untilNul, wholeText } from "../json/text.ts";
import type { EventView, FieldDefinition } from "./field.ts";
import { auditOnly, elements, indexedList, plainList, scalar, spread, texts, walk } from "./path.ts";

const subjectsPath = ["requestObject", "subjects"];
const rulesPath = ["requestObject", "rules"];

/** The subjects of one kind, each as `text` gives it; a subject without that text is left out. */
function subjectsOfKind(kind: string, text: (event: EventView, subject: number) => string | undefined) {
  return (event: EventView): readonly string[] | undefined =>
    elements(event, walk(event, event.root, subjectsPath), undefined)
      ?.filter((subject) => partOf(event, subject, "kind") === kind)
      .flatMap((subject) => text(event, subject) ?? [])
      .map(untilNul);
}

function partOf(event: EventView, subject: number, key: string): string | undefined {
  const node = walk(event, subject, [key]);
  return node < 0 ? undefined : wholeText(event.tape, node);
}

const subjectName = (event: EventView, subject: number): string | undefined => partOf(event, subject, "name");

function qualifiedName(event: EventView, subject: number): string | undefined {
  const namespace = partOf(event, subject, "namespace");
  const name = subjectName(event, subject);
  return namespace === undefined || name === undefined ? undefined : `${namespace}:${name}`;
}

/** Fields of role bindings. */
export const bindingFields: readonly FieldDefinition[] = [
  plainList("ka.req.binding.subjects", "Subjects of the binding, each as JSON", (event) =>
    texts(event, walk(event, event.root, subjectsPath)),
  ),
  plainList(
    "ka.req.binding.subjects.user_names",
    "Names of the users in the binding",
    subjectsOfKind("User", subjectName),
  ),
  plainList(
    "ka.req.binding.subjects.serviceaccount_names",
    "Names of the service accounts in the binding",
    subjectsOfKind("ServiceAccount", subjectName),
  ),
  plainList(
    "ka.req.binding.subjects.serviceaccount_ns_names",
    "Service accounts in the binding as namespace:name",
    subjectsOfKind("ServiceAccount", qualifiedName),
  ),
  plainList(
    "ka.req.binding.subjects.group_names",
    "Names of the groups in the binding",
    subjectsOfKind("Group", subjectName),
  ),
  scalar("ka.req.binding.role", ["requestObject", "roleRef", "name"], "Name of the role that is bound"),
  {
    name: "ka.req.binding.subject.has_name",
    type: "CHARBUF",
    isList: false,
    argument: "key-required",
    doc: "Always true; deprecated, and kept so that old rules load",
    bind: () => auditOnly(() => "true"),
  },
];

/** One attribute of all rules of a role, flattened; with an index, of that rule alone. */
function ruleAttribute(attribute: string) {
  return (event: EventView, index: number | undefined): readonly string[] | undefined =>
    spread(event, [...rulesPath, attribute], index)?.flatMap((node) => texts(event, node) ?? []);
}

/** Fields of roles. */
export const roleFields: readonly FieldDefinition[] = [
  plainList("ka.req.role.rules", "Rules of the role, each as JSON", (event) =>
    texts(event, walk(event, event.root, rulesPath)),
  ),
  indexedList(
    "ka.req.role.rules.apiGroups",
    "API groups of the rules of the role",
    ruleAttribute("apiGroups"),
  ),
  indexedList(
    "ka.req.role.rules.nonResourceURLs",
    "Non-resource URLs of the rules of the role",
    ruleAttribute("nonResourceURLs"),
  ),
  indexedList("ka.req.role.rules.verbs", "Verbs of the rules of the role", ruleAttribute("verbs")),
  indexedList(
    "ka.req.role.rules.resources",
    "Resources of the rules of the role",
    ruleAttribute("resources"),
  ),
];
