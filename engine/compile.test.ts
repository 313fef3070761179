import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { compileCheck, type Frame, Slots } from "./compile.ts";
import { bindField, type BoundField } from "./fields/registry.ts";
import { JsonBytes } from "./json/bytes.ts";
import type { JsonDocument } from "./json/document.ts";
import { JsonTape } from "./json/tape.ts";
import { valueText } from "./json/text.ts";
import { LiveEvent } from "./live-event.ts";
import { fieldOperand } from "./resolve-operand.ts";
import { oneText, valueTest } from "./value-tests.ts";

const frameOf = (tape: JsonDocument): Frame => {
  const event = new LiveEvent(tape, { hostname: "h", utcOffsetSeconds: 0 });
  return { event, stamp: 0, values: [], stamps: [] };
};

function fieldOf(name: string, argument: string | undefined): BoundField {
  const outcome = bindField(name, argument, "fixed");
  assert.ok(outcome.ok, JSON.stringify(outcome));
  return outcome.field;
}

/** Reads each text in both ways, and calls with the frame. */
function inBoth(texts: readonly string[], look: (frame: Frame, text: string) => void): void {
  const [tape, bytes] = [new JsonTape(), new JsonBytes()];
  for (const frame of [frameOf(tape), frameOf(bytes)]) {
    const event = frame.event as LiveEvent;
    for (const text of texts) {
      const all = Buffer.from(text);
      tape.parse(text);
      assert.ok(bytes.scan(all, 0, all.length), text);
      event.take(event.tape, 0, 0n);
      frame.stamp++;
      look(frame, text);
    }
  }
}

const step = fc.constantFrom("a", "b", "", "0", "1", "01", "+1", "-0", "1x", "a~1b", "a~0b", "é");
const pointer = fc
  .tuple(fc.constantFrom("/", ""), fc.array(step, { minLength: 1, maxLength: 4 }))
  .map(([start, steps]) => start + steps.join("/"))
  .filter((text) => text !== "");
const { json } = fc.letrec<{ json: unknown }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(1, null, "a", 'q"q', "é", "x\0y", [], {}),
    fc.array(tie("json"), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom("a", "b", "", "0", "1", "01", "a/b", "a~b", "é"), tie("json"), {
      maxKeys: 4,
    }),
  ),
}));
const written = fc
  .tuple(json, fc.boolean())
  .map(([value, isSpaced]) => JSON.stringify(value, null, isSpaced ? 1 : 0));

test("jevt.value reads what its pointer walks to, whatever the event holds", () => {
  fc.assert(
    fc.property(
      fc.array(pointer, { minLength: 1, maxLength: 6 }),
      fc.array(written, { minLength: 1, maxLength: 3 }),
      (pointers, texts) => {
        const slots = new Slots();
        const fields = pointers.map((one) => fieldOf("jevt.value", one));
        const reads = fields.map((field) => slots.read(field));
        inBoth(texts, (frame, text) => {
          for (const [i, field] of fields.entries()) {
            assert.deepEqual(reads[i]?.(frame), field.extract(frame.event), `${field.key} of ${text}`);
          }
        });
      },
    ),
    { numRuns: 2000 },
  );
});

const lists = ["ka.user.groups", "ka.req.pod.containers.privileged", "ka.req.pod.volumes.hostpath"];
const scalars = ["ka.verb", "ka.user.name", "jevt.value[/user/groups/0]", "json.value[/requestObject/spec]"];
const value = fc.constantFrom("a", "b", "true", "false", "1", "é", "", '["a"]', "null", "x", "/");
const check = fc
  .oneof(
    fc.tuple(fc.constantFrom(...lists), fc.constantFrom("in", "intersects", "exists")),
    fc.tuple(
      fc.constantFrom(...scalars),
      fc.constantFrom("=", "!=", "in", "exists", "startswith", "contains", "icontains", "endswith"),
    ),
  )
  .chain(([name, operator]) =>
    fc
      .array(value, { minLength: 1, maxLength: operator === "in" || operator === "intersects" ? 3 : 1 })
      .map((values) => {
        const [written = "", argument] = name.split(/[[\]]/);
        const left = fieldOperand(fieldOf(written, argument));
        return {
          left,
          operator,
          modifier: undefined,
          values: operator === "exists" ? [] : values,
          right: undefined,
          at: 0,
        };
      }),
  );
const text = fc.constantFrom<unknown>("a", "b", "é", "", "x\0y", "/", true, false, 1, null, ["a"], {}, []);
const several = fc.oneof({ weight: 4, arbitrary: fc.array(text, { maxLength: 3 }) }, text);
const audit = fc
  .record(
    {
      auditID: text,
      verb: text,
      user: fc.oneof(
        { weight: 4, arbitrary: fc.record({ username: text, groups: several }, { requiredKeys: [] }) },
        text,
      ),
      requestObject: fc.record({
        spec: fc.record(
          {
            containers: fc.array(
              fc.record({ securityContext: fc.record({ privileged: text }) }, { requiredKeys: [] }),
            ),
            volumes: fc.array(fc.record({ hostPath: fc.record({ path: text }) }, { requiredKeys: [] })),
          },
          { requiredKeys: [] },
        ),
      }),
    },
    { requiredKeys: ["user", "requestObject"] },
  )
  .map((one) => JSON.stringify(one));

test("a check of what lies in the event gives what it gives of the value that is read", () => {
  fc.assert(
    fc.property(
      fc.array(check, { minLength: 1, maxLength: 6 }),
      fc.array(audit, { minLength: 1, maxLength: 3 }),
      (checks, texts) => {
        const slots = new Slots();
        const inPlace = checks.map((one) => compileCheck(one, slots));
        inBoth(texts, (frame, written) => {
          for (const [i, one] of checks.entries()) {
            const read = one.left.fields[0]?.extract(frame.event);
            const isMissing = Array.isArray(read) && read.length === 0;
            const want = valueTest(one)(isMissing ? undefined : read);
            assert.equal(
              inPlace[i]?.(frame),
              want,
              `${one.left.text} ${one.operator} ${one.values.join()} of ${written}`,
            );
          }
        });
      },
    ),
    { numRuns: 2000 },
  );
});

const word = fc.constantFrom(
  '"',
  "a",
  "1",
  ":",
  ",",
  '":',
  '{"',
  "A",
  "É",
  "é",
  "\\",
  "\\u",
  '"a":"a"',
  "[1,",
  "x",
  "y",
  "",
);

test("words that rules look for together are found as in the text that each rule sees", () => {
  const all = fc.array(fc.tuple(fc.constantFrom("contains", "icontains"), word), {
    minLength: 1,
    maxLength: 8,
  });
  fc.assert(
    fc.property(all, fc.array(written, { minLength: 1, maxLength: 4 }), (wanted, texts) => {
      const slots = new Slots();
      const field = fieldOf("jevt.value", "/a");
      const tests = wanted.map(([operator, one]) => slots.words(field)?.add(operator, one));
      inBoth(texts, (frame, text) => {
        const { tape } = frame.event;
        const at = tape.member(0, "a");
        for (const [i, [operator, one]] of wanted.entries()) {
          const want = at >= 0 && oneText(operator, one)(valueText(tape, at));
          const got = tests[i]?.(frame);
          // What such a search can not take is left to the plain test.
          if (got === undefined) assert.ok(one === "" || /é/i.test(one), one);
          else assert.equal(got, want, `${operator} ${one} in ${text}`);
        }
      });
    }),
    { numRuns: 3000 },
  );
});
