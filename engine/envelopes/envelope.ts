import { kinds } from "../json/document.ts";
import type { JsonTape } from "../json/tape.ts";
import { valueText } from "../json/text.ts";

/** Who wrapped an audit event: EKS in CloudWatch events, GKE in log entries, AKS in diagnostic records. */
export type EnvelopeKind = "eks" | "gke" | "aks";

/** What was in an envelope. */
export interface Opened {
  readonly kind: EnvelopeKind;
  /** Audit events as JSON texts, in their order. */
  readonly events: readonly string[];
  /** Why entries gave no event, by name, with their number. */
  readonly problems: ReadonlyMap<string, number>;
}

/** Collects what one envelope gives. */
export class Opening {
  readonly events: string[];
  readonly problems: Map<string, number>;

  constructor() {
    this.events = [];
    this.problems = new Map();
  }

  problem(name: string): void {
    this.problems.set(name, (this.problems.get(name) ?? 0) + 1);
  }

  /** Takes a text that should be an audit event as JSON. */
  text(text: string, name: string): void {
    const trimmed = text.trim();
    if (trimmed.startsWith("{")) this.events.push(trimmed);
    else this.problem(name);
  }
}

/** The elements of an array; of any other node, the node itself. */
export function entriesOf(tape: JsonTape, node: number): readonly number[] {
  if (tape.kind(node) !== kinds.array) return [node];
  const nodes: number[] = [];
  for (let item = tape.first(node); item < tape.next(node); item = tape.next(item)) nodes.push(item);
  return nodes;
}

/** A member that is there and no null, or -1. */
export function member(tape: JsonTape, node: number, ...path: readonly string[]): number {
  let at = node;
  for (const key of path) at = at < 0 || tape.kind(at) !== kinds.object ? -1 : tape.member(at, key);
  return at >= 0 && tape.kind(at) === kinds.literal && tape.raw(at) === "null" ? -1 : at;
}

/** The text of a string member. */
export function text(tape: JsonTape, node: number, ...path: readonly string[]): string | undefined {
  const at = member(tape, node, ...path);
  return at >= 0 && isString(tape, at) ? valueText(tape, at) : undefined;
}

export function isString(tape: JsonTape, node: number): boolean {
  return tape.kind(node) === kinds.string || tape.kind(node) === kinds.escaped;
}

export function isObject(tape: JsonTape, node: number): boolean {
  return node >= 0 && tape.kind(node) === kinds.object;
}
