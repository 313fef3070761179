import { createHash } from "node:crypto";
import { cpSync, existsSync, globSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./test-files.ts";

/**
 * `npm run console`: builds the console into web/dist, where a server that runs from the sources finds it, unless what it is made of is
 * what it was. `npm start` and the tests do the same.
 */
export const consoleDist = join(root, "web", "dist");
const stampFile = join(consoleDist, ".stamp");

/**
 * A hash of everything that goes in: our sources, and the packages by their locked versions. To be taken before a build, which may miss what
 * is changed meanwhile.
 */
export function consoleStamp(): string {
  const hash = createHash("sha256");
  const rooms = ["proto/gen/**/*.ts", "report/*.ts", "engine/**/*.ts"];
  const places = ["web/**/*.{ts,tsx,css,html,js,svg}", ...rooms, "package-lock.json"];
  const sources = globSync(places, { cwd: root, exclude: ["web/dist/**"] });
  for (const path of sources.sort()) hash.update(path).update(readFileSync(join(root, path)));
  return hash.digest("hex");
}

/** Builds the console if it has to be built; true when it was. */
export async function buildConsole(): Promise<boolean> {
  const wanted = consoleStamp();
  if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === wanted) return false;
  const { bundleConsole } = await import("./bundle/console.ts");
  await bundleConsole(root, consoleDist);
  writeFileSync(stampFile, wanted);
  return true;
}

/** Takes a console that has just been built into another folder, and what {@link consoleStamp} was before that. */
export function takeConsole(from: string, stamp: string): void {
  rmSync(consoleDist, { recursive: true, force: true });
  cpSync(from, consoleDist, { recursive: true });
  writeFileSync(stampFile, stamp);
}

if (import.meta.main) await buildConsole();
