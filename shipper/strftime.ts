/** A moment in UTC, taken apart. */
interface Parts {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  /** 0 is Sunday. */
  readonly weekday: number;
  /** From 1. */
  readonly dayOfYear: number;
  readonly epoch: number;
}

const two = (value: number) => String(value).padStart(2, "0");
const date = (p: Parts) => `${p.year}-${two(p.month)}-${two(p.day)}`;
const time = (p: Parts) => `${two(p.hour)}:${two(p.minute)}:${two(p.second)}`;

/** What a letter after % stands for. Names of days and months are left out: they depend on a language. */
const letters: Readonly<Record<string, (parts: Parts) => string>> = {
  Y: (p) => String(p.year),
  y: (p) => two(p.year % 100),
  m: (p) => two(p.month),
  d: (p) => two(p.day),
  e: (p) => String(p.day).padStart(2, " "),
  H: (p) => two(p.hour),
  M: (p) => two(p.minute),
  S: (p) => two(p.second),
  j: (p) => String(p.dayOfYear).padStart(3, "0"),
  u: (p) => String(p.weekday === 0 ? 7 : p.weekday),
  w: (p) => String(p.weekday),
  V: (p) => two(isoWeek(p).week),
  G: (p) => String(isoWeek(p).year),
  F: date,
  T: time,
  D: (p) => `${two(p.month)}/${two(p.day)}/${two(p.year % 100)}`,
  R: (p) => `${two(p.hour)}:${two(p.minute)}`,
  s: (p) => String(p.epoch),
  z: () => "+0000",
  Z: () => "UTC",
  "%": () => "%",
};

/** Why a format cannot be used, or undefined. */
export function strftimeProblem(format: string): string | undefined {
  for (const [, letter = ""] of format.matchAll(/%(.?)/gs)) {
    if (letters[letter] === undefined) {
      const known = Object.keys(letters).map((one) => `%${one}`);
      return `%${letter} is not supported. Supported: ${known.join(" ")}`;
    }
  }
  return undefined;
}

/** The time, in seconds since 1970, in a format that `strftimeProblem` has nothing against; always UTC. */
export function strftime(format: string, epochSeconds: number): string {
  const parts = partsOf(Math.floor(epochSeconds));
  return format.replaceAll(/%(.?)/gs, (whole, letter: string) => letters[letter]?.(parts) ?? whole);
}

const secondsPerDay = 86_400;

function partsOf(epoch: number): Parts {
  const days = Math.floor(epoch / secondsPerDay);
  const rest = epoch - days * secondsPerDay;
  const { year, month, day } = civil(days);
  return {
    year,
    month,
    day,
    hour: Math.floor(rest / 3600),
    minute: Math.floor(rest / 60) % 60,
    second: rest % 60,
    weekday: (((days + 4) % 7) + 7) % 7,
    dayOfYear: days - daysTo(year) + 1,
    epoch,
  };
}

/** Days from 1970 to the first of January of a year. */
function daysTo(year: number): number {
  const before = year - 1;
  const leaps = Math.floor(before / 4) - Math.floor(before / 100) + Math.floor(before / 400);
  return (year - 1970) * 365 + leaps - 477;
}

const monthDays = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

function civil(days: number): { readonly year: number; readonly month: number; readonly day: number } {
  let year = 1970 + Math.floor(days / 365.2425);
  while (daysTo(year) > days) year--;
  while (daysTo(year + 1) <= days) year++;
  let left = days - daysTo(year);
  for (const [index, plain] of monthDays.entries()) {
    const length = index === 1 && isLeap(year) ? 29 : plain;
    if (left < length) return { year, month: index + 1, day: left + 1 };
    left -= length;
  }
  throw new RangeError(`Day ${days} is in no month`);
}

function isLeap(year: number): boolean {
  return daysTo(year + 1) - daysTo(year) === 366;
}

/** The week that holds the year's first Thursday is the first one. */
function isoWeek(p: Parts): { readonly year: number; readonly week: number } {
  const weekday = p.weekday === 0 ? 7 : p.weekday;
  const week = Math.floor((p.dayOfYear - weekday + 10) / 7);
  if (week < 1) return { year: p.year - 1, week: weeksIn(p.year - 1) };
  return week > weeksIn(p.year) ? { year: p.year + 1, week: 1 } : { year: p.year, week };
}

function weeksIn(year: number): number {
  const first = (((daysTo(year) + 4) % 7) + 7) % 7;
  return first === 4 || (isLeap(year) && first === 3) ? 53 : 52;
}
