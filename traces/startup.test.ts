/** What is loaded only where traces are on: the programs start as fast, and are as small, without it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readText, repositoryFiles } from "../test/tidy/files.ts";

const sources = repositoryFiles().filter((file) => /\.tsx?$/.test(file) && !file.endsWith(".test.ts"));
const naming = (pattern: RegExp) => sources.filter((file) => pattern.test(readText(file)));

test("one file takes OpenTelemetry in, and one place asks for that file, when traces are on", () => {
  assert.deepEqual(naming(/^import (?!type )[^;]*? from "@opentelemetry\//m), ["traces/opentelemetry.ts"]);
  assert.deepEqual(naming(/"[^"]*\/opentelemetry\.ts"/), ["traces/traces.ts"]);
  assert.deepEqual(naming(/from "[^"]*\/(?:opentelemetry|processor)\.ts"/), ["traces/opentelemetry.ts"]);
});
