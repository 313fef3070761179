import { subjectOf, type AlertMatcher, type MatchSubject } from "../domain/alert-matcher.ts";
import { priorityNumber } from "../domain/priority.ts";
import { param } from "./assignments.ts";
import { sql, type SQL } from "./drizzle.ts";

/** Where a statement has what matchers look at. */
export interface MatchColumns {
  readonly rule: SQL;
  readonly priority: SQL;
  readonly source: SQL;
  readonly output: SQL;
  readonly tags: SQL;
  readonly actor: SQL;
  readonly fields: SQL;
  /** The cluster's name. */
  readonly cluster: SQL;
  readonly labels: SQL;
}

/** Matchers in two parts. */
export interface SplitMatchers {
  /** What the database answers, exactly as `compileMatchers` does. */
  readonly where: readonly SQL[];
  /** What is left for `compileMatchers`: patterns, which Postgres reads differently and without a bound. */
  readonly rest: readonly AlertMatcher[];
}

export function splitMatchers(matchers: readonly AlertMatcher[], columns: MatchColumns): SplitMatchers {
  const isPattern = ({ operator }: AlertMatcher) => operator === "=~" || operator === "!~";
  return {
    where: matchers.filter((each) => !isPattern(each)).map((each) => condition(each, columns)),
    rest: matchers.filter(isPattern),
  };
}

/** Whether a matcher looks at the cluster alone, so that clusters can be chosen first. */
export function aboutCluster({ name }: AlertMatcher): boolean {
  const { kind } = subjectOf(name);
  return kind === "cluster" || kind === "label";
}

function condition({ name, operator, value }: AlertMatcher, columns: MatchColumns): SQL {
  const subject = subjectOf(name);
  if (subject.kind === "priority") return byPriority(columns.priority, operator, priorityNumber(value) ?? 0);
  const equal = isEqual(subject, value, columns);
  return operator === "!=" ? sql`not (${equal})` : equal;
}

function isEqual(subject: MatchSubject, value: string, columns: MatchColumns): SQL {
  switch (subject.kind) {
    case "tag": {
      const has = sql`${columns.tags} @> ${param([value])}::text[]`;
      return value === "" ? sql`(cardinality(${columns.tags}) = 0 or ${has})` : has;
    }
    case "label":
      return sql`coalesce(${columns.labels} ->> ${subject.key}, '') = ${value}`;
    case "field":
      return sql`coalesce(${columns.fields} ->> ${subject.name}, '') = ${value}`;
    case "priority":
      return sql`${columns.priority} = ${priorityNumber(value) ?? 0}`;
    case "rule":
    case "cluster":
    case "source":
    case "output":
    case "actor":
      return sql`${columns[subject.kind]} = ${value}`;
  }
}

/** More severe is greater, and has the smaller number. */
function byPriority(column: SQL, operator: AlertMatcher["operator"], wanted: number): SQL {
  switch (operator) {
    case ">=":
      return sql`${column} <= ${wanted}`;
    case "<=":
      return sql`${column} >= ${wanted}`;
    case ">":
      return sql`${column} < ${wanted}`;
    case "<":
      return sql`${column} > ${wanted}`;
    case "!=":
    case "!~":
      return sql`${column} <> ${wanted}`;
    case "=":
    case "=~":
      return sql`${column} = ${wanted}`;
  }
}

/** What patterns look at in rows of alerts called `a`, and nothing else of them. */
export function factColumns(patterns: readonly AlertMatcher[]): readonly SQL[] {
  const subjects = patterns.map(({ name }) => subjectOf(name));
  const names = [...new Set(subjects.flatMap((each) => (each.kind === "field" ? [each.name] : [])))];
  const words = (["rule", "source", "output", "tags", "actor"] as const).filter((word) =>
    subjects.some(({ kind }) => kind === word || (kind === "tag" && word === "tags")),
  );
  const columns = words.map((word) => sql`a.${sql.identifier(word)}`);
  if (names.length === 0) return columns;
  const pairs = names.map((name) => sql`${name}::text, a.fields -> ${name}`);
  return [...columns, sql`jsonb_build_object(${sql.join(pairs, sql`, `)}) as fields`];
}
