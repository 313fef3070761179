import { create } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import type { Refusal as TrustRefusal } from "#trust";
import {
  BundleKind,
  BundleRefSchema,
  RequirementSchema,
  Requirement_Operator,
  SelectorSchema,
  type BundleRef,
  type Selector as SelectorMessage,
} from "#proto/fleet/v1/common";

import type { Outcome, Refusal } from "../domain/refusal.ts";
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

const kinds = { rules: BundleKind.RULES, shipper: BundleKind.SHIPPER } as const;

export function toKind(kind: BundleKindName): BundleKind {
  return kinds[kind];
}

/** Undefined for unspecified and for kinds that this version does not know. */
export function fromKind(kind: BundleKind): BundleKindName | undefined {
  if (kind === BundleKind.RULES) return "rules";
  return kind === BundleKind.SHIPPER ? "shipper" : undefined;
}

export function toBundleRef({ kind, name, version, digest }: BundleName): BundleRef {
  return create(BundleRefSchema, { kind: toKind(kind), name, version, digest });
}

/** A bundle by digest; one that is not stored here still shows its kind and digest. */
export function refOf(
  names: ReadonlyMap<string, BundleName>,
  kind: BundleKindName,
  digest: string | null | undefined,
): BundleRef | undefined {
  if (digest === null || digest === undefined || digest === "") return undefined;
  return toBundleRef(names.get(digest) ?? { kind, name: "", version: "", digest });
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

/** What makes input unreadable, whatever the state of the server. */
const unreadable: readonly TrustRefusal["code"][] = [
  "trust/malformed",
  "trust/too-large",
  "trust/invalid-name",
  "trust/invalid-bundle",
];

/** What the trust room refused, in the server's words: broken input is the caller's, everything else is about order. */
export function fromTrust(field: string, refusal: TrustRefusal): Refusal {
  const why = `${refusal.message} (${refusal.code})`;
  if (unreadable.includes(refusal.code)) return { kind: "invalid", problems: [{ field, why }] };
  return { kind: "precondition", why };
}
