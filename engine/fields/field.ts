import type { JsonTape } from "../json/tape.ts";

/** Falco's names of value types; they appear in its messages. */
export type FieldType = "CHARBUF" | "UINT64" | "BOOL" | "ABSTIME" | "RELTIME";

export type Scalar = string | bigint | boolean;

/** What a field gives for one event. Undefined means missing, and a missing field makes its check false. */
export type FieldValue = Scalar | readonly Scalar[] | undefined;

/** Whether Falco's known mistakes are repeated (`strict`) or repaired (`fixed`). */
export type Compat = "fixed" | "strict";

/** One event while it is evaluated. */
export interface EventView {
  readonly tape: JsonTape;
  readonly root: number;
  /** An event without `auditID` has no `ka.*` field at all. */
  readonly isAudit: boolean;
  readonly timeNs: bigint;
  readonly firstTimeNs: bigint;
  /** Counts from 1 in the order of arrival. */
  readonly number: bigint;
  readonly source: string;
  readonly hostname: string;
}

export type Extract = (event: EventView) => FieldValue;

/** Which argument a field takes in brackets. */
export type ArgumentRule = "none" | "index-optional" | "key-required";

/** One field: what a rule may write, what it means, and how it is read. */
export interface FieldDefinition {
  readonly name: string;
  readonly type: FieldType;
  readonly isList: boolean;
  readonly argument: ArgumentRule;
  readonly doc: string;
  /** Digits the number is padded to with zeros when it is printed in an output. */
  readonly padTo?: number;
  /** What an alert's JSON holds where that differs from the value rules compare with. */
  readonly json?: Extract;
  /** Prepares the reading once per use in a rule. */
  readonly bind: (argument: string | undefined, compat: Compat) => Extract;
}

/** A group of fields with one prefix and one origin. */
export interface FieldClass {
  readonly name: string;
  readonly doc: string;
  /** Event sources whose rules may use these fields; undefined means all of them. */
  readonly sources: readonly string[] | undefined;
  readonly fields: readonly FieldDefinition[];
}
