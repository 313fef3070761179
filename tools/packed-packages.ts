import { createHash } from "node:crypto";
import {
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { build, type Plugin } from "esbuild";
import "reflect-metadata"; // The certificates look for it when they load, here and when packed.
import { root } from "./test-files.ts";

/** Packages of many files, that many tests load. Packed together, so that what they share stays one. */
const packages = [
  "@bufbuild/protobuf",
  "@connectrpc/connect",
  "@connectrpc/connect-node",
  "@kubernetes/client-node",
  "@peculiar/x509",
  "@tufjs/models",
  "drizzle-orm",
  "fast-check",
  "jose",
  "pg",
  "pino",
  "prom-client",
  "reflect-metadata",
  "ws",
  "yaml",
];

/** What is packed shall find what is Node's own, also where it asks in the CommonJS way. */
const banner =
  'import { createRequire as makeRequire } from "node:module"; const require = makeRequire(import.meta.url);';

/**
 * Packs the packages that tests load into a few files, and returns the file that says which stands for what: `test-packages.ts` reads it.
 * A server is a thousand files of packages, and to find and read these was half of what most test files cost. Packed once for a lock file.
 */
export async function packPackages(): Promise<string> {
  const imported = importedOf(packages);
  const key = createHash("sha256").update(readFileSync(join(root, "package-lock.json")));
  const installed = join(root, "node_modules", ".package-lock.json");
  // What was installed may be older than what the lock file asks for; the list holds paths, so that it is good for one place alone.
  if (existsSync(installed)) key.update(readFileSync(installed));
  key
    .update(readFileSync(import.meta.filename))
    .update(imported.join(" "))
    .update(root);
  const all = join(root, "node_modules", ".cache", "packages");
  const current = key.digest("hex").slice(0, 16);
  const folder = join(all, current);
  const list = join(folder, "list.json");
  if (existsSync(list)) {
    markUsed(folder);
    return list;
  }
  const fresh = `${folder}.${process.pid}`;
  mkdirSync(fresh, { recursive: true });
  await pack(imported, fresh);
  writeFileSync(
    join(fresh, "list.json"),
    JSON.stringify(Object.fromEntries(imported.map((name) => [name, join(folder, fileOf(name))]))),
  );
  moveInto(fresh, folder);
  removeUnused(all);
  return list;
}

/** When a run began with it, as the time of the folder. */
function markUsed(folder: string): void {
  const now = new Date();
  utimesSync(folder, now, now);
}

const keptMs = 24 * 60 * 60_000;

/** Another run may still read what was packed for another lock file: only what no run of a day began with goes. */
export function removeUnused(all: string): void {
  const oldestMs = Date.now() - keptMs;
  for (const name of readdirSync(all)) {
    const folder = join(all, name);
    // Another run may remove the same.
    const usedMs = statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? oldestMs;
    if (usedMs < oldestMs) rmSync(folder, { recursive: true, force: true });
  }
}

/** Another run may have been faster; what it packed is the same. */
function moveInto(fresh: string, folder: string): void {
  try {
    renameSync(fresh, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** By what names our sources import them: `yaml`, `drizzle-orm/pg-core`. */
function importedOf(wanted: readonly string[]): readonly string[] {
  const names = wanted.map((name) => name.replaceAll("/", "\\/")).join("|");
  const pattern = new RegExp(`(?:from |import |import\\(|load\\()"((?:${names})(?:\\/[^"]+)?)"`, "g");
  const found = new Set<string>();
  for (const path of globSync(
    "{agent,cli,engine,layers,postgres,proto,report,server,shipper,test,trust,wire}/**/*.ts",
    { cwd: root },
  )) {
    for (const [, name = ""] of readFileSync(join(root, path), "utf8").matchAll(pattern)) found.add(name);
  }
  return [...found].sort();
}

function fileOf(name: string): string {
  return `${name.replaceAll("/", "_")}.mjs`;
}

async function pack(imported: readonly string[], folder: string): Promise<void> {
  const doors = new Map<string, string>();
  for (const name of imported) doors.set(name, await doorOf(name));
  await build({
    absWorkingDir: root,
    entryPoints: imported.map((name) => ({ in: `door:${name}`, out: fileOf(name).slice(0, -".mjs".length) })),
    outdir: folder,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    splitting: true,
    platform: "node",
    format: "esm",
    target: "node24",
    legalComments: "none",
    minifyWhitespace: true,
    banner: { js: banner },
    external: ["pg-native"], // Only looks whether it is there.
    logLevel: "warning",
    plugins: [doorsFrom(doors)],
  });
}

/** A module that exports by name what Node finds in the package, also when that is CommonJS and has no list of names. */
async function doorOf(name: string): Promise<string> {
  const names = Object.keys((await import(name)) as object).filter((each) => each !== "module.exports");
  const first = name === "@peculiar/x509" ? 'import "reflect-metadata";' : "";
  return `${first}export { ${names.join(", ")} } from ${JSON.stringify(name)};`;
}

function doorsFrom(doors: ReadonlyMap<string, string>): Plugin {
  return {
    name: "doors",
    setup(build) {
      build.onResolve({ filter: /^door:/ }, ({ path }) => ({
        path: path.slice("door:".length),
        namespace: "door",
      }));
      build.onLoad({ filter: /./, namespace: "door" }, ({ path }) => ({
        contents: doors.get(path) ?? "",
        resolveDir: root,
      }));
    },
  };
}
