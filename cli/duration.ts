const seconds = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 } as const;

/**
 * Whole seconds of a duration such as `90s`, `10m`, `1h30m` or `7d`. Undefined when it cannot be read or is longer than
 * ten years.
 */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d{1,9}[smhdw])+$/.test(text)) return undefined;
  let total = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)([smhdw])/g)) {
    total += Number(count) * seconds[unit as keyof typeof seconds];
  }
  return total <= 3660 * 86_400 ? total : undefined;
}
