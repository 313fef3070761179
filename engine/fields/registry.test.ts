import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { JsonTape } from "../json/tape.ts";
import type { FieldDefinition, FieldValue } from "./field.ts";
import { bindField, fieldClasses } from "./registry.ts";

const fields = fieldClasses.flatMap(({ fields }) => fields);

test("every field has a name of its own and words that say what it is", () => {
  assert.equal(new Set(fields.map(({ name }) => name)).size, fields.length);
  assert.deepEqual(
    fields.filter(({ doc }) => !/^[A-Z].{9,}[^.]$/.test(doc)).map(({ name }) => name),
    [],
  );
});

const keys =
  "kind name spec containers image command args ports hostPort securityContext privileged rules verbs subjects volumes hostPath path username groups".split(
    " ",
  );
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    fc.constantFrom(null, true, 0, 1.5, "", "User", "/etc", "a:b@c"),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...keys), tie("value"), { maxKeys: 6 }),
  ),
}));

const isScalar = ({ type }: FieldDefinition, one: unknown): boolean =>
  type === "CHARBUF"
    ? typeof one === "string"
    : type === "BOOL"
      ? typeof one === "boolean"
      : typeof one === "bigint";

function fits(field: FieldDefinition, given: FieldValue): boolean {
  if (given === undefined) return true;
  return field.isList
    ? Array.isArray(given) && given.every((one) => isScalar(field, one))
    : isScalar(field, given);
}

test("every field gives what its type says or nothing, whatever the event", () => {
  const tape = new JsonTape();
  const body = fc.record({
    user: value,
    objectRef: value,
    requestObject: value,
    responseObject: value,
    requestURI: value,
  });
  fc.assert(
    fc.property(
      body,
      fc.constantFrom("fixed", "strict"),
      fc.constantFrom("0", "1"),
      (parts, compat, argument) => {
        const root = tape.parse(JSON.stringify({ auditID: "1", ...parts }));
        const event = {
          tape,
          root,
          isAudit: true,
          flat: { array: -1 },
          timeNs: 5n,
          firstTimeNs: 9n,
          number: 1n,
          source: "k8s_audit",
          hostname: "h",
          utcOffsetSeconds: 0,
        };
        for (const field of fields) {
          const outcome = bindField(field.name, field.argument === "none" ? undefined : argument, compat);
          assert.ok(outcome.ok, field.name);
          assert.ok(fits(field, outcome.field.extract(event)), field.name);
        }
      },
    ),
    { numRuns: 300 },
  );
});

test("an event without auditID has no audit field, and its JSON fields all the same", () => {
  const tape = new JsonTape();
  const root = tape.parse('{"verb":"get","user":{"username":"x"}}');
  const event = {
    tape,
    root,
    isAudit: false,
    flat: { array: -1 },
    timeNs: 0n,
    firstTimeNs: 0n,
    number: 1n,
    source: "k8s_audit",
    hostname: "h",
    utcOffsetSeconds: 0,
  };
  const read = (name: string, argument?: string): FieldValue => {
    const outcome = bindField(name, argument, "fixed");
    return outcome.ok ? outcome.field.extract(event) : assert.fail(outcome.message);
  };
  assert.equal(read("ka.verb"), undefined);
  assert.equal(read("json.value", "/user/username"), "x");
  assert.equal(read("json.value", "user"), '{"username":"x"}');
});
