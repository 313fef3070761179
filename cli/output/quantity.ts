/** A span of time for people: the two largest units, never a false precision. `12s`, `3m20s`, `5h12m`, `3d4h`. */
export function renderAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return pair(minutes, "m", seconds % 60, "s");
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return pair(hours, "h", minutes % 60, "m");
  return pair(Math.floor(hours / 24), "d", hours % 24, "h");
}

/** A short span such as a lag: `850ms` below ten seconds in full, above as an age. */
export function renderSpan(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)}ms`;
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)}s` : renderAge(ms);
}

/** Bytes in powers of 1000, as disks and networks count them: `512B`, `1.5kB`, `20MB`. */
export function renderBytes(bytes: number): string {
  return bytes < 1000 ? `${Math.round(bytes)}B` : `${scaled(bytes)}B`;
}

/** A count: `7`, `999`, `1.2k`, `700k`, `3.4M`. */
export function renderCount(count: number): string {
  if (count >= 1000) return scaled(count);
  return Number.isInteger(count) || count >= 100 ? `${Math.round(count)}` : count.toFixed(1);
}

function pair(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large}${largeUnit}` : `${large}${largeUnit}${small}${smallUnit}`;
}

function scaled(value: number): string {
  let rest = value / 1000;
  for (const unit of ["k", "M", "G", "T"]) {
    // 999.5 would print as "1000k": the next unit takes over where rounding would.
    if (rest < 999.5 || unit === "T") return `${rest < 9.95 ? rest.toFixed(1) : Math.round(rest)}${unit}`;
    rest /= 1000;
  }
  return `${rest}`;
}
