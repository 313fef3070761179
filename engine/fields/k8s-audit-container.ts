import { kinds } from "../json/tape.ts";
import { valueText } from "../json/text.ts";
import type { EventView, FieldDefinition } from "./field.ts";
import { elements, indexedList, textAt, walk } from "./path.ts";

/** The part of an image before the first `:`, then before `@`. A registry with a port is cut at the port. */
export function repositoryOf(image: string): string {
  const colon = image.indexOf(":");
  const name = colon < 0 ? image : image.slice(0, colon);
  const at = name.indexOf("@");
  return at < 0 ? name : name.slice(0, at);
}

type Read = (event: EventView, container: number) => readonly string[] | undefined;

/** All containers must have it: one without makes the whole field missing. */
function required(path: readonly string[], change: (text: string) => string = (text) => text) {
  return (event: EventView, containers: readonly number[]): readonly string[] | undefined => {
    const found = containers.flatMap((one) => textAt(event, one, path) ?? []);
    return found.length === containers.length ? found.map(change) : undefined;
  };
}

/** Containers without it are left out. */
function optional(read: Read) {
  return (event: EventView, containers: readonly number[]): readonly string[] =>
    containers.flatMap((one) => read(event, one) ?? []);
}

const security = (key: string) =>
  optional((event, one) => {
    const text = textAt(event, one, ["securityContext", key]);
    return text === undefined ? undefined : [text];
  });

/** Words of a command joined by blanks; a word that is no string makes the whole field missing. */
function words(key: string) {
  return (event: EventView, containers: readonly number[]): readonly string[] | undefined => {
    const { tape } = event;
    const lines: string[] = [];
    for (const one of containers) {
      const items = elements(event, tape.member(one, key), undefined);
      if (items === undefined) continue;
      if (items.some((item) => tape.kind(item) !== kinds.string && tape.kind(item) !== kinds.escaped)) {
        return undefined;
      }
      lines.push(items.map((item) => valueText(tape, item)).join(" "));
    }
    return lines;
  };
}

const ports = optional((event, one) =>
  elements(event, event.tape.member(one, "ports"), undefined)?.flatMap(
    (port) => textAt(event, port, ["hostPort"]) ?? textAt(event, port, ["containerPort"]) ?? [],
  ),
);

const capabilities = optional((event, one) => {
  const text = textAt(event, one, ["securityContext", "capabilities", "add"]);
  return text === undefined ? undefined : [text];
});

interface Attribute {
  readonly name: string;
  readonly doc: string;
  readonly read: (event: EventView, containers: readonly number[]) => readonly string[] | undefined;
}

const attributes: readonly Attribute[] = [
  { name: "name", doc: "Names", read: required(["name"]) },
  { name: "image", doc: "Images", read: required(["image"]) },
  { name: "image.repository", doc: "Repositories of the images", read: required(["image"], repositoryOf) },
  { name: "command", doc: "Commands, words joined by a blank", read: words("command") },
  { name: "args", doc: "Arguments, words joined by a blank", read: words("args") },
  { name: "host_port", doc: "Host ports, or container ports where there is none,", read: ports },
  { name: "privileged", doc: "Privileged flags", read: security("privileged") },
  {
    name: "allow_privilege_escalation",
    doc: "Flags that allow privilege escalation",
    read: security("allowPrivilegeEscalation"),
  },
  { name: "read_only_fs", doc: "Read-only root file system flags", read: security("readOnlyRootFilesystem") },
  { name: "run_as_user", doc: "User ids", read: security("runAsUser") },
  { name: "run_as_group", doc: "Group ids", read: security("runAsGroup") },
  { name: "proc_mount", doc: "Kinds of /proc mount", read: security("procMount") },
  {
    name: "add_capabilities",
    doc: "Added capabilities, one JSON array for each container,",
    read: capabilities,
  },
];

function fieldsOf(list: string, words: string): readonly FieldDefinition[] {
  return attributes
    .filter(({ name }) => list !== "ephemeralContainers" || name !== "host_port")
    .map(({ name, doc, read }) =>
      indexedList(`ka.req.pod.${list}.${name}`, `${doc} of the pod's ${words}`, (event, index) => {
        const nodes = elements(event, walk(event, event.root, ["requestObject", "spec", list]), index);
        return nodes === undefined ? undefined : read(event, nodes);
      }),
    );
}

/** Fields of the three lists of containers a pod has; `containers` never includes the other two. */
export const containerFields: readonly FieldDefinition[] = [
  ...fieldsOf("containers", "containers"),
  ...fieldsOf("initContainers", "init containers"),
  ...fieldsOf("ephemeralContainers", "ephemeral containers"),
];
