import { kinds } from "../json/tape.ts";
import { untilNul, wholeText } from "../json/text.ts";
import type { EventView, FieldDefinition } from "./field.ts";
import { elements, indexedList, isString, spread, textAt, textList, textsOf } from "./path.ts";

/** The part of an image before the first `:`, then before `@`. A registry with a port is cut at the port. */
export function repositoryOf(image: string): string {
  const colon = image.indexOf(":");
  const name = colon < 0 ? image : image.slice(0, colon);
  const at = name.indexOf("@");
  return at < 0 ? name : name.slice(0, at);
}

/** Values at one place in each container: -1 for a container that lacks it, undefined when there are no containers. */
type Values = readonly number[] | undefined;

/** A text for each container; undefined as soon as one lacks it. */
export function allTexts(event: EventView, values: Values): readonly string[] | undefined {
  return values?.includes(-1) === true ? undefined : textsOf(event, values);
}

/** Words of each command joined by blanks; a command that is no list of words makes the whole field missing. */
function commands(event: EventView, values: Values): readonly string[] | undefined {
  const lines: string[] = [];
  for (const value of values ?? []) {
    if (value < 0) continue;
    const words = elements(event, value, undefined);
    if (words === undefined || !words.every((word) => isString(event, word))) return undefined;
    lines.push(untilNul(words.map((word) => wholeText(event.tape, word)).join(" ")));
  }
  return lines;
}

/** The host's port of each port, else that of the container; ports that are no list make the whole field missing. */
function ports(event: EventView, values: Values): readonly string[] | undefined {
  const all = (values ?? []).filter((value) => value >= 0);
  if (all.some((value) => event.tape.kind(value) !== kinds.array)) return undefined;
  return all
    .flatMap((value) => elements(event, value, undefined) ?? [])
    .flatMap((port) => textAt(event, port, ["hostPort"]) ?? textAt(event, port, ["containerPort"]) ?? []);
}

interface Attribute {
  readonly name: string;
  readonly doc: string;
  readonly path: readonly string[];
  readonly read: (event: EventView, values: Values) => readonly string[] | undefined;
}

const security = (name: string, key: string, doc: string): Attribute => ({
  name,
  doc,
  path: ["securityContext", key],
  read: textsOf,
});

const attributes: readonly Attribute[] = [
  { name: "name", doc: "Names", path: ["name"], read: allTexts },
  { name: "image", doc: "Images", path: ["image"], read: allTexts },
  {
    name: "image.repository",
    doc: "Repositories of the images",
    path: ["image"],
    read: (event, values) => allTexts(event, values)?.map(repositoryOf),
  },
  { name: "command", doc: "Commands, words joined by a blank", path: ["command"], read: commands },
  { name: "args", doc: "Arguments, words joined by a blank", path: ["args"], read: commands },
  {
    name: "host_port",
    doc: "Host ports, or container ports where there is none,",
    path: ["ports"],
    read: ports,
  },
  security("privileged", "privileged", "Privileged flags"),
  security("allow_privilege_escalation", "allowPrivilegeEscalation", "Flags that allow privilege escalation"),
  security("read_only_fs", "readOnlyRootFilesystem", "Read-only root file system flags"),
  security("run_as_user", "runAsUser", "User ids"),
  security("run_as_group", "runAsGroup", "Group ids"),
  security("proc_mount", "procMount", "Kinds of /proc mount"),
  {
    name: "add_capabilities",
    doc: "Added capabilities, one JSON array for each container,",
    path: ["securityContext", "capabilities", "add"],
    read: textsOf,
  },
];

function fieldsOf(list: string, words: string): readonly FieldDefinition[] {
  return attributes
    .filter(({ name }) => list !== "ephemeralContainers" || name !== "host_port")
    .map(({ name, doc, path, read }) => {
      const whole = ["requestObject", "spec", list, ...path];
      const field = `ka.req.pod.${list}.${name}`;
      const about = `${doc} of the pod's ${words}`;
      return read === textsOf
        ? textList(field, about, "index-optional", (event, index) => spread(event, whole, index))
        : indexedList(field, about, (event, index) => read(event, spread(event, whole, index)));
    });
}

/** Fields of the three lists of containers a pod has; `containers` never includes the other two. */
export const containerFields: readonly FieldDefinition[] = [
  ...fieldsOf("containers", "containers"),
  ...fieldsOf("initContainers", "init containers"),
  ...fieldsOf("ephemeralContainers", "ephemeral containers"),
];
