import type { AlertFields } from "../domain/alert-fields.ts";
import { stepAlertGroup, type AlertGroupState, type AlertGroupStep } from "../domain/alert-group.ts";
import { compileMatchers } from "../domain/alert-matcher.ts";
import type { Standing } from "../domain/notify/group.ts";
import { accept, refuse, type Outcome } from "../domain/refusal.ts";
import type { Scope } from "../domain/scope.ts";
import { splitMatchers } from "./alert-conditions.ts";
import { alertGroupActs, alertGroups, type StoredSample } from "./alert-schema.ts";
import { silencedUntil } from "./alert-silences.ts";
import type { AlertFilter } from "./alerts.ts";
import { param } from "./assignments.ts";
import type { AuditNote } from "./audit-entries.ts";
import { desc, eq, sql, type SQL } from "./drizzle.ts";
import { wakeGroups } from "./notification-groups.ts";
import { createPatternTime, patternsMsMax } from "./pattern-time.ts";
import type { Database, Db, Transaction } from "./pool.ts";
import type { Labels } from "./schema.ts";
import { labelsIn } from "./scopes.ts";
import { whereLabels } from "./selectors.ts";

/** A group as it is read, with what is known of its cluster. Times are microseconds since 1970. */
export interface AlertGroup {
  readonly id: string;
  readonly clusterId: string;
  readonly clusterName: string;
  readonly labels: Labels;
  readonly rule: string;
  readonly actor: string;
  readonly priority: number;
  readonly source: string;
  readonly tags: readonly string[];
  readonly count: bigint;
  readonly notStored: bigint;
  readonly firstUs: bigint;
  readonly lastUs: bigint;
  readonly receivedUs: bigint;
  readonly state: AlertGroupState;
  readonly stateBy: string;
  readonly stateUs: bigint;
  readonly note: string;
  readonly generation: bigint;
  readonly silenceId: string | null;
  readonly silencedUntilUs: bigint | null;
  readonly fields: AlertFields;
  readonly samples: readonly StoredSample[];
}

export interface AlertGroupFilter extends AlertFilter {
  /** None means all. */
  readonly states: readonly AlertGroupState[];
  /** Only those that are silenced at `now`, or only the others; without it both. */
  readonly isSilenced?: boolean;
  readonly now: Date;
}

/** Where a page of groups ended. */
export interface AlertGroupPosition {
  readonly receivedUs: bigint;
  readonly id: string;
}

export interface AlertGroupPage {
  readonly groups: readonly AlertGroup[];
  /** Where the next page begins; absent when there is none. */
  readonly next?: AlertGroupPosition;
}

/** Groups that one call looks at when patterns have to be tried on each. */
const lookedAtMax = 2_000;

/** Those with the newest arrivals first. A page may be short although more follow: patterns are tried on so many at once. */
export async function listAlertGroups(
  db: Db,
  filter: AlertGroupFilter,
  size: number,
  before?: AlertGroupPosition,
): Promise<AlertGroupPage> {
  const { where, rest } = splitMatchers(filter.matchers, columns);
  const older =
    before === undefined
      ? sql`true`
      : sql`(g.received_at, g.id) < (timestamptz 'epoch' + ${before.receivedUs}::bigint * interval '1 microsecond', ${before.id})`;
  const limit = rest.length === 0 ? size + 1 : lookedAtMax;
  const found = await readGroups(
    db,
    sql`${sql.join([...conditions(filter), ...where, older], sql` and `)}
      order by g.received_at desc, g.id desc limit ${limit}`,
  );
  const test = compileMatchers(rest);
  const groups = await createPatternTime(patternsMsMax).pick(found, (group) => test(factsOf(group)));
  const shown = groups.slice(0, size);
  const last = groups.length > size ? shown.at(-1) : found.length === limit ? found.at(-1) : undefined;
  return { groups: shown, ...(last === undefined ? {} : { next: last }) };
}

const columns = {
  rule: sql`g.rule`,
  priority: sql`g.priority`,
  source: sql`g.source`,
  output: sql`(g.samples -> 0 ->> 'output')`,
  tags: sql`g.tags`,
  actor: sql`g.actor`,
  fields: sql`g.fields`,
  cluster: sql`c.name`,
  labels: sql`c.labels`,
};

function factsOf(group: AlertGroup) {
  return { ...group, cluster: group.clusterName, output: group.samples[0]?.output ?? "" };
}

function conditions(filter: AlertGroupFilter): readonly SQL[] {
  const terms = [labelsIn(filter.scope, "c"), whereLabels(sql`c.labels`, filter.selector)];
  const instant = (us: bigint) => sql`timestamptz 'epoch' + ${us}::bigint * interval '1 microsecond'`;
  if (filter.rules.length > 0) terms.push(sql`g.rule = any(${param(filter.rules)}::text[])`);
  if (filter.tags.length > 0) terms.push(sql`g.tags && ${param(filter.tags)}::text[]`);
  if (filter.priorityMax !== undefined) terms.push(sql`g.priority <= ${filter.priorityMax}`);
  if (filter.sinceUs !== undefined) terms.push(sql`g.last_at >= ${instant(filter.sinceUs)}`);
  if (filter.untilUs !== undefined) terms.push(sql`g.last_at < ${instant(filter.untilUs)}`);
  if (filter.states.length > 0) terms.push(sql`g.state = any(${param(filter.states)}::text[])`);
  if (filter.isSilenced !== undefined) {
    const isSilenced = sql`coalesce(${silencedUntil} > ${filter.now.toISOString()}::timestamptz, false)`;
    terms.push(filter.isSilenced ? isSilenced : sql`not ${isSilenced}`);
  }
  return terms;
}

export async function findAlertGroup(db: Db, scope: Scope, id: string): Promise<Outcome<AlertGroup>> {
  const [group] = await readGroups(db, sql`${labelsIn(scope, "c")} and g.id = ${id}`);
  return group === undefined ? notFound(id) : accept(group);
}

function notFound(id: string) {
  return refuse({ kind: "not-found", what: "alert group", id: id.slice(0, 80) });
}

export type AlertGroupActRow = typeof alertGroupActs.$inferSelect;
const actsShown = 100;

/** What was done about a group, newest first. */
export async function listAlertGroupActs(db: Db, id: string): Promise<readonly AlertGroupActRow[]> {
  return db
    .select()
    .from(alertGroupActs)
    .where(eq(alertGroupActs.groupId, id))
    .orderBy(desc(alertGroupActs.sequence))
    .limit(actsShown);
}

/** A group as somebody saw it. */
export interface SeenGroup {
  readonly id: string;
  readonly generation: bigint;
}

export interface GroupChange {
  readonly step: AlertGroupStep;
  readonly by: string;
  readonly text: string;
  readonly at: Date;
}

/** Takes one step with all of the groups, or with none. */
export async function stepAlertGroups(
  db: Database,
  scope: Scope,
  seen: readonly SeenGroup[],
  change: GroupChange,
  note: AuditNote,
): Promise<Outcome<readonly AlertGroup[]>> {
  return db.transaction(async (tx) => {
    const ids = seen.map(({ id }) => id);
    const held = await lockGroups(tx, scope, ids);
    const steps: { readonly id: string; readonly to: AlertGroupState }[] = [];
    for (const { id, generation } of seen) {
      const group = held.get(id);
      if (group === undefined) return notFound(id);
      const to = stepAlertGroup(group, change.step, generation);
      if (!to.ok) return to;
      steps.push({ id, to: to.value });
    }
    for (const { id, to } of steps) {
      const by = { stateBy: change.by, stateAt: change.at, note: change.text };
      const generation = sql`${alertGroups.generation} + 1`;
      await tx
        .update(alertGroups)
        .set({ ...by, state: to, generation })
        .where(eq(alertGroups.id, id));
    }
    const acts = ids.map((groupId) => ({
      groupId,
      at: change.at,
      who: change.by,
      what: change.step,
      note: change.text,
    }));
    await tx.insert(alertGroupActs).values(acts);
    // What was told of them is told to be over.
    if (change.step === "resolve") await wakeGroups(tx, ids, change.at);
    await note(tx, { target: ids.join(" ") });
    return accept(await readGroups(tx, sql`g.id = any(${param(ids)}::text[]) order by g.id`));
  });
}

type HeldGroup = { id: string; state: AlertGroupState; generation: bigint };

async function lockGroups(
  tx: Transaction,
  scope: Scope,
  ids: readonly string[],
): Promise<ReadonlyMap<string, HeldGroup>> {
  const { rows } = await tx.execute<{ id: string; state: AlertGroupState; generation: string }>(sql`
    select g.id, g.state, g.generation from alert_groups g join clusters c on c.id = g.cluster_id
    where ${labelsIn(scope, "c")} and g.id = any(${param(ids)}::text[]) order by g.id for no key update of g`);
  return new Map(rows.map((row) => [row.id, { ...row, generation: BigInt(row.generation) }]));
}

/** What people said about alerts, by the ids of their groups. */
export async function readStandings(db: Db, ids: readonly string[]): Promise<ReadonlyMap<string, Standing>> {
  if (ids.length === 0) return new Map();
  const { rows } = await db.execute<{ id: string; state: AlertGroupState; since: string }>(sql`
    select id, state, state_at as since from alert_groups where id = any(${param(ids)}::text[])`);
  return new Map(rows.map(({ id, state, since }) => [id, { state, sinceMs: Date.parse(since) }]));
}

/** Groups that got nothing for so long have no alerts left. */
export async function removeOldAlertGroups(db: Db, before: Date): Promise<number> {
  const gone = await db.execute(sql`
    delete from alert_groups where received_at < ${before.toISOString()}::timestamptz`);
  return gone.rowCount ?? 0;
}

async function readGroups(db: Db, where: SQL): Promise<readonly AlertGroup[]> {
  const { rows } = await db.execute<GroupRow>(sql`
    select g.id, g.cluster_id as "clusterId", c.name as "clusterName", c.labels, g.rule, g.actor, g.priority, g.source,
      g.tags, g.count, g.not_stored as "notStored", ${us(sql`g.first_at`)} as "firstUs", ${us(sql`g.last_at`)} as "lastUs",
      ${us(sql`g.received_at`)} as "receivedUs", g.state, g.state_by as "stateBy", ${us(sql`g.state_at`)} as "stateUs",
      g.note, g.generation, g.silence_id as "silenceId", ${us(silencedUntil)} as "silencedUntilUs", g.fields,
      g.samples
    from alert_groups g join clusters c on c.id = g.cluster_id where ${where}`);
  return rows.map((row) => ({
    ...row,
    count: BigInt(row.count),
    notStored: BigInt(row.notStored),
    firstUs: BigInt(row.firstUs),
    lastUs: BigInt(row.lastUs),
    receivedUs: BigInt(row.receivedUs),
    stateUs: BigInt(row.stateUs),
    generation: BigInt(row.generation),
    silencedUntilUs: row.silencedUntilUs === null ? null : BigInt(row.silencedUntilUs),
  }));
}

/** As Postgres gives it: 64 bits are text. */
type GroupRow = {
  [K in keyof AlertGroup]: bigint extends AlertGroup[K]
    ? string
    : AlertGroup[K] extends bigint | null
      ? string | null
      : AlertGroup[K];
};

function us(time: SQL): SQL {
  return sql`(extract(epoch from ${time}) * 1000000)::bigint`;
}
