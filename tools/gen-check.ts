import { spawnSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "./test-files.ts";

/** Fails when `proto/gen` is not what the proto files generate: somebody forgot `npm run gen`, or edited the result. */
const fresh = mkdtempSync(join(tmpdir(), "falconry-gen-"));
try {
  const buf = join(root, "node_modules", ".bin", "buf");
  const { status } = spawnSync(buf, ["generate", "-o", fresh], { cwd: root, stdio: "inherit" });
  if (status !== 0) throw new Error(`buf generate ended with exit code ${status}`);
  const differing = compare(join(fresh, "proto", "gen"), join(root, "proto", "gen"));
  if (differing.length > 0) {
    console.error(`Not as generated: ${differing.join(", ")}. Run \`npm run gen\` and commit the result`);
    process.exitCode = 1;
  }
} finally {
  rmSync(fresh, { recursive: true, force: true });
}

function compare(wanted: string, found: string): readonly string[] {
  const files = (folder: string): readonly string[] => globSync("**/*.ts", { cwd: folder });
  const all = [...new Set([...files(wanted), ...files(found)])].sort();
  if (all.length === 0) throw new Error("No file was generated, so nothing was compared: see buf.gen.yaml");
  return all.filter((file) => read(join(wanted, file)) !== read(join(found, file)));
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined; // Missing on one side: a difference.
  }
}
