import { problemAt } from "./problem.ts";
import type { Place, Problem } from "./problem.ts";
import { lastValue } from "./section.ts";
import type { Entry, Section } from "./section.ts";
import { expand, tooLong } from "./variables.ts";
import type { Expanded, Scope } from "./variables.ts";

/**
 * What a plugin does with an option: `used`; the reason why it may be written but changes nothing here; or what to do
 * instead, because turning it on would mean something that is not there. Turned off it may stand.
 */
export type OptionTable = Readonly<
  Record<string, "used" | { readonly ignored: string } | { readonly refused: string }>
>;

/** Reads one section's options by their Fluent Bit names, and collects what is wrong with them. */
export class Options {
  readonly section: Section;
  readonly problems: Problem[] = [];
  readonly warnings: Problem[] = [];
  /** What options mean that are not written, as they would be written. */
  readonly defaults: Map<string, string> = new Map();
  /** Options of which the last one counts, and not each. */
  readonly singles: Set<string> = new Set();
  /** What becomes of options that may be written. */
  table: OptionTable = {};
  readonly #scope: Scope;

  constructor(section: Section, scope: Scope) {
    this.section = section;
    this.#scope = scope;
  }

  /** Refuses every option that the table does not list. */
  allowOnly(what: string, table: OptionTable): void {
    this.table = table;
    const names = Object.keys(table);
    for (const entry of this.section.entries) {
      if (Object.hasOwn(table, entry.key)) {
        this.#refuseOn(entry, what, table[entry.key]);
        continue;
      }
      const near = nearest(entry.key, names);
      const hint = near === undefined ? "" : ` Did you mean "${near}"?`;
      const supported = names.filter((name) => table[name] === "used").join(", ");
      this.refuse(
        entry,
        `Option "${entry.key}" of ${what} is not supported.${hint} Supported options: ${supported}`,
      );
    }
  }

  #refuseOn(entry: Entry, what: string, use: OptionTable[string] | undefined): void {
    if (typeof use !== "object" || !("refused" in use)) return;
    if (["off", "false", "no", ""].includes(entry.value.toLowerCase())) return;
    this.refuse(entry, `Option "${entry.key}" of ${what} is not supported: ${use.refused}`);
  }

  refuse(place: Place, message: string): void {
    this.problems.push(problemAt(place, message));
  }

  warn(place: Place, message: string): void {
    this.warnings.push(problemAt(place, message));
  }

  entry(key: string): Entry | undefined {
    this.singles.add(key);
    return lastValue(this.section, key);
  }

  entries(key: string): readonly Entry[] {
    return this.section.entries.filter((entry) => entry.key === key);
  }

  /** Notes what an option means that is not written. */
  assume(key: string, value: string): void {
    this.defaults.set(key, value);
  }

  /** The text with its variables filled in; an unset variable is a problem. */
  expand(text: string, place: Place): Expanded {
    const expanded = expand(text, this.#scope);
    if (expanded.isTooLong) this.refuse(place, tooLong);
    for (const name of expanded.unset) {
      this.refuse(place, `Variable \${${name}} is not set: ${this.#variablesHint()}`);
    }
    return expanded;
  }

  /** What the agent knows, empty when it does not know it. */
  fact(name: string): string {
    return Object.hasOwn(this.#scope.facts, name) ? (this.#scope.facts[name] ?? "") : "";
  }

  text(key: string): string | undefined;
  text(key: string, otherwise: string): string;
  text(key: string, otherwise?: string): string | undefined {
    const entry = this.entry(key);
    if (entry !== undefined) return this.expand(entry.value, entry).text;
    if (otherwise !== undefined) this.assume(key, otherwise);
    return otherwise;
  }

  required(key: string, example: string): string {
    const value = this.text(key, "");
    if (value === "") this.refuse(this.entry(key) ?? this.section, `"${key}" is missing: add ${example}`);
    return value;
  }

  boolean(key: string, otherwise: boolean): boolean {
    const value = this.text(key)?.toLowerCase();
    if (value === undefined) return this.#assumed(key, otherwise, otherwise ? "on" : "off");
    if (["on", "true", "yes"].includes(value)) return true;
    if (["off", "false", "no"].includes(value)) return false;
    return this.#bad(key, value, "on or off", otherwise);
  }

  /** A whole number within bounds. */
  integer(key: string, otherwise: number, min: number, max: number): number {
    const value = this.text(key);
    if (value === undefined) return this.#assumed(key, otherwise, String(otherwise));
    const number = /^\d{1,15}$/.test(value) ? Number(value) : Number.NaN;
    if (number >= min && number <= max) return number;
    return this.#bad(key, value, `a whole number from ${min} to ${max}`, otherwise);
  }

  /** A size in bytes; k, m and g count in thousands, as in Fluent Bit. */
  size(key: string, otherwise: number, min: number, max: number): number {
    const value = this.text(key);
    if (value === undefined) return this.#assumed(key, otherwise, String(otherwise));
    const parts = /^(\d{1,12}(?:\.\d{1,6})?)\s*([kmg])?b?$/i.exec(value);
    const unit = { k: 1e3, m: 1e6, g: 1e9 }[(parts?.[2] ?? "").toLowerCase()] ?? 1;
    const bytes = parts === null ? Number.NaN : Math.floor(Number(parts[1]) * unit);
    if (bytes >= min && bytes <= max) return bytes;
    return this.#bad(key, value, `a size from ${min} to ${max} bytes, such as 512k, 5M or 1G`, otherwise);
  }

  /** A time in milliseconds; written in seconds, or with s, m, h or d. */
  duration(key: string, otherwiseMs: number, minMs: number, maxMs: number): number {
    const value = this.text(key);
    if (value === undefined) return this.#assumed(key, otherwiseMs, `${otherwiseMs / 1000}s`);
    const parts = /^(\d{1,9}(?:\.\d{1,9})?)\s*([smhd])?$/i.exec(value);
    const unit = { s: 1e3, m: 6e4, h: 36e5, d: 864e5 }[(parts?.[2] ?? "s").toLowerCase()] ?? 1e3;
    const ms = parts === null ? Number.NaN : Math.round(Number(parts[1]) * unit);
    if (ms >= minMs && ms <= maxMs) return ms;
    return this.#bad(key, value, `a time from ${minMs / 1000} to ${maxMs / 1000} seconds`, otherwiseMs);
  }

  oneOf<const T extends string>(key: string, values: readonly T[], otherwise: T): T {
    const written = this.text(key);
    if (written === undefined) return this.#assumed(key, otherwise, otherwise);
    const found = values.find((value) => value === written.toLowerCase());
    return found ?? this.#bad(key, written, values.join(", "), otherwise);
  }

  #assumed<T>(key: string, value: T, written: string): T {
    this.assume(key, written);
    return value;
  }

  #bad<T>(key: string, value: string, wanted: string, otherwise: T): T {
    this.refuse(this.entry(key) ?? this.section, `"${key}" is "${value}" and has to be ${wanted}`);
    return otherwise;
  }

  #variablesHint(): string {
    const names = [...Object.keys(this.#scope.facts), ...this.#scope.env.keys()].sort();
    const known = names.length === 0 ? "the agent gives none" : `known are ${names.join(", ")}`;
    return `give the cluster the label, or set it under env (${known})`;
  }
}

/** The known name that differs in at most two letters, or undefined. */
export function nearest(word: string, names: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = 3;
  for (const name of names) {
    const distance = editDistance(word.slice(0, 64), name);
    if (distance < bestDistance) [best, bestDistance] = [name, distance];
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, swap));
    }
    row = next;
  }
  return row[b.length] ?? Number.POSITIVE_INFINITY;
}
