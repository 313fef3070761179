import { sql } from "./drizzle.ts";

import type { GateName, GateState, GateVerdict } from "../domain/gates/gate.ts";
import type { GateJudgement } from "../domain/gates/step.ts";
import type { Rollout } from "../domain/rollout.ts";
import { param } from "./assignments.ts";
import type { Db } from "./pool.ts";

interface GateRow extends Record<string, unknown> {
  readonly wave: number;
  readonly gate: GateName;
  readonly state: GateState;
  readonly measured: string;
  readonly limit: string;
  readonly words: string;
  readonly generation: string;
  readonly judgedAtMs: number;
}

async function readRows(db: Db, rolloutId: string): Promise<readonly GateRow[]> {
  const { rows } = await db.execute<GateRow>(sql`
    select wave, gate, state, measured, gate_limit as limit, words, generation::text as generation,
      (extract(epoch from judged_at) * 1000)::float8 as "judgedAtMs"
    from rollout_gates where rollout_id = ${rolloutId} order by wave`);
  return rows;
}

/** What the gates of each wave said last, in the order of the rollout's settings. */
export async function listVerdicts(
  db: Db,
  rollout: Rollout,
): Promise<ReadonlyMap<number, readonly GateVerdict[]>> {
  if ((rollout.spec.gates ?? []).length === 0) return new Map();
  const byWave = Map.groupBy(await readRows(db, rollout.id), (row) => row.wave);
  return new Map([...byWave].map(([wave, rows]) => [wave, inOrder(rollout, rows)]));
}

/**
 * The judgement of the wave in work under the present generation, if there is a complete one. Of a wave that has passed it is the one by
 * which it did, which is of the generation before.
 */
export async function findJudgement(
  db: Db,
  rollout: Rollout,
  isPassed: boolean,
): Promise<GateJudgement | undefined> {
  const rows = (await readRows(db, rollout.id)).filter(
    (row) => row.wave === rollout.wave && (isPassed || BigInt(row.generation) === rollout.generation),
  );
  const verdicts = inOrder(rollout, rows);
  if (verdicts.length < (rollout.spec.gates ?? []).length) return undefined;
  return { verdicts, judgedAtMs: Math.min(...rows.map((row) => row.judgedAtMs)) };
}

/** Stores a judgement of the wave in work. One of an older generation, or an older one, never replaces a newer. */
export async function storeJudgement(db: Db, rollout: Rollout, judgement: GateJudgement): Promise<void> {
  const { verdicts, judgedAtMs } = judgement;
  const texts = (of: (verdict: GateVerdict) => string) => sql`${param(verdicts.map(of))}::text[]`;
  await db.execute(sql`
    insert into rollout_gates as g
      (rollout_id, wave, gate, state, measured, gate_limit, words, generation, judged_at)
    select ${rollout.id}, ${rollout.wave}::int, x.*, ${rollout.generation}::bigint,
      ${new Date(judgedAtMs).toISOString()}::timestamptz
    from unnest(${texts((v) => v.gate)}, ${texts((v) => v.state)}, ${texts((v) => v.measured)},
      ${texts((v) => v.limit)}, ${texts((v) => v.words)}) as x
    on conflict (rollout_id, wave, gate) do update set state = excluded.state, measured = excluded.measured,
      gate_limit = excluded.gate_limit, words = excluded.words, generation = excluded.generation,
      judged_at = excluded.judged_at
    where (g.generation, g.judged_at) <= (excluded.generation, excluded.judged_at)`);
}

function inOrder(rollout: Rollout, rows: readonly GateRow[]): readonly GateVerdict[] {
  return (rollout.spec.gates ?? []).flatMap(({ name }) => {
    const row = rows.find(({ gate }) => gate === name);
    if (row === undefined) return [];
    const { gate, state, measured, limit, words } = row;
    return [{ gate, state, measured, limit, words }];
  });
}
