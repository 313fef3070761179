import { kinds } from "../json/tape.ts";
import { valueText } from "../json/text.ts";
import type { EventView, Extract, FieldDefinition } from "./field.ts";

const decimal = /^(?:0|[1-9][0-9]{0,8})$/;

/** Follows keys, and decimal indexes where the record has an array. Gives -1 where the path ends early. */
export function walk(event: EventView, from: number, path: readonly string[]): number {
  let node = from;
  for (const step of path) {
    if (node < 0) return -1;
    if (event.tape.kind(node) !== kinds.array) node = event.tape.member(node, step);
    else node = decimal.test(step) ? event.tape.element(node, Number(step)) : -1;
  }
  return node;
}

/** The text at a path below a node, or undefined. */
export function textAt(event: EventView, from: number, path: readonly string[]): string | undefined {
  const node = walk(event, from, path);
  return node < 0 ? undefined : valueText(event.tape, node);
}

/** The nodes of an array; undefined when there is no array. With an index, that element alone. */
export function elements(
  event: EventView,
  node: number,
  index: number | undefined,
): readonly number[] | undefined {
  const { tape } = event;
  if (node < 0 || tape.kind(node) !== kinds.array) return undefined;
  if (index !== undefined) {
    const only = tape.element(node, index);
    return only < 0 ? undefined : [only];
  }
  const nodes: number[] = [];
  const after = tape.next(node);
  for (let item = tape.first(node); item < after; item = tape.next(item)) nodes.push(item);
  return nodes;
}

/** An index argument as a number; the registry has checked its digits. */
export function indexOf(argument: string | undefined): number | undefined {
  return argument === undefined ? undefined : Number(argument);
}

/** Keeps a reader of audit fields from seeing an event that is no audit event. */
export function auditOnly(read: Extract): Extract {
  return (event) => (event.isAudit ? read(event) : undefined);
}

/** A single text at a fixed path of the audit event. */
export function scalar(name: string, path: readonly string[], doc: string): FieldDefinition {
  const read = auditOnly((event) => textAt(event, event.root, path));
  return { name, type: "CHARBUF", isList: false, argument: "none", doc, path, bind: () => read };
}

/** A single value worked out by a function. */
export function computed(name: string, doc: string, read: Extract): FieldDefinition {
  const guarded = auditOnly(read);
  return { name, type: "CHARBUF", isList: false, argument: "none", doc, bind: () => guarded };
}

/** A list without an index argument. */
export function plainList(name: string, doc: string, read: Extract): FieldDefinition {
  const guarded = auditOnly(read);
  return { name, type: "CHARBUF", isList: true, argument: "none", doc, bind: () => guarded };
}

/** A list whose rule may pick one element by its index. */
export function indexedList(
  name: string,
  doc: string,
  read: (event: EventView, index: number | undefined) => readonly string[] | undefined,
): FieldDefinition {
  return {
    name,
    type: "CHARBUF",
    isList: true,
    argument: "index-optional",
    doc,
    bind: (argument) => {
      const index = indexOf(argument);
      return auditOnly((event) => read(event, index));
    },
  };
}

/** The texts of all elements, or undefined when there is no array. */
export function texts(event: EventView, node: number, index?: number): readonly string[] | undefined {
  return elements(event, node, index)?.map((item) => valueText(event.tape, item));
}
