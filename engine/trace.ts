import type { RulesFile } from "./load.ts";
import type { Position } from "./source-text.ts";
import { type ItemKind, placeIn, type Statement, statementsIn } from "./statements.ts";
import { entryOf, type YamlMap, type YamlNode } from "./yaml.ts";

/** A value with the place that says it. Lines and columns count from 0. */
export interface Piece<T = string> {
  readonly value: T;
  readonly place: Position;
}

/** A field or operator, or the list of them, as it is written. */
export type TracedNames = string | readonly string[];

/** What an exception excuses: a text, or a text or list for each field. */
export type TracedValue = string | readonly TracedValue[];

export interface TracedException {
  readonly name: string;
  readonly place: Position;
  readonly fields: TracedNames | undefined;
  readonly comps: TracedNames | undefined;
  /** Undefined where the key is missing. */
  readonly values: readonly Piece<TracedValue>[] | undefined;
}

/** A property as it is in force. `over` are the places that were overruled, oldest first. */
export type TracedProperty = { readonly key: string; readonly over: readonly Position[] } & (
  | { readonly form: "text"; readonly pieces: readonly Piece[] } // Joined by blanks.
  | { readonly form: "list"; readonly pieces: readonly Piece[] }
  | { readonly form: "exceptions"; readonly exceptions: readonly TracedException[] }
);

/** A list, macro or rule as it is in force, with where each part of it comes from. */
export interface TracedItem {
  readonly kind: ItemKind;
  readonly name: string;
  /** Where the definition in force begins. */
  readonly place: Position;
  /** In the order in which people write them. */
  readonly properties: readonly TracedProperty[];
}

const order = [
  "items",
  "desc",
  "condition",
  "exceptions",
  "output",
  "priority",
  "source",
  "tags",
  "enabled",
  "skip-if-unknown-filter",
  "warn_evttypes",
  "capture",
  "capture_duration",
];

interface Draft extends Omit<TracedItem, "properties"> {
  readonly item: YamlMap;
  readonly properties: Map<string, TracedProperty>;
}

/**
 * What rules files come to, item by item: lists, macros with what they use before them, and rules in the order in which they
 * are evaluated; after overrides and appends, before lists and
 * macros are written out. For files that `loadRules` takes.
 */
export function traceRules(files: readonly RulesFile[]): readonly TracedItem[] {
  const drafts = new Map<string, Draft>();
  for (const statement of statementsIn(files)) {
    const key = `${statement.kind} ${statement.name}`;
    const draft = draftFor(drafts.get(key), statement);
    drafts.set(key, draft);
    const before = draft.properties.get(statement.property);
    draft.properties.set(statement.property, stated(before, statement));
  }
  const items = [...drafts.values()].map(({ item: _item, properties, ...rest }) => ({
    ...rest,
    properties: [...properties.values()].sort((a, b) => order.indexOf(a.key) - order.indexOf(b.key)),
  }));
  const ofKind = (kind: ItemKind): readonly TracedItem[] => items.filter((item) => item.kind === kind);
  return [...ofKind("list"), ...usedFirst(ofKind("macro")), ...ofKind("rule")];
}

/** A macro may be defined anew with one that comes later; written once, what it uses has to stand before it. */
function usedFirst(macros: readonly TracedItem[]): readonly TracedItem[] {
  const byName = new Map(macros.map((macro) => [macro.name, macro]));
  const placed = new Set<TracedItem>();
  const place = (macro: TracedItem): void => {
    // Rules that load have no circles; this keeps others from going round in one.
    if (!byName.delete(macro.name)) return;
    for (const name of wordsOf(macro)) {
      const used = byName.get(name);
      if (used !== undefined) place(used);
    }
    placed.add(macro);
  };
  macros.forEach(place);
  return [...placed];
}

function wordsOf(macro: TracedItem): readonly string[] {
  const texts = macro.properties.flatMap((one) =>
    one.form === "exceptions" ? [] : one.pieces.map(({ value }) => value),
  );
  return texts.join(" ").match(/[A-Za-z][A-Za-z0-9_]*/g) ?? [];
}

/** A definition begins anew, and what was said before is overruled. */
function draftFor(before: Draft | undefined, statement: Statement): Draft {
  const { kind, name, act, item } = statement;
  if (before !== undefined && (act !== "define" || before.item === item)) return before;
  const overruled = [...(before?.properties.values() ?? [])].map((one): [string, TracedProperty] => [
    one.key,
    { key: one.key, over: [...one.over, ...placesOf(one)], form: "text", pieces: [] },
  ]);
  // What the new definition leaves out is gone, and is no property of it.
  const kept = overruled.filter(([key]) => entryOf(item, key) !== undefined);
  return { kind, name, place: placeIn(statement, item), item, properties: new Map(kept) };
}

/** Every place that has a word in a property. */
export function placesOf(property: TracedProperty): readonly Position[] {
  if (property.form !== "exceptions") return property.pieces.map(({ place }) => place);
  return property.exceptions.flatMap(({ place, values = [] }) => [
    place,
    ...values.map((value) => value.place),
  ]);
}

function stated(before: TracedProperty | undefined, statement: Statement): TracedProperty {
  const { property: key, act } = statement;
  const isAdded = act === "append";
  const over = [...(before?.over ?? []), ...(isAdded || before === undefined ? [] : placesOf(before))];
  if (key === "exceptions") {
    const own = exceptionsOf(statement);
    const all = isAdded && before?.form === "exceptions" ? merged(before.exceptions, own) : own;
    return { key, over, form: "exceptions", exceptions: all };
  }
  const form = key === "items" || key === "tags" ? "list" : "text";
  const earlier = isAdded && before !== undefined && before.form !== "exceptions" ? before.pieces : [];
  const pieces = [...earlier, ...piecesOf(statement)];
  return { key, over, form, pieces: key === "tags" ? eachOnce(pieces) : pieces };
}

function piecesOf(statement: Statement): readonly Piece[] {
  const { node } = statement;
  const nodes = node.kind === "list" ? node.items : [node];
  return nodes.map((one) => ({ value: textOf(one), place: placeIn(statement, one) }));
}

/** Tags are a set, sorted. */
function eachOnce(pieces: readonly Piece[]): readonly Piece[] {
  const first = new Map([...pieces].reverse().map((piece) => [piece.value, piece]));
  return [...first.values()].sort((a, b) => (a.value < b.value ? -1 : 1));
}

function exceptionsOf(statement: Statement): readonly TracedException[] {
  const { node } = statement;
  return (node.kind === "list" ? node.items : []).flatMap((one) => {
    if (one.kind !== "map") return [];
    const values = entryOf(one, "values");
    const name = entryOf(one, "name");
    return [
      {
        name: name === undefined ? "" : textOf(name),
        place: placeIn(statement, one),
        fields: namesOf(one, "fields"),
        comps: namesOf(one, "comps"),
        values:
          values?.kind === "list"
            ? values.items.map((value) => ({ value: valueOf(value), place: placeIn(statement, value) }))
            : undefined,
      },
    ];
  });
}

function merged(
  before: readonly TracedException[],
  added: readonly TracedException[],
): readonly TracedException[] {
  const all = new Map(before.map((one) => [one.name, one]));
  for (const one of added) {
    const known = all.get(one.name);
    if (known === undefined) all.set(one.name, one);
    else all.set(one.name, { ...known, values: [...(known.values ?? []), ...(one.values ?? [])] });
  }
  return [...all.values()];
}

function namesOf(map: YamlMap, key: string): TracedNames | undefined {
  const node = entryOf(map, key);
  if (node === undefined) return undefined;
  return node.kind === "list" ? node.items.map(textOf) : textOf(node);
}

function valueOf(node: YamlNode): TracedValue {
  return node.kind === "list" ? node.items.map(valueOf) : textOf(node);
}

/** What is no text counts as an empty one. */
function textOf(node: YamlNode): string {
  return node.kind === "scalar" && !node.isNull ? node.text : "";
}
