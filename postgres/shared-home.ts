import {
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  type Stats,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Folders that only root writes: used when the account of Postgres cannot reach a place in the checkout. */
export const sharedHome = "/var/lib/falconry";

/** What a start makes before there is a cluster. */
const unfinished: ReadonlySet<string> = new Set(["belongs-to", "socket", "data.new"]);

/** Postgres touches the lock of its socket every 58 minutes. */
const silentMs = 86_400_000;

/** Stopped clusters of temporary state folders that are gone. Those of lasting folders stay: a disk may be unmounted. */
export function removeForgotten(shared: string = sharedHome): void {
  for (const { home, owner } of homes(shared)) {
    const isTemporary = [tmpdir(), "/tmp", "/var/tmp"].some((folder) => owner.startsWith(`${folder}/`));
    if (isTemporary && !existsSync(owner) && !mayRun(home)) rmSync(home, { recursive: true, force: true });
  }
}

/**
 * What starts of a state folder left that ended before there was a cluster: no start would find it again. A home that holds anything else stays, also without
 * a cluster: somebody may have moved that aside.
 */
export function removeUnfinished(dir: string, shared: string = sharedHome): void {
  for (const { home, owner, holds } of homes(shared)) {
    if (owner !== dir || !holds.every((name) => unfinished.has(name))) continue;
    rmSync(home, { recursive: true, force: true });
  }
}

/** Homes that once belonged to a state folder which has another one now: somebody removed the folder and began anew. */
export function olderHomes(dir: string, current: string, shared: string = sharedHome): readonly string[] {
  return homes(shared).flatMap(({ home, owner }) => (owner === dir && home !== current ? [home] : []));
}

interface Home {
  readonly home: string;
  /** The state folder that it was made for. */
  readonly owner: string;
  /** Names of what is in it. */
  readonly holds: readonly string[];
}

/** Without those that are not to be read: not ours, or just being made or removed by another start. */
function homes(shared: string): readonly Home[] {
  const names = readable(() => readdirSync(shared)) ?? [];
  return names.flatMap((name) => {
    const home = join(shared, name);
    const owner = readable(() => readFileSync(join(home, "belongs-to"), "utf8").trim());
    const holds = readable(() => readdirSync(home));
    if (!name.startsWith("postgres-") || owner === undefined || holds === undefined) return [];
    return [{ home, owner, holds }];
  });
}

/** Whether a postmaster works there, as far as one can tell. One that was killed leaves the file that names it. */
function mayRun(home: string): boolean {
  const data = join(home, "data");
  const file = join(data, "postmaster.pid");
  if (!existsSync(file)) return false;
  const pid = readable(() => readFileSync(file, "utf8").split("\n", 1)[0]);
  // The number may be another process's by now; only a postmaster works in this folder.
  const worksIn = readable(() => readlinkSync(`/proc/${pid}/cwd`));
  if (worksIn !== undefined && worksIn === readable(() => realpathSync(data))) return true;
  // Or another's number is what we see, as a container has numbers of its own: then it shows by what it touches.
  const touched = [file, join(home, "socket", ".s.PGSQL.5432.lock")].map(
    (path) => readable<Stats>(() => statSync(path))?.mtimeMs ?? 0,
  );
  return Date.now() - Math.max(...touched) < silentMs;
}

/** Undefined when it cannot be read. */
function readable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
