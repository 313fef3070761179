import { and, asc, eq, gt, sql } from "./drizzle.ts";

import { auditGenesis, auditRow, type AuditRow } from "#trust";

import { bounded, type AuditFacts } from "../domain/audit-words.ts";
import type { Db, Transaction } from "./pool.ts";
import { auditChains, auditEntries } from "./schema.ts";

/** Whose log, and who writes into it. */
export interface AuditPen {
  readonly org: string;
  /** The server, as the log names it. */
  readonly server: string;
  readonly now: () => Date;
}

/**
 * Writes beside a change, in its transaction, that it was made: both are there or none. What is only known by then, such
 * as a new id, comes as `more`. The last thing in its transaction, because everybody else who wants to write waits.
 */
export type AuditNote = (tx: Transaction, more?: Partial<AuditFacts>) => Promise<void>;

/**
 * Appends one row. Locks the end of the chain until the transaction ends: so sequences have no gaps, also when
 * transactions are rolled back.
 */
export async function appendAudit(tx: Transaction, pen: AuditPen, facts: AuditFacts): Promise<void> {
  const { org, server } = pen;
  const end = await lockChain(tx, org);
  const sequence = Number(end.sequence) + 1;
  const entry = { ...bounded(facts), org, sequence, server, time: pen.now().toISOString() };
  const { previous, body, hash } = auditRow(entry, end.hash);
  const bytes = Buffer.from(hash);
  // One statement, because everybody else who wants to write waits for the answer to it.
  await tx.execute(sql`
    with appended as (
      insert into audit_entries (org, sequence, previous, body, hash)
      values (${org}, ${sequence}, ${Buffer.from(previous)}, ${body}, ${bytes})
    )
    update audit_chains set sequence = ${sequence}, hash = ${bytes} where org = ${org}`);
}

async function lockChain(tx: Transaction, org: string) {
  const find = () => tx.select().from(auditChains).where(eq(auditChains.org, org)).for("update");
  const [end] = await find();
  if (end !== undefined) return end;
  await tx.insert(auditChains).values({ org, sequence: 0n, hash: auditGenesis }).onConflictDoNothing();
  const [begun] = await find();
  if (begun === undefined) throw new Error(`The audit chain of org "${org}" is gone`);
  return begun;
}

/** Where the database says that the log ends. */
export async function findAuditEnd(
  db: Db,
  org: string,
): Promise<{ readonly sequence: bigint; readonly hash: Uint8Array } | undefined> {
  const [end] = await db.select().from(auditChains).where(eq(auditChains.org, org));
  return end;
}

/** Rows after a sequence, oldest first, as they are: nothing is read into them. */
export async function listAuditRows(
  db: Db,
  org: string,
  after: bigint,
  max: number,
): Promise<readonly AuditRow[]> {
  const rows = await db
    .select()
    .from(auditEntries)
    .where(and(eq(auditEntries.org, org), gt(auditEntries.sequence, after)))
    .orderBy(asc(auditEntries.sequence))
    .limit(max);
  return rows.map(({ sequence, previous, body, hash }) => ({
    sequence: Number(sequence),
    previous,
    body,
    hash,
  }));
}

/** All conditions that are set must hold; of several values of one, any. */
export interface AuditFilter {
  /** Names or ids. */
  readonly actors: readonly string[];
  readonly methods: readonly string[];
  readonly targets: readonly string[];
  readonly since?: Date;
  readonly until?: Date;
  /** Only what was refused. */
  readonly refused: boolean;
}

export interface AuditPage {
  readonly size: number;
  /** Where the page before ended. */
  readonly before?: bigint;
}

/** Newest first. */
export async function searchAudit(
  db: Db,
  org: string,
  filter: AuditFilter,
  page: AuditPage,
): Promise<readonly { readonly sequence: bigint; readonly body: string }[]> {
  const body = sql`${auditEntries.body}::jsonb`;
  const isIn = (of: ReturnType<typeof sql>, values: readonly string[]) =>
    sql`${of} = any(${sql.param([...values])}::text[])`;
  const time = sql`(${body} ->> 'time') collate "C"`;
  const actor = [sql`(${body} #>> '{actor,name}')`, sql`(${body} #>> '{actor,id}')`] as const;
  const rows = await db
    .select({ sequence: auditEntries.sequence, body: auditEntries.body })
    .from(auditEntries)
    .where(
      and(
        eq(auditEntries.org, org),
        page.before === undefined ? undefined : sql`${auditEntries.sequence} < ${page.before}`,
        filter.actors.length === 0
          ? undefined
          : sql`(${isIn(actor[0], filter.actors)} or ${isIn(actor[1], filter.actors)})`,
        filter.methods.length === 0 ? undefined : isIn(sql`(${body} ->> 'method')`, filter.methods),
        filter.targets.length === 0 ? undefined : isIn(sql`(${body} ->> 'target')`, filter.targets),
        filter.since === undefined ? undefined : sql`${time} >= ${filter.since.toISOString()}`,
        filter.until === undefined ? undefined : sql`${time} < ${filter.until.toISOString()}`,
        filter.refused ? sql`(${body} ->> 'outcome') <> 'ok'` : undefined,
      ),
    )
    .orderBy(sql`${auditEntries.sequence} desc`)
    .limit(page.size);
  return rows;
}
