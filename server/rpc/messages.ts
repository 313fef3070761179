import { create } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import {
  BundleKind,
  BundleRefSchema,
  RequirementSchema,
  Requirement_Operator,
  SelectorSchema,
  type BundleRef,
  type Selector as SelectorMessage,
} from "#proto/fleet/v1/common";
import { isName } from "#trust";

import { kindOf, layerComponent, layerOf, type ComponentName } from "../domain/component.ts";
import { accept, invalid, type Outcome } from "../domain/refusal.ts";
import { parseScope, type Scope } from "../domain/scope.ts";
import { parseSelector, type RawRequirement, type Selector } from "../domain/selector.ts";
import type { BundleName } from "../store/bundles.ts";
import type { BundleKindName } from "../store/schema.ts";

/** A point in time on the wire; nothing for nothing. */
export function toTimestamp(date: Date | null | undefined): Timestamp | undefined {
  return date === null || date === undefined ? undefined : timestampFromDate(date);
}

export function fromTimestamp(timestamp: Timestamp | undefined): Date | undefined {
  return timestamp === undefined ? undefined : timestampDate(timestamp);
}

const kinds = {
  rules: BundleKind.RULES,
  shipper: BundleKind.SHIPPER,
  layer: BundleKind.LAYER,
} as const satisfies Record<BundleKindName, BundleKind>;

export function toKind(kind: BundleKindName): BundleKind {
  return kinds[kind];
}

/** Undefined for unspecified and for kinds that this version does not know. */
export function fromKind(kind: BundleKind): BundleKindName | undefined {
  return (Object.keys(kinds) as BundleKindName[]).find((name) => kinds[name] === kind);
}

export function toBundleRef({ kind, name, version, digest }: BundleName): BundleRef {
  return create(BundleRefSchema, { kind: toKind(kind), name, version, digest });
}

/** What is asked for; of a layer the bundle says which one it is. */
export function componentIn(field: string, kind: BundleKindName, bundle: string): Outcome<ComponentName> {
  if (kind !== "layer") return accept(kind);
  const [layer] = bundle.split("@");
  if (isName(layer)) return accept(layerComponent(layer));
  return invalid(field, "has to name a layer and, with @, the version of its release");
}

/** A bundle by digest; one that is not stored here still shows its kind and digest. */
export function refOf(
  names: ReadonlyMap<string, BundleName>,
  component: ComponentName,
  digest: string | null | undefined,
): BundleRef | undefined {
  if (digest === null || digest === undefined || digest === "") return undefined;
  const unknown = { kind: kindOf(component), name: layerOf(component) ?? "", version: "", digest };
  return toBundleRef(names.get(digest) ?? unknown);
}

const operators: Readonly<Record<Requirement_Operator, string>> = {
  [Requirement_Operator.UNSPECIFIED]: "",
  [Requirement_Operator.IN]: "in",
  [Requirement_Operator.NOT_IN]: "not-in",
  [Requirement_Operator.EXISTS]: "exists",
  [Requirement_Operator.NOT_EXISTS]: "not-exists",
};

/** Reads a selector off the wire; none chooses every cluster. */
export function fromSelector(field: string, selector: SelectorMessage | undefined): Outcome<Selector> {
  return parseSelector(field, rawOf(selector));
}

/** Reads the scope of a credential to be off the wire; none is the whole fleet. */
export function fromScope(field: string, selector: SelectorMessage | undefined): Outcome<Scope> {
  return parseScope(field, rawOf(selector));
}

function rawOf(selector: SelectorMessage | undefined): readonly RawRequirement[] {
  return (selector?.requirements ?? []).map(({ key, operator, values }) => ({
    key,
    operator: operators[operator] ?? "",
    values,
  }));
}

const wireOperators = {
  in: Requirement_Operator.IN,
  "not-in": Requirement_Operator.NOT_IN,
  exists: Requirement_Operator.EXISTS,
  "not-exists": Requirement_Operator.NOT_EXISTS,
} as const;

export function toSelector(selector: Selector): SelectorMessage {
  const requirements = selector.map((each) =>
    create(RequirementSchema, {
      key: each.key,
      operator: wireOperators[each.operator],
      values: "values" in each ? [...each.values] : [],
    }),
  );
  return create(SelectorSchema, { requirements });
}
