import assert from "node:assert/strict";

import type { TestDatabase } from "../../test/support/postgres.ts";
import { usualSpec } from "../../test/support/rollout-world.ts";
import type { Rollout } from "../domain/rollout.ts";
import type { RolloutSpec } from "../domain/rollout-spec.ts";
import { makeId, type Digest } from "../domain/ids.ts";
import { planRollout } from "../domain/rollout-plan.ts";
import { wholeFleet } from "../domain/scope.ts";
import { insertRollout } from "../store/rollouts.ts";
import { readFleet } from "../store/fleet.ts";
import { sql } from "../store/drizzle.ts";
import { testLoader } from "../testing.ts";
import type { PendingTools } from "./pending.ts";

/** Rollouts that nobody has to approve. */
export const nobodyAsked: PendingTools = {
  approvals: { labels: [], lifeMs: 0 },
  loader: testLoader,
  note: async () => {},
};

export const digest = `sha256:${"b".repeat(64)}` as Digest;
export const clock = () => new Date();
const spec: RolloutSpec = {
  ...usualSpec,
  growth: 1,
};

/** Clusters with an agent each that is heard of, a bundle, and a rollout of it in waves of one. */
export async function seed(db: TestDatabase, count: number, more: Partial<Rollout> = {}): Promise<Rollout> {
  await db.execute(sql`insert into bundles (digest, kind, name, version, target_path, length, content, targets_version,
    pushed_at, pushed_by) values (${digest}, 'rules', 'starter', '1.0.0', 'p', 1, '\\x00', 1, now(), 'test')`);
  await db.execute(sql`insert into clusters (id, name, uid, labels, created_at)
    select 'cl_' || n, 'eu-' || lpad(n::text, greatest(2, length(n::text)), '0'), 'uid-' || n, '{"region":"eu"}', now() from generate_series(1, ${count}::int) n`);
  await db.execute(sql`insert into agents (id, cluster_id, name, public_key, certificate_serial, certificate_expires_at,
    created_at, last_seen_at)
    select 'ag_' || n, 'cl_' || n, 'node-1', '\\x00', '', now(), now(), now() from generate_series(1, ${count}::int) n`);
  const plan = planRollout(spec, digest, await readFleet(db, wholeFleet, "rules", clock()));
  assert.ok(plan.ok);
  const rollout: Rollout = {
    id: makeId("rollout", new Uint8Array(10)),
    spec,
    digest,
    state: "running",
    because: "",
    wave: 0,
    generation: 1n,
    planDigest: "",
    waves: plan.value.waves.map(({ name }) => ({ name })),
    createdBy: "test",
    scope: wholeFleet,
    createdAtMs: Date.now(),
    ...more,
  };
  await db.transaction((tx) => insertRollout(tx, rollout, plan.value, ""));
  return rollout;
}

/** What agents do: everybody proves what they are assigned. */
export async function prove(db: TestDatabase): Promise<void> {
  await db.execute(sql`insert into agent_components (agent_id, kind, running_digest, proved_generation, proved_at)
    select g.id, 'rules', a.rules_digest, a.generation, now() from agents g join assignments a using (cluster_id)
    on conflict (agent_id, kind) do update set running_digest = excluded.running_digest,
      proved_generation = excluded.proved_generation, proved_at = excluded.proved_at`);
}
