import { addressTest } from "./address-match.ts";
import type { TypedCheck } from "./check.ts";
import type { FieldValue } from "./fields/field.ts";

type ValueTest = (value: FieldValue) => boolean;

/**
 * Tests of values that are compared in their own way: addresses, networks, and fields such as `proc.aname` where several
 * values stand for one. Undefined for all others.
 */
export function specialTest(
  check: TypedCheck,
  valueTest: (check: TypedCheck) => ValueTest,
): ValueTest | undefined {
  const { left, operator, values } = check;
  if (operator === "exists" || left.isList) return undefined;
  if (left.type === "IPADDR" || left.type === "IPNET") {
    const test = addressTest(left.type, operator, values);
    return (value) => value !== undefined && test(value);
  }
  if (left.source.kind !== "field") return undefined;
  const { definition, argument } = left.source.field;
  if (definition.isAny !== true || argument !== undefined) return undefined;
  const one = valueTest({ ...check, left: { ...left, source: { kind: "literal", value: "" } } });
  return (value) => (Array.isArray(value) ? value.some((item) => one(item)) : one(value));
}
