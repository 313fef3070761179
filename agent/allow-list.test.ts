import assert from "node:assert/strict";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { readAllowList } from "./allow-list.ts";

function written(t: TestContext, value: unknown): string {
  const dir = fs.mkdtempSync(join(tmpdir(), "falconry-allow-"));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  const file = join(dir, "allow.json");
  fs.writeFileSync(file, JSON.stringify(value));
  return file;
}

test("without a file, and with an empty one, nothing is allowed, secrets included", (t) => {
  const nothing = {
    destinations: [],
    fileDirectories: [],
    listen: [],
    protectedRules: [],
    releasedRules: [],
    secretDirectories: [],
    tailDirectories: [],
  };
  assert.deepEqual(readAllowList(undefined), nothing);
  assert.deepEqual(readAllowList(written(t, {})), nothing);
});

test("folders of secrets are read, and have to be absolute", (t) => {
  const allowed = readAllowList(written(t, { secretDirectories: ["/run/secrets/falconry"] }));
  assert.deepEqual(allowed.secretDirectories, ["/run/secrets/falconry"]);
  const relative = written(t, { secretDirectories: ["secrets"] });
  assert.throws(() => readAllowList(relative), /secretDirectories that are no list of absolute paths/);
  assert.throws(() => readAllowList(written(t, { secretDirectory: "/x" })), /unknown key "secretDirectory"/);
});
