import { Client } from "pg";

import { withClient } from "../../support/throwaway.ts";

/** One change of a rollout, of one of its clusters or of an assignment, in the order in which they were committed. */
export interface Entry {
  /** Epoch milliseconds. */
  readonly atMs: number;
  /** The server that wrote it. */
  readonly who: string;
  readonly what: "assignment" | "cluster" | "rollout";
  /** The rollout that it belongs to; of an assignment, the one that it is under now. */
  readonly rolloutId: string;
  /** Empty for the rollout itself. */
  readonly clusterId: string;
  /** Of a cluster and of a rollout. */
  readonly state: string;
  /** Of a rollout: the wave in work. Of a cluster: its wave. */
  readonly wave: number;
  /** Of an assignment. */
  readonly generation: bigint;
  readonly digest: string;
}

/**
 * A table beside the product's own, which the database itself fills by triggers within each server's transactions: what was
 * rolled back is not in it, and no server can forget to write. Servers are told apart by the name of their connections.
 */
const setUp = `
  create schema ledger;
  create table ledger.entries (
    n bigserial primary key, at timestamptz not null default clock_timestamp(),
    who text not null default current_setting('application_name'),
    what text not null, rollout_id text not null, cluster_id text not null default '', state text not null default '',
    wave integer not null default 0, generation bigint not null default 0, digest text not null default '');
  create function ledger.note() returns trigger language plpgsql as $$
  begin
    if tg_table_name = 'assignments' then
      insert into ledger.entries (what, rollout_id, cluster_id, generation, digest)
        values ('assignment', coalesce(new.rules_rollout_id, ''), new.cluster_id, new.generation, coalesce(new.rules_digest, ''));
    elsif tg_table_name = 'rollout_clusters' then
      insert into ledger.entries (what, rollout_id, cluster_id, state, wave)
        values ('cluster', new.rollout_id, new.cluster_id, new.state, new.wave);
    else
      insert into ledger.entries (what, rollout_id, state, wave) values ('rollout', new.id, new.state, new.wave);
    end if;
    perform pg_notify('ledger', current_setting('application_name'));
    return null;
  end $$;
  create trigger note after insert or update on assignments for each row execute function ledger.note();
  create trigger note after update on rollout_clusters for each row execute function ledger.note();
  create trigger note after update on rollouts for each row execute function ledger.note();`;

/** What the servers wrote, and a bell that rings with each of their commits. */
export interface Ledger {
  /** Calls back with the server that committed, until the answer is called. */
  onCommit(ring: (who: string) => void): () => void;
  /** The entries of a rollout, and all assignments that were written since it began, whoever they belong to. */
  entriesOf(rolloutId: string): Promise<readonly Entry[]>;
  close(): Promise<void>;
}

export async function openLedger(url: string): Promise<Ledger> {
  await withClient(url, (client) => client.query(setUp));
  const listener = new Client({ connectionString: url });
  await listener.connect();
  await listener.query("listen ledger");
  const bells = new Set<(who: string) => void>();
  listener.on("notification", ({ payload }) => {
    for (const ring of bells) ring(payload ?? "");
  });
  return {
    onCommit: (ring) => {
      bells.add(ring);
      return () => bells.delete(ring);
    },
    entriesOf: async (rolloutId) => {
      const { rows } = await listener.query<Record<string, string>>(
        `select *, (extract(epoch from at) * 1000)::float8 as at_ms from ledger.entries
         where rollout_id = $1 or (what = 'assignment'
           and n > (select min(n) from ledger.entries where rollout_id = $1)) order by n`,
        [rolloutId],
      );
      return rows.map((row): Entry => ({
        atMs: Number(row["at_ms"]),
        who: row["who"] ?? "",
        what: row["what"] as Entry["what"],
        rolloutId: row["rollout_id"] ?? "",
        clusterId: row["cluster_id"] ?? "",
        state: row["state"] ?? "",
        wave: Number(row["wave"]),
        generation: BigInt(row["generation"] ?? 0),
        digest: row["digest"] ?? "",
      }));
    },
    close: () => listener.end(),
  };
}
