import assert from "node:assert/strict";
import { test } from "node:test";
import { readText, repositoryFiles } from "./files.ts";

const linesOf = (file: string): number => readText(file).split("\n").length - 1;
const written = repositoryFiles().filter(
  (file) =>
    /\.(tsx?|js|mjs|css|proto|sql|md|sh)$/.test(file) &&
    !file.startsWith("proto/gen/") &&
    // What the migrations come to, written by a tool and read as a diff.
    file !== "migrations/schema.sql",
);

test("no file that people read is longer than 400 lines", () => {
  assert.ok(written.length > 0, "the rule must not pass because it saw nothing");
  assert.deepEqual(
    written.filter((file) => linesOf(file) > 400).map((file) => `${file}: ${linesOf(file)} lines`),
    [],
  );
});

test("the README can be read in one go", () => {
  assert.ok(linesOf("README.md") < 150, `README.md has ${linesOf("README.md")} lines`);
});
