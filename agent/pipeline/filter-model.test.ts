import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { FilterConfig, KeyTest, ModifyRule, NestConfig } from "#shipper";
import { Arena } from "./arena.ts";
import { FilterChain, openFilters } from "./filter-chain.ts";
import { eachChild, textOf } from "./json-walk.ts";
import { RecordScanner } from "./scan.ts";
import { oddNames, oddRecords, repeatingRecords } from "./testing/odd-records.ts";
import type { Odd, OddMember } from "./testing/odd-records.ts";

// The filters work on stretches of bytes. Here the same rules work on lists of names and values, as docs/filters.md has them.

type Members = readonly OddMember[];
type Nest = Pick<NestConfig, "prefix"> &
  (
    | { readonly operation: "nest"; readonly keys: readonly KeyTest[]; readonly under: string }
    | { readonly operation: "lift"; readonly under: string }
  );
type Step =
  | { readonly plugin: "modify"; readonly rules: readonly ModifyRule[] }
  | ({ readonly plugin: "nest" } & Nest);

const has = (members: Members, name: string): boolean => members.some(([key]) => key === name);
const without = (members: Members, name: string): Members => members.filter(([key]) => key !== name);
const isMeant = ({ kind, text }: KeyTest, name: string): boolean =>
  kind === "begins" ? name.startsWith(text) : name === text;

function modified(members: Members, rule: ModifyRule): Members {
  switch (rule.kind) {
    case "add":
    case "set": {
      if (rule.kind === "add" && has(members, rule.key)) return members;
      return [...without(members, rule.key), [rule.key, JSON.stringify(rule.value)]];
    }
    case "remove":
      return members.filter(([name]) => !isMeant(rule.keys, name));
    case "keep":
      return members.filter(([name]) => rule.keys.some((one) => isMeant(one, name)));
    case "move": {
      const moved = members.filter(([name]) => isMeant(rule.keys, name));
      const others = members.filter(([name]) => !isMeant(rule.keys, name));
      return rule.to === "start" ? [...moved, ...others] : [...others, ...moved];
    }
    case "rename":
    case "copy": {
      if (!has(members, rule.key) || (!rule.isHard && has(members, rule.to))) return members;
      return without(members, rule.to).flatMap((one): Members => {
        if (one[0] !== rule.key) return [one];
        const made: OddMember = [rule.to, one[1]];
        return rule.kind === "copy" ? [one, made] : [made];
      });
    }
  }
}

function renamed(name: string, prefix: Nest["prefix"]): string {
  if (prefix === undefined) return name;
  if (prefix.kind === "add") return prefix.text + name;
  return name.startsWith(prefix.text) ? name.slice(prefix.text.length) : name;
}

function nested(members: Members, step: Nest): Members {
  if (step.operation === "lift") return lifted(members, step);
  const inner = members.filter(([name]) => step.keys.some((one) => isMeant(one, name)));
  const others = members.filter((one) => !inner.includes(one));
  if (inner.length === 0 || has(others, step.under)) return members;
  // One that keeps its name has it; of two that would share a new one the first gets it.
  const taken = new Set(inner.flatMap(([name]) => (renamed(name, step.prefix) === name ? [name] : [])));
  const made = inner.map(([name, value]): OddMember => {
    const next = renamed(name, step.prefix);
    if (next === name || taken.has(next)) return [name, value];
    taken.add(next);
    return [next, value];
  });
  return [...others, [step.under, made]];
}

function lifted(members: Members, { under, prefix }: Nest): Members {
  const taken = new Set(members.map(([name]) => name));
  const up: OddMember[] = [];
  const stay = members.flatMap(([name, value]): Members => {
    if (name !== under || typeof value === "string") return [[name, value]];
    const kept = value.filter(([key, one]) => {
      const next = renamed(key, prefix);
      if (taken.has(next)) return true;
      taken.add(next);
      up.push([next, one]);
      return false;
    });
    return kept.length === 0 ? [] : [[name, kept]];
  });
  return [...stay, ...up];
}

function expected(members: Members, steps: readonly Step[]): Members {
  return steps.reduce((now, step) => {
    return step.plugin === "nest" ? nested(now, step) : step.rules.reduce(modified, now);
  }, members);
}

// Few names, so that rules meet one another.
const name = fc.oneof(fc.constantFrom("a", "b", '"'), fc.constantFrom(...oddNames));
const keys = fc.record({
  kind: fc.constantFrom("is", "begins"),
  text: name,
  ignoresCase: fc.constant(false),
});
const pair = fc.uniqueArray(name, { minLength: 2, maxLength: 2 });
const rule: fc.Arbitrary<ModifyRule> = fc.oneof(
  fc.record({ kind: fc.constantFrom("add", "set"), key: name, value: fc.constantFrom("1", '"\\', "") }),
  fc.record({ kind: fc.constant("remove"), keys }),
  fc.record({ kind: fc.constant("keep"), keys: fc.array(keys, { minLength: 1, maxLength: 3 }) }),
  fc.record({ kind: fc.constant("move"), keys, to: fc.constantFrom("start", "end") }),
  fc
    .tuple(fc.constantFrom("rename", "copy"), pair, fc.boolean())
    .map(([kind, [key = "", to = ""], isHard]) => ({ kind, key, to, isHard })),
);
const prefix = fc.option(
  fc.record({ kind: fc.constantFrom("add", "remove"), text: fc.constantFrom("a", "\\", "p_") }),
  { nil: undefined },
);
// A key that one rule adds and the next one moves on: what that comes to is worked out before any record.
const chained = fc
  .tuple(pair, fc.constantFrom("rename", "copy"), fc.boolean())
  .map(([[key = "", to = ""], kind, isHard]): Step => {
    return {
      plugin: "modify",
      rules: [
        { kind: "add", key, value: "1" },
        { kind, key, to, isHard },
      ],
    };
  });
const step: fc.Arbitrary<Step> = fc.oneof(
  chained,
  fc.record({ plugin: fc.constant("modify"), rules: fc.array(rule, { minLength: 1, maxLength: 3 }) }),
  fc.record({
    plugin: fc.constant("nest"),
    operation: fc.constant("nest"),
    keys: fc.array(keys, { minLength: 1, maxLength: 2 }),
    under: name,
    prefix,
  }),
  fc.record({ plugin: fc.constant("nest"), operation: fc.constant("lift"), under: name, prefix }),
);

const scanner = new RecordScanner();
const arena = new Arena();

function run(text: string, steps: readonly Step[]): string {
  const at = { file: "filters.conf", line: 1, column: 1 };
  const common = { at, alias: "f", match: { kind: "glob" as const, pattern: "*" }, conditions: [] };
  const configs = steps.map((one): FilterConfig => ({ ...common, ...one }));
  const bytes = Buffer.from(text);
  assert.ok(scanner.scan(bytes, 0, bytes.length), scanner.why);
  arena.reset();
  assert.ok(new FilterChain(openFilters(configs, () => 0)).apply(bytes, 0, bytes.length, scanner, arena));
  return arena.bytes.toString("utf8", 0, arena.length - 1);
}

/** What a text says, key by key: JSON.parse of an object with escaped keys is not asked, see docs/testing.md. */
function read(text: string): Odd {
  if (!text.startsWith("{")) return text;
  const bytes = Buffer.from(`${text}\n`);
  assert.ok(scanner.scan(bytes, 0, bytes.length), `${scanner.why}: ${text}`);
  const found: [string, string][] = [];
  eachChild(bytes, 0, (from, to, start, end) => {
    found.push([textOf(bytes, from, to), bytes.toString("utf8", start, end)]);
  });
  assert.equal(found.length, scanner.count);
  return found.map(([key, value]): OddMember => [key, read(value)]);
}

const numRuns = Number(process.env["FALCONRY_FUZZ_RUNS"] ?? 2000);

test("filters do to bytes what their rules say of names and values, however names are written", () => {
  fc.assert(
    fc.property(oddRecords, fc.array(step, { maxLength: 4 }), ({ members, text }, steps) => {
      const line = run(text, steps);
      assert.deepEqual(read(line), expected(members, steps), line);
    }),
    { numRuns },
  );
});

test("a key that a record has several times becomes no more of them, and a rule that names it leaves none behind", () => {
  fc.assert(
    fc.property(repeatingRecords, name, name, ({ members, text }, key, to) => {
      const set = read(run(text, [{ plugin: "modify", rules: [{ kind: "set", key, value: "1" }] }]));
      assert.deepEqual(set, [...without(members, key), [key, '"1"']]);
      const removal: ModifyRule = { kind: "remove", keys: { kind: "is", text: key, ignoresCase: false } };
      assert.deepEqual(read(run(text, [{ plugin: "modify", rules: [removal] }])), without(members, key));
      if (key === to) return;
      const steps: Step[] = [{ plugin: "modify", rules: [{ kind: "rename", key, to, isHard: true }] }];
      const after = read(run(text, steps));
      assert.ok(typeof after !== "string");
      const count = (all: Members, one: string): number => all.filter(([each]) => each === one).length;
      const moved = count(members, key);
      assert.equal(count(after, key), 0);
      assert.equal(count(after, to), moved === 0 ? count(members, to) : moved);
    }),
    { numRuns },
  );
});
