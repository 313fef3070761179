import { type Stats, statSync } from "node:fs";
import { enableCompileCache } from "node:module";
import { dirname, join, resolve } from "node:path";

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Has V8 keep what it compiles for the next start, in the person's own cache folder. Not in the common one that Node would take, in the folder for
 * temporary files: what lies there is run, and somebody else might have put it there. Where there is no such folder nothing is kept.
 */
export function keepCompiled(env: Env): void {
  // Node has begun with it by itself where a folder is named.
  if ((env["NODE_COMPILE_CACHE"] ?? "") !== "") return;
  const folder = compiledFolder(env, process.getuid?.() ?? -1);
  if (folder !== undefined) enableCompileCache(folder);
}

/** Undefined where what there is of the folder that it would lie in is not the user's own, or closed to them: as under sudo and su, which may keep the variables of who calls them. */
export function compiledFolder(env: Env, uid: number): string | undefined {
  const [named, home] = [env["XDG_CACHE_HOME"] ?? "", env["HOME"] ?? ""];
  const own = named === "" ? home : named;
  if (own === "") return undefined;
  const found = nearest(resolve(own));
  const isOwn = found !== undefined && found.uid === uid && (found.mode & 0o002) === 0;
  return isOwn ? join(named === "" ? join(home, ".cache") : named, "falconry", "compiled") : undefined;
}

/** The folder, or the one in which it would be made; undefined where one may not even look. */
function nearest(folder: string): Stats | undefined {
  try {
    return statSync(folder, { throwIfNoEntry: false }) ?? nearest(dirname(folder));
  } catch {
    // Nothing that a command needs, and nothing that it has to say anything about.
    return undefined;
  }
}
