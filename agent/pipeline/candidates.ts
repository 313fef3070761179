import * as fs from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { globMatches } from "#shipper";
import type { TailConfig } from "#shipper";
import { codeOf } from "./files.ts";

/** A file that exists and belongs to an input: what a path names now, or what it named before a rotation. */
export interface Candidate {
  readonly path: string;
  readonly base: string;
  readonly isRotated: boolean;
  readonly device: number;
  readonly inode: number;
  readonly size: number;
  readonly mtimeMs: number;
}

/**
 * All files of an input in the order in which they have to be read: rotated ones by their last write, then the ones that
 * the paths name. `bases` are paths that were seen before: their rotated files count even while the path is missing.
 */
export function listCandidates(config: TailConfig, bases: Iterable<string>): readonly Candidate[] {
  const named = config.paths.flatMap(expandGlob).filter((path) => !isExcluded(path, config));
  // In this order: whatever was rotated before a path got the file that it names is in its folder by now, so that no
  // file is ever seen without those that have to be read before it.
  const current = named.flatMap((path) => candidateOf(path, path, false));
  const plain = config.paths.filter((path) => !hasWildcard(path));
  const all = [...new Set([...named, ...plain, ...bases])];
  const rotated = all.flatMap((base) =>
    rotatedOf(base)
      .filter((path) => !isExcluded(path, config))
      .flatMap((path) => candidateOf(path, base, true)),
  );
  const found = new Map<string, Candidate>();
  // Rotated ones first: a rotated file that a glob names, too, is known by its base.
  for (const one of [...rotated, ...current]) {
    const id = `${one.device}:${one.inode}`;
    if (!found.has(id)) found.set(id, one);
  }
  return [...found.values()].sort(
    (a, b) =>
      Number(b.isRotated) - Number(a.isRotated) || a.mtimeMs - b.mtimeMs || (a.path < b.path ? -1 : 1),
  );
}

function candidateOf(path: string, base: string, isRotated: boolean): Candidate[] {
  const stat = statOf(path);
  if (stat?.isFile() !== true) return [];
  const { dev, ino, size, mtimeMs } = stat;
  return [{ path, base, isRotated, device: dev, inode: ino, size, mtimeMs }];
}

export function hasWildcard(path: string): boolean {
  return /[*?[\]{}]/.test(path);
}

export function statOf(path: string): fs.Stats | undefined {
  try {
    return fs.statSync(path);
  } catch (error) {
    if (isOutOfReach(error)) return undefined;
    throw error;
  }
}

function isOutOfReach(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR", "EACCES"].includes(codeOf(error) ?? "");
}

function expandGlob(path: string): string[] {
  return hasWildcard(path) ? fs.globSync(path) : [path];
}

function isExcluded(path: string, config: TailConfig): boolean {
  return config.excludePaths.some((pattern) => globMatches(pattern, path));
}

const compressed = /\.(?:gz|bz2|xz|zst|lz4|zip)$/;
/** What rotation puts behind a name: `.1`, `-20261122`, `.2026-11-22T10:00`. */
const numbered = /^[.-][0-9][0-9TZ:._-]*$/;
/** What the API server puts before the extension: `audit-2026-11-22T10-00-00.000.log`. */
const dated = /^-\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}(?:\.\d+)?$/;

/** Names next to `base` that rotation gives. */
function rotatedOf(base: string): string[] {
  const name = basename(base);
  const extension = extname(name);
  const stem = name.slice(0, name.length - extension.length);
  let names: string[];
  try {
    names = fs.readdirSync(dirname(base));
  } catch (error) {
    if (isOutOfReach(error)) return [];
    throw error;
  }
  return names
    .filter(
      (other) => other !== name && !compressed.test(other) && isRotatedName(other, name, stem, extension),
    )
    .map((other) => join(dirname(base), other));
}

function isRotatedName(other: string, name: string, stem: string, extension: string): boolean {
  if (other.startsWith(name) && numbered.test(other.slice(name.length))) return true;
  if (!other.startsWith(stem) || !other.endsWith(extension)) return false;
  const middle = other.slice(stem.length, other.length - extension.length);
  return dated.test(middle) || (extension !== "" && numbered.test(middle));
}
