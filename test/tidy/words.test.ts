import assert from "node:assert/strict";
import { test } from "node:test";
import { linesMatching, readText, repositoryFiles } from "./files.ts";

const text = repositoryFiles().filter(
  (file) =>
    /(^|\/)[^.]+$|\.(tsx?|css|html|js|mjs|json|ya?ml|md|proto|sql|sh|txt|conf)$/.test(file) &&
    !isBinary(file),
);

/** What may not stand in the repository, and why. Written in pieces, so that this file does not find itself. */
const unwanted: readonly (readonly [string, RegExp])[] = [
  ["a path of somebody's machine", /(?<![\w.])\/(?:work|tmp\/resear[c]h)\/|\/root\/\w/],
  ["the address of a package registry", /https?:\/\/[^\s"'/]*(?:regi[s]try|artifactory|nexus|verdaccio)/i],
  ["a mark left by a merge", /^(?:<{7}|>{7}) /],
];

for (const [what, pattern] of unwanted) {
  test(`no file holds ${what}`, () => {
    assert.ok(text.length > 0, "the rule must not pass because it saw nothing");
    assert.deepEqual(
      text.flatMap((file) => linesMatching(file, pattern)),
      [],
    );
  });
}

test("no test is switched off, and none keeps the others from running", () => {
  const tests = text.filter((file) => /\.test\.(ts|mjs)$/.test(file));
  assert.deepEqual(
    tests.flatMap((file) =>
      linesMatching(file, /\b(?:test|it|describe|suite)\.(?:only|skip|todo)\(|\b(?:only|skip|todo): true/),
    ),
    [],
  );
});

test("the lock file names no address to download from", () => {
  assert.deepEqual(linesMatching("package-lock.json", /"resolved":/), []);
});

function isBinary(file: string): boolean {
  return readText(file).includes("\0");
}
