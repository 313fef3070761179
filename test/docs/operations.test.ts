/** The script of docs/operations.md that moves a database names every table: one that it forgets stays behind. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readPage } from "./blocks.ts";

const schema = readFileSync(join(import.meta.dirname, "..", "..", "migrations", "schema.sql"), "utf8");
const page = readPage("operations.md");
const tables = (/^const tables = `([^`]*)`/m.exec(page)?.[1] ?? "").split(/\s+/);

/** Tables that hold rows of their own, with their text: partitions come with what they are parts of. */
const stored = [...schema.matchAll(/^create table (\w+) \(\n([\s\S]*?)^\)(.*)$/gm)].flatMap(
  ([, name = "", text = "", rest = ""]) => (rest.startsWith(" partition by of") ? [] : [{ name, text }]),
);

test("the tables that are moved are those of the schema, each after those that it refers to", () => {
  assert.ok(stored.length > 20, "the rule must not pass because it saw nothing");
  assert.deepEqual(tables.toSorted(), stored.map(({ name }) => name).toSorted());
  for (const { name, text } of stored) {
    for (const [, other = ""] of text.matchAll(/ references (\w+)\(/g)) {
      assert.ok(tables.indexOf(other) <= tables.indexOf(name), `${name} is moved before ${other}`);
    }
  }
});

test("the counters that are moved are those of the schema", () => {
  const plain = [...schema.matchAll(/^create sequence (\w+);/gm)].map(([, name = ""]) => name);
  const own = stored.flatMap(({ name, text }) =>
    [...text.matchAll(/^ +(\w+) \w+ not null generated always as identity/gm)].map(
      ([, column = ""]) => `${name}_${column}_seq`,
    ),
  );
  const moved = /of \[(.*)\]\) \{\n.*setval/.exec(page)?.[1] ?? "";
  const named = [...moved.matchAll(/"(\w+)"/g)].map(([, name = ""]) => name);
  assert.deepEqual(named.toSorted(), [...plain, ...own].toSorted());
});
