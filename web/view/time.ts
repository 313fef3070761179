import type { Timestamp } from "@bufbuild/protobuf/wkt";

/** Milliseconds since 1970; undefined for a time that is absent. */
export function msOf(time: Timestamp | undefined): number | undefined {
  return time === undefined ? undefined : Number(time.seconds) * 1000 + Math.floor(time.nanos / 1_000_000);
}

const units = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
] as const;

/** A length of time in its two largest units: 2d3h, 4m10s, 12s. Never negative: clocks differ. */
export function lengthText(ms: number): string {
  const whole = Math.max(0, Math.floor(ms / 1000)) * 1000;
  const at = units.findIndex(([, size]) => whole >= size);
  const [unit, size] = units[at] ?? ["s", 1_000];
  const next = units[at + 1];
  const first = Math.floor(whole / size);
  const rest = next === undefined ? 0 : Math.floor((whole % size) / next[1]);
  return next === undefined || rest === 0 || first >= 10
    ? `${first}${unit}`
    : `${first}${unit}${rest}${next[0]}`;
}

/** How long ago something was, or in how long it will be. */
export function agoText(ms: number, nowMs: number): string {
  if (ms > nowMs + 2_000) return `in ${lengthText(ms - nowMs)}`;
  return nowMs - ms < 1_000 ? "now" : `${lengthText(nowMs - ms)} ago`;
}

/** As logs have it, to the second, in UTC. */
export function utcText(ms: number): string {
  return new Date(ms)
    .toISOString()
    .replace("T", " ")
    .replace(/\.\d+Z$/, "Z");
}
