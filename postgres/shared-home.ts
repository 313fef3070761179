import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Folders that only root writes: used when the account of Postgres cannot reach a place in the checkout. */
export const sharedHome = "/var/lib/falconry";

/** Stopped clusters of temporary state folders that are gone. Those of lasting folders stay: a disk may be unmounted. */
export function removeForgotten(): void {
  for (const { home, owner } of homes()) {
    const isTemporary = [tmpdir(), "/tmp", "/var/tmp"].some((folder) => owner.startsWith(`${folder}/`));
    if (isTemporary && !existsSync(owner) && !runs(home)) rmSync(home, { recursive: true, force: true });
  }
}

/** What starts of a state folder left that ended before there was a cluster: no start would find it again. */
export function removeUnfinished(dir: string): void {
  for (const { home, owner } of homes()) {
    if (owner === dir && !existsSync(join(home, "data"))) rmSync(home, { recursive: true, force: true });
  }
}

/** Clusters that once belonged to a state folder which has another one now: somebody removed the folder and began anew. */
export function olderHomes(dir: string, current: string): readonly string[] {
  return homes().flatMap(({ home, owner }) => (owner === dir && home !== current ? [home] : []));
}

function homes(): readonly { readonly home: string; readonly owner: string }[] {
  if (!existsSync(sharedHome)) return [];
  return readdirSync(sharedHome).flatMap((name) => {
    const home = join(sharedHome, name);
    const note = join(home, "belongs-to");
    if (!name.startsWith("postgres-") || !existsSync(note)) return [];
    return [{ home, owner: readFileSync(note, "utf8").trim() }];
  });
}

/** Whether a postmaster works there. One that was killed leaves the file that names it. */
function runs(home: string): boolean {
  const data = join(home, "data");
  const file = join(data, "postmaster.pid");
  if (!existsSync(file)) return false;
  const [pid = ""] = readFileSync(file, "utf8").split("\n", 1);
  try {
    // The number may be another process's by now; only a postmaster works in this folder.
    return readlinkSync(`/proc/${pid}/cwd`) === data;
  } catch {
    return false;
  }
}
