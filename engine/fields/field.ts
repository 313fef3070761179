import type { JsonDocument } from "../json/document.ts";
import type { SyscallEvent } from "../linux-audit/syscall-event.ts";

/** Falco's names of value types; they appear in its messages. */
export type FieldType =
  | "CHARBUF"
  | "UINT64"
  | "UINT32"
  | "INT64"
  | "INT32"
  | "PORT"
  | "BOOL"
  | "ABSTIME"
  | "RELTIME"
  | "IPADDR"
  | "IPNET";

export type Scalar = string | bigint | boolean;

/** What a field gives for one event. Undefined means missing, and a missing field makes its check false. */
export type FieldValue = Scalar | readonly Scalar[] | undefined;

/** Whether Falco's known mistakes are repeated (`strict`) or repaired (`fixed`). */
export type Compat = "fixed" | "strict";

/** One event while it is evaluated. */
export interface EventView {
  readonly tape: JsonDocument;
  readonly root: number;
  /** An event without `auditID` has no `ka.*` field at all. */
  readonly isAudit: boolean;
  readonly timeNs: bigint;
  readonly firstTimeNs: bigint;
  /** Counts from 1 in the order of arrival. */
  readonly number: bigint;
  readonly source: string;
  /** The array of the event that was last found to hold neither objects nor arrays, or -1. */
  readonly flat: { array: number };
  readonly hostname: string;
  /** East of UTC, for times rendered as text. */
  readonly utcOffsetSeconds: number;
  /** Texts that configuration names, by name. */
  readonly statics?: Readonly<Record<string, string>>;
  /** The system call, in an event of the source `syscall`; such an event has an empty tape. */
  readonly syscall?: SyscallEvent;
}

export type Extract = (event: EventView) => FieldValue;

export type FindNodes = (event: EventView) => readonly number[] | undefined;

/** Which argument a field takes in brackets; `word-required` also takes it behind a point, as in `evt.arg.flags`. */
export type ArgumentRule = "none" | "index-optional" | "key-required" | "key-optional" | "word-required";

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
  /**
   * Set on a field that Falco has and this engine can not give: why not. A rule may print it, as a missing value;
   * one that can not match without it is left out with a warning.
   */
  readonly unavailable?: string;
  /** Set where several values stand for one: a comparison holds when it holds for any of them. */
  readonly isAny?: boolean;
  /** Set where the field stands for one of several values, so that conditions can compare it and outputs can not print it. */
  readonly isFilterOnly?: boolean;
  /** Whether events of a type can have the field, given its argument; undefined means that all can. */
  readonly carriedBy?: (eventType: string, argument: string | undefined) => boolean;
  /** Where in an audit event the field is a single text, so that a rule index can compare it where it lies. */
  readonly path?: readonly string[];
  /** The same in any JSON event, for a field whose argument says where. */
  readonly pointer?: (argument: string | undefined) => readonly string[];
  /** Of a list of texts: where they stand in an event, or -1 for one that is missing, so that a rule can compare them where they lie. */
  readonly nodes?: (argument: string | undefined) => FindNodes;
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
