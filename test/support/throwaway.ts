import { chmodSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import { type EmbeddedPostgres, startPostgres } from "#postgres";
import { migrate } from "../../server/store/migrate.ts";

/** A Postgres for tests: fast instead of durable, gone after the run, with a migrated database to clone. */
export interface Throwaway {
  readonly url: string;
  readonly stop: () => Promise<void>;
}

export const templateName = "falconry_template";

const fast = {
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  autovacuum: "off",
  max_connections: "200",
  shared_buffers: "64MB",
  // All there is to read lies in memory: to hand reads to other processes only costs.
  io_method: "sync",
};

export async function startThrowaway(): Promise<Throwaway> {
  await sweep();
  const dir = mkdtempSync(join(tmpdir(), `falconry-test-${process.pid}-`));
  chmodSync(dir, 0o711); // As root, the cluster belongs to another account, which has to get there.
  const postgres = await startPostgres({ dir, settings: fast });
  const removeAtExit = (): void => removeNow(postgres, dir);
  process.once("exit", removeAtExit);
  await migrateTemplate(postgres.url);
  return {
    url: postgres.url,
    stop: async () => {
      await postgres.stop();
      process.off("exit", removeAtExit);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** The last chance when the process leaves without {@link Throwaway.stop}: nothing in it is worth an orderly end. */
function removeNow(postgres: EmbeddedPostgres, dir: string): void {
  if (postgres.pid !== undefined) process.kill(postgres.pid, "SIGQUIT");
  rmSync(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
}

/** Ends what killed test runs left behind. */
async function sweep(): Promise<void> {
  for (const dir of globSync(join(tmpdir(), "falconry-test-*-*"))) {
    const owner = Number(/falconry-test-(\d+)-/.exec(dir)?.[1]);
    if (!existsSync(`/proc/${owner}`)) {
      const pidFile = join(dir, "data", "postmaster.pid");
      const pid = existsSync(pidFile) ? Number(readFileSync(pidFile, "utf8").split("\n", 1)[0]) : 0;
      const words = pid > 1 && existsSync(`/proc/${pid}`) ? readFileSync(`/proc/${pid}/cmdline`, "utf8") : "";
      if (words.includes(join(dir, "data"))) process.kill(pid, "SIGQUIT");
      rmSync(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    }
  }
}

async function migrateTemplate(url: string): Promise<void> {
  await withClient(url, (client) => client.query(`create database ${templateName}`));
  await migrate(databaseUrl(url, templateName));
  // The first connection to a database writes down what it learns of the catalog. Clones take that along.
  await withClient(databaseUrl(url, templateName), (client) => client.query("select 1"));
}

/** The same server, another database. */
export function databaseUrl(url: string, name: string): string {
  return url.replace("/falconry?", `/${name}?`);
}

/** Runs `work` on a connection of its own, and closes it. */
export async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
