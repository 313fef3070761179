import assert from "node:assert/strict";
import { test } from "node:test";

import { sql } from "../store/drizzle.ts";
import { buildBundle } from "#trust";

import { freshDatabase, type TestDatabase } from "../../test/support/postgres.ts";
import { parseGates } from "../domain/gates/gate.ts";
import { makeId, type Digest } from "../domain/ids.ts";
import { planResume } from "../domain/rollout-decisions.ts";
import { planRollout } from "../domain/rollout-plan.ts";
import type { RolloutSpec } from "../domain/rollout-spec.ts";
import { stepRollout, type Rollout } from "../domain/rollout.ts";
import { wholeFleet } from "../domain/scope.ts";
import { readFleet } from "../store/fleet.ts";
import { countAlertsByRule, readMinutes, type Window } from "../store/gate-facts.ts";
import { readRolloutSnapshot } from "../store/rollout-clusters.ts";
import { commitRollout } from "../store/rollout-commits.ts";
import { listVerdicts } from "../store/rollout-gates.ts";
import { findRollout, insertRollout } from "../store/rollouts.ts";
import { reconcileRollouts } from "./rollouts.ts";
import { nobodyAsked } from "./testing.ts";

const minute = 60_000;
/** Three minutes past a whole hour, when the rollout starts. */
const startMs = Date.parse("2026-03-04T12:03:10Z");
const gates = parseGates([], 600);
assert.ok(gates.ok);
const spec: RolloutSpec = {
  kind: "rules",
  bundle: "",
  selector: [{ key: "region", operator: "in", values: ["eu"] }],
  canary: 2,
  growth: 1,
  regionOrder: [],
  failuresMax: 1,
  soakSeconds: 420,
  deadlineSeconds: 300,
  onFailure: "roll-back",
  gates: gates.value,
};

const rule = (name: string) =>
  `- rule: ${name}\n  desc: x\n  condition: ka.verb = get\n  output: x\n  priority: INFO\n  source: k8s_audit\n`;

function bundle(version: string) {
  const files = [{ path: "rules.yaml", content: `${rule("steady")}${rule("loud")}` }];
  const built = buildBundle({ org: "default", kind: "rules", name: "starter", version, files, layers: [] });
  assert.ok(built.ok);
  return built.value;
}

/** Four clusters of region eu and six others, which have run a bundle for a day, and a rollout of the next to eu. */
class Fleet {
  readonly db: TestDatabase;
  nowMs = startMs;
  rollout: Rollout;
  readonly clock = (): Date => new Date(this.nowMs);

  private constructor(db: TestDatabase, rollout: Rollout) {
    this.db = db;
    this.rollout = rollout;
  }

  static async start(db: TestDatabase, change: Partial<RolloutSpec> = {}): Promise<Fleet> {
    const [before, after] = [bundle("1.0.0"), bundle("1.1.0")];
    const old = `sha256:${before.target.sha256}`;
    for (const { bytes, target } of [before, after]) {
      await db.execute(sql`insert into bundles (digest, kind, name, version, target_path, length, content,
        targets_version, pushed_at, pushed_by) values (${`sha256:${target.sha256}`}, 'rules', 'starter', ${target.path},
        ${target.path}, 1, ${Buffer.from(bytes)}, 1, now(), 'test')`);
    }
    await db.execute(sql`insert into trust_metadata (role, version, body, expires_at, published_at)
      values ('targets', 1, '\\x00', now(), now())`);
    const at = new Date(startMs - 24 * 60 * minute).toISOString();
    await db.execute(sql`insert into clusters (id, name, uid, labels, created_at)
      select 'cl_' || n, 'c-' || to_char(n, 'FM00'), 'uid-' || n,
        jsonb_build_object('region', case when n <= 4 then 'eu' else 'us' end), ${at}::timestamptz
      from generate_series(1, 10) n`);
    await db.execute(sql`insert into agents (id, cluster_id, name, public_key, certificate_serial,
        certificate_expires_at, created_at)
      select 'ag_' || n, 'cl_' || n, 'node-1', '\\x00', '', now(), ${at}::timestamptz from generate_series(1, 10) n`);
    await db.execute(sql`insert into assignments (cluster_id, generation, rules_digest, changed_at)
      select 'cl_' || n, 1, ${old}, ${at}::timestamptz from generate_series(1, 10) n`);
    const chosen = { ...spec, ...change };
    const plan = planRollout(
      chosen,
      `sha256:${after.target.sha256}` as Digest,
      await readFleet(db, wholeFleet, "rules", new Date(startMs)),
    );
    assert.ok(plan.ok);
    const rollout: Rollout = {
      id: makeId("rollout", new Uint8Array(10)),
      spec: chosen,
      digest: plan.value.digest,
      state: "running",
      because: "",
      wave: 0,
      generation: 1n,
      planDigest: "",
      waves: plan.value.waves.map(({ name }, i) => ({ name, ...(i === 0 ? { startedAtMs: startMs } : {}) })),
      createdBy: "test",
      scope: wholeFleet,
      createdAtMs: startMs,
    };
    await db.transaction((tx) => insertRollout(tx, rollout, plan.value, ""));
    return new Fleet(db, rollout);
  }

  /** Agents are heard of and prove what they are assigned, those that are named excepted. */
  async prove(...except: readonly string[]): Promise<void> {
    const at = this.clock().toISOString();
    await this.db.execute(sql`update agents set last_seen_at = ${at}::timestamptz`);
    await this.db.execute(sql`
      insert into agent_components (agent_id, kind, running_digest, running_since, proved_generation, proved_at)
      select g.id, 'rules', a.rules_digest, ${at}::timestamptz, a.generation, ${at}::timestamptz
      from agents g join assignments a using (cluster_id)
      where g.cluster_id <> all(${sql.param(except)}::text[])
      on conflict (agent_id, kind) do update set running_digest = excluded.running_digest,
        running_since = excluded.running_since, proved_generation = excluded.proved_generation
      where agent_components.running_digest <> excluded.running_digest
        or agent_components.proved_generation <> excluded.proved_generation`);
  }

  /** Rates and alerts of each minute of some clusters; `steady` fires once a minute, `loud` five times. */
  async live(
    clusters: readonly number[],
    fromMs: number,
    toMs: number,
    steady = 1,
    events = 600,
  ): Promise<void> {
    const [from, to] = [fromMs, toMs].map((ms) => new Date(Math.floor(ms / minute) * minute).toISOString());
    await this.db.execute(sql`insert into rates
      select 'ag_' || n, 'cl_' || n, m, ${events}::int, 1000, ${steady}::int + 5, 0, 0, 500, ${events}::int * 30, 60
      from unnest(${sql.param(clusters)}::int[]) n,
        generate_series(${from}::timestamptz, ${to}::timestamptz - interval '1 s', interval '1 minute') m`);
    await this.db
      .execute(sql`insert into alerts (id, time, received_at, cluster_id, agent_id, rule, priority, source,
        output, body, rules_digest)
      select md5(n || ' ' || m || ' ' || i), m + i * interval '100 ms', m, 'cl_' || n, 'ag_' || n,
        case when i <= ${steady}::int then 'steady' else 'loud' end, 6, 'k8s_audit', '', '{}', ''
      from unnest(${sql.param(clusters)}::int[]) n,
        generate_series(${from}::timestamptz, ${to}::timestamptz - interval '1 s', interval '1 minute') m,
        generate_series(1, ${steady}::int + 5) i`);
  }

  async step(): Promise<void> {
    for (let i = 0; i < 5; i += 1) await reconcileRollouts(this.db, this.clock, nobodyAsked);
    const found = await findRollout(this.db, wholeFleet, this.rollout.id);
    assert.ok(found.ok);
    this.rollout = found.value;
  }

  async states(): Promise<readonly string[]> {
    const { rows } = await this.db.execute<{ state: string }>(
      sql`select state from rollout_clusters order by cluster_id`,
    );
    return rows.map(({ state }) => state);
  }

  async verdicts(wave = 0): Promise<Readonly<Record<string, string>>> {
    const verdicts = (await listVerdicts(this.db, this.rollout)).get(wave) ?? [];
    return Object.fromEntries(verdicts.map(({ gate, state }) => [gate, state]));
  }
}

const everybody = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
const outside = everybody.slice(2);

/** A day's past, the canaries assigned and proved. */
async function started(db: TestDatabase, change: Partial<RolloutSpec> = {}): Promise<Fleet> {
  const fleet = await Fleet.start(db, change);
  await fleet.live(everybody, startMs - 180 * minute, startMs + minute);
  await fleet.prove();
  await fleet.step();
  await fleet.prove();
  await fleet.step();
  return fleet;
}

test("a wave that does what it did passes its gates after the soak, and not before", async (t) => {
  const fleet = await started(await freshDatabase(t));
  await fleet.live(everybody, startMs + minute, startMs + 8 * minute);
  fleet.nowMs = startMs + 6 * minute;
  await fleet.prove();
  await fleet.step();
  assert.equal(fleet.rollout.wave, 0);
  fleet.nowMs = startMs + 7.5 * minute;
  await fleet.prove();
  await fleet.step();
  assert.deepEqual(
    await fleet.verdicts(),
    Object.fromEntries(gates.value.map(({ name }) => [name, "holds"])),
  );
  assert.deepEqual(await fleet.states(), ["proved", "proved", "assigned", "assigned"]);
});

test("a cluster that joined minutes before it was given the bundle is judged by limits, and holds no wave up for a past that never comes", async (t) => {
  // To a cluster without a past every rule is new, also one that fires five times a minute.
  const limits = parseGates([{ name: "new-alerts", limit: "400/h", off: false }], 600);
  assert.ok(limits.ok);
  const fleet = await Fleet.start(await freshDatabase(t), { gates: limits.value });
  await fleet.live([1, ...outside], startMs - 180 * minute, startMs + minute);
  await fleet.live([2], startMs - 5 * minute, startMs + minute);
  await fleet.prove();
  await fleet.step();
  await fleet.prove();
  await fleet.step();
  await fleet.live(everybody, startMs + minute, startMs + 8 * minute);
  fleet.nowMs = startMs + 7.5 * minute;
  await fleet.prove();
  await fleet.step();
  assert.deepEqual(await fleet.states(), ["proved", "proved", "assigned", "assigned"]);
});

test("a rule that floods stops the rollout while it soaks, and sends back also what is on its way", async (t) => {
  const fleet = await started(await freshDatabase(t), { canary: 3, deadlineSeconds: 600 });
  // The third canary has not proved: its apply is in flight when the other two turn out bad.
  await fleet.db.execute(
    sql`update rollout_clusters set state = 'assigned', proved_at = null where cluster_id = 'cl_3'`,
  );
  await fleet.db.execute(sql`delete from agent_components where agent_id = 'ag_3'`);
  await fleet.live([1, 2], startMs + minute, startMs + 7 * minute, 30);
  await fleet.live(outside, startMs + minute, startMs + 7 * minute);
  fleet.nowMs = startMs + 6.5 * minute;
  await fleet.prove("cl_3");
  await fleet.step();
  assert.equal(fleet.rollout.state, "rolling-back");
  assert.match(fleet.rollout.because, /waits for|gate alerts/);
  assert.deepEqual(await fleet.states(), ["reverted", "reverted", "reverted", "waiting"]);
  assert.equal((await fleet.verdicts())["alerts"], "fails");
  // The bundle in flight arrives after the word to go back: a late proof of it changes nothing.
  await fleet.db.execute(sql`insert into agent_components (agent_id, kind, running_digest, running_since,
    proved_generation) values ('ag_3', 'rules', ${fleet.rollout.digest}, now(), 2)`);
  await fleet.step();
  assert.equal(fleet.rollout.state, "rolling-back");
  await fleet.prove();
  await fleet.step();
  assert.equal(fleet.rollout.state, "rolled-back");
  const { rows } = await fleet.db.execute<{ bad: number }>(
    sql`select count(*)::int as bad from assignments where rules_digest = ${fleet.rollout.digest}`,
  );
  assert.deepEqual(rows, [{ bad: 0 }]);
});

test("a wave that sends no rates passes never and fails at the deadline; resumed, it is judged on what comes then", async (t) => {
  const fleet = await started(await freshDatabase(t), { onFailure: "pause" });
  await fleet.live(outside, startMs + minute, startMs + 60 * minute);
  for (const minutes of [7.5, 9, 11]) {
    fleet.nowMs = startMs + minutes * minute;
    await fleet.prove();
    await fleet.step();
    assert.equal(fleet.rollout.state, "running");
    assert.match(fleet.rollout.because, /gate ingest waits: no rates come from: c-01, c-02/);
  }
  fleet.nowMs = startMs + 12.5 * minute;
  await fleet.prove();
  await fleet.step();
  assert.equal(fleet.rollout.state, "paused");
  assert.match(fleet.rollout.because, /could not be judged within 300 s after its soak: gate ingest waits/);
  assert.deepEqual(await fleet.states(), ["proved", "proved", "waiting", "waiting"]);

  const before = fleet.rollout;
  const resumed = stepRollout(before, "resume", "resumed", fleet.nowMs);
  assert.ok(resumed.ok);
  const seen = await readRolloutSnapshot(fleet.db, before, fleet.clock());
  await commitRollout(
    fleet.db,
    { before, after: resumed.value, changes: planResume(seen), seen: seen.clusters },
    fleet.clock(),
  );
  await fleet.step();
  assert.match(fleet.rollout.because, /needs 5 whole minutes after the proof/);
  await fleet.live([1, 2], fleet.nowMs, startMs + 20 * minute);
  fleet.nowMs = startMs + 19 * minute;
  await fleet.prove();
  await fleet.step();
  assert.equal(fleet.rollout.wave, 1);
});

test("an agent that raises a condition since the bundle runs fails health; one from before does not", async (t) => {
  const db = await freshDatabase(t);
  const health = { gates: [{ name: "health", limit: 0.05 }], soakSeconds: 0, onFailure: "pause" } as const;
  const fleet = await Fleet.start(db, health);
  const raise = async (cluster: string, sinceMs: number) => {
    const since = new Date(sinceMs).toISOString();
    const conditions = JSON.stringify([{ code: "pipeline/crashed", message: "it died", since }]);
    await db.execute(sql`update agents set conditions = ${conditions}::jsonb where cluster_id = ${cluster}`);
  };
  await fleet.prove();
  await fleet.step();
  await fleet.prove();
  await raise("cl_1", startMs - minute);
  await fleet.step();
  assert.equal(fleet.rollout.wave, 1);
  assert.deepEqual(await fleet.verdicts(0), { health: "holds" });
  await raise("cl_3", startMs + 1000);
  fleet.nowMs += 500;
  await fleet.prove();
  await fleet.step();
  assert.equal(fleet.rollout.state, "paused");
  assert.match(
    fleet.rollout.because,
    /gate health: 1 of \d raise conditions .* c-03 \(node-1: pipeline\/crashed\)/,
  );
});

test("an agent whose sessions begin again and again counts against the bundle if that began after it was assigned", async (t) => {
  const fleet = await Fleet.start(await freshDatabase(t));
  const flap = async (sinceMs: number) => {
    const seen = { code: "session/flapping", message: "it ends", since: new Date(sinceMs).toISOString() };
    const suspicions = JSON.stringify([{ ...seen, atMs: fleet.nowMs }]);
    await fleet.db.execute(
      sql`update agents set suspicions = ${suspicions}::jsonb where cluster_id = 'cl_1'`,
    );
  };
  await fleet.prove();
  await fleet.step();
  await fleet.prove();
  await flap(startMs - minute);
  const troubles = async () => {
    const { clusters } = await readRolloutSnapshot(fleet.db, fleet.rollout, fleet.clock());
    return clusters.flatMap(({ agents }) => agents.flatMap(({ raised = [] }) => raised));
  };
  assert.deepEqual(await troubles(), []);
  await flap(startMs + minute);
  assert.deepEqual(await troubles(), ["session/flapping"]);
  fleet.nowMs += 11 * minute;
  assert.deepEqual(await troubles(), [], "it is steady again");
});

test("while clusters without the bundle flap too, a rollout waits, and is not stopped for what the bundle may not do", async (t) => {
  const health = { gates: [{ name: "health", limit: 0.05 }], soakSeconds: 0, onFailure: "pause" } as const;
  const fleet = await Fleet.start(await freshDatabase(t), health);
  await fleet.prove();
  await fleet.step();
  await fleet.prove();
  const seen = { code: "session/flapping", message: "cut", since: new Date(startMs + minute).toISOString() };
  const suspicions = JSON.stringify([{ ...seen, atMs: startMs }]);
  await fleet.db.execute(sql`update agents set suspicions = ${suspicions}::jsonb`);
  await fleet.step();
  assert.equal(fleet.rollout.state, "running");
  assert.match(fleet.rollout.because, /gate health waits: sessions begin again and again, and so they do/);
  const given = sql`select cluster_id from rollout_clusters where state = 'proved'`;
  await fleet.db.execute(sql`update agents set suspicions = '[]' where cluster_id not in (${given})`);
  await fleet.step();
  assert.equal(fleet.rollout.state, "paused");
  assert.match(fleet.rollout.because, /gate health: .* c-01 \(node-1: session\/flapping\)/);
});

test("judging reads what the windows hold, by index, however much there is", async (t) => {
  const db = await freshDatabase(t);
  const fleet = await Fleet.start(db);
  await fleet.live(everybody, startMs - 12 * 60 * minute, startMs + minute);
  await db.execute(sql`analyze`);
  const windows: readonly Window[] = everybody.map((n) => ({
    clusterId: `cl_${n}`,
    is: "now",
    fromMs: startMs - 10 * minute,
    toMs: startMs,
  }));
  assert.equal((await readMinutes(db, windows)).get("cl_1")?.now.length, 10);
  const counted = (await countAlertsByRule(db, windows)).get("cl_1");
  assert.deepEqual(
    counted?.rules.map(({ rule: name, now }) => [name, now]),
    [
      ["loud", 50],
      ["steady", 10],
    ],
  );
  const plans: string[] = [];
  const explaining = new Proxy(db, {
    get: (target, key) =>
      key === "execute"
        ? async (query: Parameters<typeof db.execute>[0]) => {
            const { rows } = await target.execute(sql`explain ${query as ReturnType<typeof sql>}`);
            plans.push(JSON.stringify(rows));
            return { rows: [] };
          }
        : (Reflect.get(target, key) as unknown),
  });
  await readMinutes(explaining, windows);
  await countAlertsByRule(explaining, windows);
  assert.equal(plans.length, 2);
  for (const plan of plans) {
    assert.doesNotMatch(plan, /Seq Scan on (?:rates|alerts)/);
    // Both begin with the cluster.
    assert.match(plan, /rates_\w*cluster_id_minute_idx|alerts_\w*pkey/);
  }
});
