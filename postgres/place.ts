import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Account, blockedAt, chooseAccount } from "./account.ts";
import { PostgresError } from "./errors.ts";
import { removeForgotten, removeUnfinished, sharedHome } from "./shared-home.ts";

/** Where everything of one cluster is. */
export interface Place {
  /** The folder that was asked for; it holds the cluster itself or a pointer to it. */
  readonly dir: string;
  readonly data: string;
  readonly log: string;
  /** Private folder of the unix socket: whoever can enter it is a superuser of the database. */
  readonly sockets: string;
  readonly account: Account;
}

/**
 * Settles the folders of the cluster, creating what is missing; `dir` is a real path, and who asks holds its lock. When root keeps its state where
 * no other account can go (below /root, say), the cluster lives in {@link sharedHome} and `location.json` in `dir` points to it.
 */
export function settle(dir: string): Place {
  const here = join(dir, "data");
  const pointed = existsSync(here) ? undefined : readPointer(dir);
  const existing = existsSync(here) ? here : pointed && join(pointed, "data");
  const account = chooseAccount(existing);
  const blocked = blockedAt(here, account);
  if (existing === here && blocked !== undefined) {
    throw new PostgresError(
      `The database in ${here} belongs to user id ${account.uid}, who may not enter ${blocked}: ` +
        `run \`chmod o+x ${blocked}\`, then start again`,
    );
  }
  const home = pointed ?? (blocked === undefined ? dir : moveOut(dir));
  const sockets = socketFolder(home);
  makePrivate(sockets, account);
  return { dir, data: join(home, "data"), log: join(home, "postgres.log"), sockets, account };
}

function readPointer(dir: string): string | undefined {
  const file = join(dir, "location.json");
  if (!existsSync(file)) return undefined;
  let home: unknown;
  try {
    home = (JSON.parse(readFileSync(file, "utf8")) as { home?: unknown }).home;
  } catch (cause) {
    throw new PostgresError(`${file} is not readable as JSON: restore it, or remove it to begin empty`, {
      cause,
    });
  }
  if (typeof home !== "string" || !existsSync(join(home, "data"))) {
    throw new PostgresError(
      `${file} points to ${String(home)}, where no database is: restore it, or remove ${file} to begin empty`,
    );
  }
  return home;
}

function moveOut(dir: string): string {
  mkdirSync(sharedHome, { recursive: true, mode: 0o755 });
  removeForgotten();
  removeUnfinished(dir);
  const home = mkdtempSync(join(sharedHome, "postgres-"));
  chmodSync(home, 0o711);
  writeFileSync(join(home, "belongs-to"), `${dir}\n`);
  return home;
}

/** Written once the cluster exists, so that a start that failed half-way leaves no pointer to nothing. */
export function rememberPlace(place: Place): void {
  const file = join(place.dir, "location.json");
  const home = join(place.data, "..");
  if (home === place.dir || existsSync(file)) return;
  writeFileSync(`${file}.new`, `${JSON.stringify({ home })}\n`);
  renameSync(`${file}.new`, file);
}

/** After a start that failed: a home elsewhere that never held a cluster has nothing that points to it. */
export function forgetUnfinished(place: Place): void {
  if (dirname(place.data) !== place.dir) removeUnfinished(place.dir);
}

/** A unix socket's path holds 107 bytes at most; below a deep state folder it moves to the folder for temporary files. */
function socketFolder(home: string): string {
  const short = createHash("sha256").update(home).digest("hex").slice(0, 16);
  const choices = [join(home, "socket"), join(tmpdir(), `falconry-${short}`), `/tmp/falconry-${short}`];
  const fits = choices.find((path) => Buffer.byteLength(`${path}/.s.PGSQL.5432`) <= 107);
  return fits ?? `/tmp/falconry-${short}`;
}

/** Leaves nothing behind in the folder for temporary files. The next start makes the folder again. */
export function removeOutsideSockets(place: Place): void {
  if (dirname(place.sockets) !== dirname(place.data)) rmSync(place.sockets, { recursive: true, force: true });
}

/** Creates a folder that only `account` (and root) may enter, or checks that the existing one is such a folder. */
export function makePrivate(path: string, account: Account): void {
  try {
    mkdirSync(path, { mode: 0o700 });
    if (account.switchTo !== undefined) chownSync(path, account.uid, account.gid);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const { uid, mode } = lstatSync(path);
  const isOurs = lstatSync(path).isDirectory() && uid === account.uid && (mode & 0o077) === 0;
  if (isOurs) return;
  throw new PostgresError(
    `${path} must be a folder of user id ${account.uid} that nobody else may enter (mode 0700): remove it, then start again`,
  );
}
