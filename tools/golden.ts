import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { globalSetup, testFiles } from "./test-files.ts";

/** Rewrites the goldens: runs the tests that compare with a file, and keeps what they see. The diff is for review. */
const files = testFiles(process.argv.slice(2)).filter((file) =>
  readFileSync(file, "utf8").includes("assert.fileSnapshot("),
);

if (files.length === 0) {
  console.error("No test here compares with a golden (t.assert.fileSnapshot)");
  process.exitCode = 1;
} else {
  const flags = ["--test", "--test-update-snapshots", `--test-global-setup=${globalSetup}`];
  const { status } = spawnSync(process.execPath, [...flags, ...files], { stdio: "inherit" });
  console.log("Goldens are rewritten: read `git diff test/golden` before you commit");
  process.exitCode = status ?? 1;
}
