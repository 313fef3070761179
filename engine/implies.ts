import type { Check, Expression, ListOperand } from "./ast.ts";

/** More comparisons of parts and list entries than this are not made: the answer is no, which errs on the safe side. */
const comparisonsMax = 100_000;

/**
 * Whether every event that `before` matches is matched by `after`, as far as their shape shows it: parts may have been
 * added to an `or` or to a list, and taken out of an `and`; under a `not` it is the other way round. A no may be wrong,
 * a yes never is.
 */
export function implies(before: Expression, after: Expression): boolean {
  return new Comparison().holds(before, after);
}

/** Operators that ask whether a value is one of a list, or like one of it: a longer list matches more. */
const growing: ReadonlySet<string> = new Set(["in", "intersects", "pmatch"]);

class Comparison {
  private left: number = comparisonsMax;
  private readonly known: Map<Expression, Map<Expression, boolean>> = new Map();
  private readonly texts: Map<unknown, string> = new Map();
  private readonly sets: Map<ListOperand, ReadonlySet<string>> = new Map();

  holds(from: Expression, to: Expression): boolean {
    const seen = this.known.get(from)?.get(to);
    if (seen !== undefined) return seen;
    if ((this.left -= 1) < 0) return false;
    const answer = this.decide(from, to);
    const row = this.known.get(from) ?? new Map<Expression, boolean>();
    this.known.set(from, row.set(to, answer));
    return answer;
  }

  private decide(from: Expression, to: Expression): boolean {
    // What can be taken apart without losing anything goes first.
    if (from.kind === "or") return from.parts.every((part) => this.holds(part, to));
    if (to.kind === "and") return to.parts.every((part) => this.holds(from, part));
    if (from.kind === "not" && to.kind === "not") return this.holds(to.part, from.part);
    if (from.kind === "check" && to.kind === "check") return this.checkHolds(from, to);
    if (from.kind === "and" && from.parts.some((part) => this.holds(part, to))) return true;
    return to.kind === "or" && to.parts.some((part) => this.holds(from, part));
  }

  private checkHolds(from: Check, to: Check): boolean {
    if (from.operator !== to.operator || from.modifier !== to.modifier) return false;
    if (this.textOf(from.left) !== this.textOf(to.left)) return false;
    if (this.textOf(from.right) === this.textOf(to.right)) return true;
    if (from.modifier !== undefined || !growing.has(from.operator)) return false;
    if (from.right?.kind !== "list" || to.right?.kind !== "list") return false;
    this.left -= from.right.values.length;
    const wanted = this.setOf(to.right);
    return this.left >= 0 && from.right.values.every((value) => wanted.has(value));
  }

  /** Without the places in the file and the names of macros, which mean nothing. */
  private textOf(operand: Check["right"]): string {
    const known = this.texts.get(operand);
    if (known !== undefined) return known;
    const skipPlaces = (key: string, one: unknown): unknown =>
      key === "at" || key === "macros" ? undefined : one;
    const text = JSON.stringify(operand, skipPlaces) ?? "";
    this.texts.set(operand, text);
    return text;
  }

  private setOf(list: ListOperand): ReadonlySet<string> {
    const known = this.sets.get(list) ?? new Set(list.values);
    this.sets.set(list, known);
    return known;
  }
}
