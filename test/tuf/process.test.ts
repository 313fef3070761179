import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

const program = join(import.meta.dirname, "client-process.ts");

test("the command answers with exit code 1 and the code of the refusal, so that another suite can run it", (t) => {
  const dir = mkdtempSync(join(tmpdir(), "falconry-tuf-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const flags = ["--metadata-dir", dir, "--metadata-url", "http://127.0.0.1:9/metadata"];
  const { status, stderr } = spawnSync(process.execPath, [program, ...flags, "refresh"], {
    encoding: "utf8",
  });
  assert.equal(status, 1);
  assert.match(stderr, /^trust\/incomplete: .*trusted\.state/);
});
