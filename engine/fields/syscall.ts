import type { SyscallEvent } from "../linux-audit/syscall-event.ts";
import type { Extract, FieldDefinition, FieldType, FieldValue } from "./field.ts";

type ReadCall = (event: SyscallEvent) => FieldValue;

/** Makes a reader of system calls one of events: other events have nothing to read. */
export function ofCall(read: ReadCall): Extract {
  return ({ syscall }) => (syscall === undefined ? undefined : read(syscall));
}

/** A field without argument that any system call may have. */
export function callField(name: string, type: FieldType, doc: string, read: ReadCall): FieldDefinition {
  const extract = ofCall(read);
  return { name, type, isList: false, argument: "none", doc, bind: () => extract };
}

/** The same for fields that only some types of event can have. */
export function limitedTo(
  carriedBy: (eventType: string) => boolean,
  fields: readonly FieldDefinition[],
): readonly FieldDefinition[] {
  return fields.map((field) => ({ ...field, carriedBy }));
}
