import * as fs from "node:fs";
import { basename, dirname, join, matchesGlob } from "node:path";
import { shellMatches } from "#shipper";
import type { TailConfig } from "#shipper";
import { codeOf, reasonOf } from "./files.ts";
import { isPacked, namesBeforeRotation } from "./rotated-names.ts";

/** A file that exists and belongs to an input: what a path names now, or what it named before. */
export interface Candidate {
  /** Where it is: a real path, without links. */
  readonly path: string;
  /** The path as the config names it. */
  readonly base: string;
  readonly isRotated: boolean;
  readonly isPacked: boolean;
  readonly device: number;
  readonly inode: number;
  readonly size: number;
  readonly mtimeMs: number;
}

/** A file that was seen before, and where. */
export interface Seen {
  readonly path: string;
  readonly base: string;
}

export interface Listing {
  /** In the order in which they have to be read: rotated ones by their last write, then the ones that the paths name. */
  readonly candidates: readonly Candidate[];
  /** Folders that could not be looked into: what was in them may still be there. */
  readonly unreadable: ReadonlyMap<string, string>;
}

/**
 * All files of an input. What was `seen` before is looked for in the same place and under the names that rotation gives,
 * even while the path that it belongs to names nothing, or a link that was it leads to another file.
 */
export function listCandidates(config: TailConfig, seen: readonly Seen[]): Listing {
  const look = new Look();
  const named = config.paths
    .flatMap((path) => (hasWildcard(path) ? look.glob(path) : [path]))
    .filter((path) => !isExcluded(path, config) && !isPacked(path));
  // In this order: whatever was rotated before a path got the file that it names is in its folder by now, so that no
  // file is ever seen without those that have to be read before it.
  const current = named.flatMap((path) => {
    const real = look.real(path);
    const found = real === undefined ? [] : look.candidate(real, path, false);
    if (real !== undefined && found.length === 0 && !hasWildcard(path)) {
      look.unreadable.set(path, "it is no file");
    }
    return found;
  });
  const places = new Map<string, string>();
  for (const path of config.paths) if (!hasWildcard(path)) places.set(path, path);
  const known = seen.filter(({ path, base }) => !isExcluded(path, config) && !isExcluded(base, config));
  for (const { path, base } of known) places.set(path, base).set(base, base);
  for (const { path, base } of current) places.set(path, base).set(base, base);
  // A file that came and was rotated between two looks left nothing that the glob names.
  for (const base of config.paths.flatMap((path) => (hasWildcard(path) ? look.basesOfRotated(path) : []))) {
    if (!isExcluded(base, config) && !isPacked(base) && !places.has(base)) places.set(base, base);
  }
  const rotated = look.rotated(places).filter(({ path }) => !isExcluded(path, config));
  // Where a link led before, there may be a file that came after the one that was seen there.
  const found = new Set([...rotated, ...current].map(({ path }) => path));
  const remembered = known
    .filter(({ path }) => !found.has(path))
    .flatMap(({ path, base }) => look.candidate(path, base, true));
  return { candidates: inOrder([...rotated, ...current, ...remembered]), unreadable: look.unreadable };
}

/** Each file once. Rotated ones first: a rotated file that a glob names, too, is known by its base. */
function inOrder(all: readonly Candidate[]): readonly Candidate[] {
  const found = new Map<string, Candidate>();
  for (const one of all) {
    const id = `${one.device}:${one.inode}`;
    if (!found.has(id)) found.set(id, one);
  }
  return [...found.values()].sort(
    (a, b) =>
      Number(b.isRotated) - Number(a.isRotated) || a.mtimeMs - b.mtimeMs || (a.path < b.path ? -1 : 1),
  );
}

/** Whether a path of a config, which may be a glob, names a base. */
export function isNamedBy(base: string, path: string): boolean {
  return path === base || (hasWildcard(path) && matchesGlob(base, path));
}

export function hasWildcard(path: string): boolean {
  return /[*?[\]{}]/.test(path);
}

/** What a path names, links followed; undefined when that is nothing, `unknown` while that cannot be told. */
export function whatIs(path: string): fs.Stats | "unknown" | undefined {
  try {
    return fs.statSync(path);
  } catch (error) {
    return isMissing(error) || codeOf(error) === "ELOOP" ? undefined : "unknown";
  }
}

function isMissing(error: unknown): boolean {
  return codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR";
}

function isExcluded(path: string, config: TailConfig): boolean {
  return config.excludePaths.some((pattern) => shellMatches(pattern, path));
}

/** One look at the file system; each folder is read once. Other errors than that something is missing are kept. */
class Look {
  readonly unreadable = new Map<string, string>();

  glob(pattern: string): string[] {
    const parts = pattern.split("/");
    const folder = parts.slice(0, parts.findIndex(hasWildcard)).join("/") || "/";
    // A glob of a folder that may not be read is empty, and says nothing.
    this.#try(folder, () => fs.accessSync(folder, fs.constants.R_OK | fs.constants.X_OK));
    return fs.globSync(pattern);
  }

  /** What a glob would name if rotation had not put something behind the name. */
  basesOfRotated(pattern: string): string[] {
    // One that ends so names rotated files by itself.
    if (pattern.endsWith("*")) return [];
    return fs.globSync(`${pattern}*`).flatMap((path) => {
      const before = namesBeforeRotation(basename(path)).map((name) => join(dirname(path), name));
      return before.filter((base) => matchesGlob(base, pattern));
    });
  }

  real(path: string): string | undefined {
    return this.#try(path, () => fs.realpathSync(path));
  }

  candidate(path: string, base: string, isRotated: boolean): Candidate[] {
    const stat = this.#try(path, () => fs.lstatSync(path));
    if (stat?.isFile() !== true) return [];
    const { dev, ino, size, mtimeMs } = stat;
    return [{ path, base, isRotated, isPacked: isPacked(path), device: dev, inode: ino, size, mtimeMs }];
  }

  /** What stands next to these paths under a name that rotation gives. */
  rotated(places: ReadonlyMap<string, string>): Candidate[] {
    const folders = new Map<string, Map<string, string>>();
    for (const [path, base] of places) {
      const real = this.#try(dirname(path), () => fs.realpathSync(dirname(path)));
      if (real === undefined) continue;
      const names = folders.get(real) ?? new Map<string, string>();
      folders.set(real, names.set(basename(path), base));
    }
    return [...folders].flatMap(([folder, bases]) => {
      const names = this.#try(folder, () => fs.readdirSync(folder)) ?? [];
      return names.flatMap((name) => {
        const before = namesBeforeRotation(name).find((one) => bases.has(one) && one !== name);
        const base = before === undefined ? undefined : bases.get(before);
        return base === undefined ? [] : this.candidate(join(folder, name), base, true);
      });
    });
  }

  #try<T>(path: string, look: () => T): T | undefined {
    try {
      return look();
    } catch (error) {
      // Links that lead in a circle lead nowhere.
      if (!isMissing(error) && codeOf(error) !== "ELOOP") this.unreadable.set(path, reasonOf(error));
      return undefined;
    }
  }
}
