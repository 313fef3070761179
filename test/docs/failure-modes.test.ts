/** docs/failure-modes.md names tests: a name that no test has any more promises what nobody looks at. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "..", "..");
const rows = readFileSync(join(root, "docs", "failure-modes.md"), "utf8")
  .split("\n")
  .filter((line) => line.startsWith("| ") && !line.startsWith("| failure |"))
  .map((line) => line.slice(2, -2).split(" | "));

/** The texts of a file that stand in quotes: names of tests are among them, comments are not. */
function quoted(file: string): readonly string[] {
  if (!existsSync(join(root, file))) return [];
  const text = readFileSync(join(root, file), "utf8").replaceAll(/^\s*(\/\/|\*|\/\*\*).*$/gm, "");
  return [...text.matchAll(/"([^"\n]*)"|`([^`]*)`/g)].map(([, plain, template]) => plain ?? template ?? "");
}

test("every failure has a row with what happens, and a test or the word that none shows it", () => {
  assert.equal(rows.length, 37, "a failure that is dropped from the page is dropped here as well");
  for (const [failure = "", happens = "", tests = "", ...more] of rows) {
    assert.deepEqual(more, [], failure);
    assert.ok(happens.length > 20, failure);
    assert.match(tests, /^(`[^`]+\.test\.ts` "[^"]+")(, `[^`]+\.test\.ts` "[^"]+")*$|^not shown$/, failure);
  }
});

test("each test that the page names is there", () => {
  const named = rows.flatMap(([, , tests = ""]) => [...tests.matchAll(/`([^`]+\.test\.ts)` "([^"]+)"/g)]);
  assert.ok(named.length > 60, "the rule must not pass because it saw nothing");
  const missing = named.filter(
    ([, file = "", name = ""]) => !quoted(file).some((text) => text.includes(name)),
  );
  assert.deepEqual(
    missing.map(([words]) => words),
    [],
  );
});
