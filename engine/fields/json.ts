import { indented, valueText } from "../json/text.ts";
import type { Extract, FieldDefinition } from "./field.ts";
import { walk } from "./path.ts";

/** The steps of a JSON pointer; the leading slash may be left out. */
function pointerSteps(pointer = ""): readonly string[] {
  const path = pointer.startsWith("/") ? pointer.slice(1) : pointer;
  return path.split("/").map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function atPointer(pointer: string | undefined): Extract {
  const steps = pointerSteps(pointer);
  return (event) => {
    const node = walk(event, event.root, steps);
    return node < 0 ? undefined : valueText(event.tape, node);
  };
}

function fieldsWithPrefix(prefix: string): readonly FieldDefinition[] {
  const whole = (name: string, doc: string, read: Extract): FieldDefinition => ({
    name: `${prefix}.${name}`,
    type: "CHARBUF",
    isList: false,
    argument: "none",
    doc,
    bind: () => read,
  });
  return [
    {
      name: `${prefix}.value`,
      type: "CHARBUF",
      isList: false,
      argument: "key-required",
      doc: "The value at a JSON pointer such as /user/username; everything but a string is JSON text",
      pointer: pointerSteps,
      bind: atPointer,
    },
    whole("obj", "The whole event as indented JSON", (event) => indented(event.tape, event.root)),
    whole("rawtime", "Time of the event in nanoseconds, as text", (event) => event.timeNs.toString()),
  ];
}

/** Fields that read any JSON event; `jevt.*` is the old name of `json.*`. */
export const jsonFields: readonly FieldDefinition[] = [
  ...fieldsWithPrefix("json"),
  ...fieldsWithPrefix("jevt"),
];
