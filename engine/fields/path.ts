import { kinds } from "../json/tape.ts";
import { valueText, wholeText } from "../json/text.ts";
import type { EventView, Extract, FieldDefinition, FindNodes } from "./field.ts";

/** An index as Falco's plugins read it: `+1` and `01` are 1. */
const decimal = /^(?:\+?0*[0-9]{1,9}|-0+)$/;

/** Follows keys, and decimal indexes where the record has an array. Gives -1 where the path ends early. */
export function walk(event: EventView, from: number, path: readonly string[]): number {
  let node = from;
  for (const step of path) {
    if (node < 0) return -1;
    node = stepFrom(event, node, step);
  }
  return node;
}

function stepFrom({ tape }: EventView, node: number, step: string): number {
  if (tape.kind(node) !== kinds.array) return tape.member(node, step);
  const index = arrayIndex(step);
  return index < 0 ? -1 : tape.element(node, index);
}

/** The element that a step means where the record has an array, or -1. */
export function arrayIndex(step: string): number {
  return decimal.test(step) ? Math.abs(Number(step)) : -1;
}

/**
 * The values at a path on which an array stands for all of its elements or, with an index, for that one. An element that
 * lacks the rest of the path gives -1; a path that ends before any array gives undefined. A step without a name stays where
 * it is, so that an array at the end is taken apart too.
 */
export function spread(
  event: EventView,
  path: readonly string[],
  index: number | undefined,
): readonly number[] | undefined {
  const found: number[] = [];
  return collect(event, event.root, path, 0, index, found) ? found : undefined;
}

/** Adds what `spread` finds from a step on; false, with nothing added, where the path ends before any array. */
function collect(
  event: EventView,
  from: number,
  path: readonly string[],
  start: number,
  index: number | undefined,
  found: number[],
): boolean {
  const { tape } = event;
  let node = from;
  for (let i = start; i < path.length; i++) {
    const step = path[i] ?? "";
    if (tape.kind(node) === kinds.array) {
      if (index === undefined) {
        if (step !== "" && isFlat(event, node)) {
          // Every element lacks the rest of the path: to say so once is enough.
          if (tape.first(node) < tape.next(node)) found.push(-1);
          return true;
        }
        const after = tape.next(node);
        for (let item = tape.first(node); item < after; item = tape.next(item)) {
          if (!collect(event, item, path, i, index, found)) found.push(-1);
        }
        return true;
      }
      node = tape.element(node, index);
      if (node < 0) return false;
    }
    if (step !== "") node = stepFrom(event, node, step);
    if (node < 0) return false;
  }
  found.push(node);
  return true;
}

/**
 * Whether an array holds neither objects nor arrays. Many fields look through the same one, and it may have very many elements:
 * the event remembers the last one that was flat.
 */
function isFlat({ tape, flat }: EventView, array: number): boolean {
  if (flat.array === array) return true;
  const after = tape.next(array);
  for (let item = tape.first(array); item < after; item = tape.next(item)) {
    const kind = tape.kind(item);
    if (kind === kinds.object || kind === kinds.array) return false;
  }
  flat.array = array;
  return true;
}

/** The texts of values, those left out that are not there. */
export function textsOf(
  { tape }: EventView,
  nodes: readonly number[] | undefined,
): readonly string[] | undefined {
  return nodes?.flatMap((node) => (node < 0 ? [] : [valueText(tape, node)]));
}

/** The text of a string at a path; undefined when anything else stands there. */
export function stringAt(event: EventView, from: number, path: readonly string[]): string | undefined {
  const node = walk(event, from, path);
  return node >= 0 && isString(event, node) ? wholeText(event.tape, node) : undefined;
}

/** Whether a value is a JSON string. */
export function isString({ tape }: EventView, node: number): boolean {
  const kind = tape.kind(node);
  return kind === kinds.string || kind === kinds.escaped;
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

/** A list of texts that stand in the event as they are, so that a rule can compare them there. */
export function textList(
  name: string,
  doc: string,
  argument: "none" | "index-optional",
  find: (event: EventView, index: number | undefined) => readonly number[] | undefined,
): FieldDefinition {
  const nodes = (given: string | undefined): FindNodes => {
    const index = indexOf(given);
    return (event) => (event.isAudit ? find(event, index) : undefined);
  };
  const bind = (given: string | undefined): Extract => {
    const found = nodes(given);
    return (event) => textsOf(event, found(event));
  };
  return { name, type: "CHARBUF", isList: true, argument, doc, nodes, bind };
}

/** The texts of all elements, or undefined when there is no array. */
export function texts(event: EventView, node: number, index?: number): readonly string[] | undefined {
  return elements(event, node, index)?.map((item) => valueText(event.tape, item));
}
