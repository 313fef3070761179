import { Problem } from "./problem.ts";

const simple: Readonly<Record<string, string>> = {
  a: "\u0007",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\\": "\\",
  '"': '"',
};

const escape = /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.)|$)/gs;

/** The text that a literal of Go stands for: in double quotes with escapes, or in backticks as it is. */
export function unquote(literal: string, at: number): string {
  const quote = literal[0] ?? "";
  if (literal.length < 2 || !literal.endsWith(quote)) throw new Problem("literal not terminated", at);
  if (quote === "`") return literal.slice(1, -1);
  return literal
    .slice(1, -1)
    .replaceAll(escape, (whole, x?: string, u?: string, long?: string, octal?: string, one?: string) => {
      const hex = x ?? u ?? long;
      const code = hex === undefined ? Number.parseInt(octal ?? "", 8) : Number.parseInt(hex, 16);
      if (!Number.isNaN(code) && code <= 0x10ffff) return String.fromCodePoint(code);
      const plain = simple[one ?? ""];
      if (plain === undefined) throw new Problem(`unknown escape ${whole.slice(0, 12)}`, at);
      return plain;
    });
}

const unitsMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
  y: 365 * 86_400_000,
};

/** Longer than anything that is asked for, and in milliseconds, microseconds and steps still a number that is exact. */
const durationMsMax = 100 * 365 * 86_400_000;

/** The milliseconds in a duration such as `1h30m`, a hundred years at most; undefined for what is none. */
export function durationMs(text: string): number | undefined {
  if (!/^(?:\d+(?:ms|[smhdwy]))+$/.test(text)) return undefined;
  const parts = [...text.matchAll(/(\d+)(ms|[smhdwy])/g)];
  const ms = parts.reduce((sum, [, count, unit = ""]) => sum + Number(count) * (unitsMs[unit] ?? 0), 0);
  return ms <= durationMsMax ? ms : undefined;
}
