import { readFileSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { PostgresError } from "./errors.ts";

/** The operating system account that owns the database's files and runs its processes. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
  /** Set when we are root and processes have to be started as somebody else. */
  readonly switchTo: { readonly uid: number; readonly gid: number } | undefined;
}

/**
 * Postgres refuses to run as root. As root we take the owner of an existing cluster, so that a state folder may be
 * used by its owner and by root in turns, else the account `postgres`, else `nobody`.
 */
export function chooseAccount(existingData: string | undefined): Account {
  const uid = process.getuid?.() ?? -1;
  const gid = process.getgid?.() ?? -1;
  const owner = existingData === undefined ? undefined : statSync(existingData);
  if (uid !== 0) {
    if (owner !== undefined && owner.uid !== uid) {
      throw new PostgresError(
        `The database in ${existingData} belongs to user id ${owner.uid}, and this is user id ${uid}: ` +
          "start as that user or as root, or choose another state folder",
      );
    }
    return { uid, gid, switchTo: undefined };
  }
  const other = owner !== undefined && owner.uid !== 0 ? { uid: owner.uid, gid: owner.gid } : servant();
  return { ...other, switchTo: other };
}

function servant(): { uid: number; gid: number } {
  const rows = readFileSync("/etc/passwd", "utf8").split("\n");
  for (const name of ["postgres", "nobody"]) {
    const fields = rows.find((row) => row.startsWith(`${name}:`))?.split(":");
    const uid = Number(fields?.[2]);
    const gid = Number(fields?.[3]);
    if (Number.isInteger(uid) && uid > 0 && Number.isInteger(gid)) return { uid, gid };
  }
  throw new PostgresError(
    "Postgres does not run as root, and /etc/passwd has neither `postgres` nor `nobody`: " +
      "add one (useradd --system postgres), or start as an ordinary user",
  );
}

/** The first folder on the way to `path` that `account` may not pass, or undefined when it can get there. */
export function blockedAt(path: string, account: Account): string | undefined {
  const parents: string[] = [];
  for (let at = path; at !== dirname(at); at = dirname(at)) parents.unshift(dirname(at));
  return parents.find((folder) => !may(folder, account, 0o1));
}

/** Whether the mode bits of `path` grant `account` the wanted right (1 pass, 4 read). Access lists are not looked at. */
export function may(path: string, account: Account, right: 0o1 | 0o4): boolean {
  if (account.switchTo === undefined) return true; // Our own account: the attempt itself tells.
  const { mode, uid, gid } = statSync(path);
  const shift = uid === account.uid ? 6 : gid === account.gid ? 3 : 0;
  return ((mode >> shift) & right) !== 0;
}
