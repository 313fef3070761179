const second = 1_000_000_000n;
const shape = /^(\d{4})-(\d{2})-(\d{2})T(\d{1,2}):(\d{2}):(\d{2})(?:[.,](\d+))?(?:Z|([+-])(\d{2}):(\d{2}))$/;

/**
 * Nanoseconds since 1970 of an RFC 3339 time, or undefined when the text is none. It is as generous as Go, in which Falco's
 * plugins are written: the hour may have one digit, a comma may stand before the fraction, and an offset may be a whole day.
 */
export function parseTime(text: string): bigint | undefined {
  const parts = shape.exec(text);
  if (parts === null) return undefined;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, secs = 0] = parts.slice(1, 7).map(Number);
  if (month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return undefined;
  if (hour > 23 || minute > 59 || secs > 59) return undefined;
  const offsetHours = Number(parts[9] ?? 0);
  const offsetMinutes = Number(parts[10] ?? 0);
  if (offsetHours > 24 || offsetMinutes > 60) return undefined;
  const offset = (offsetHours * 60 + offsetMinutes) * 60 * (parts[8] === "-" ? -1 : 1);
  const seconds = dayNumber(year, month, day) * 86_400 + hour * 3600 + minute * 60 + secs - offset;
  const nanos = BigInt((parts[7] ?? "").slice(0, 9).padEnd(9, "0"));
  return BigInt(seconds) * second + nanos;
}

/** The parts of a time in UTC, as padded text. */
export interface TimeParts {
  readonly date: string;
  readonly clock: string;
  readonly nanos: string;
}

let lastNs = 0n;
let lastParts: TimeParts | undefined;

/** Splits nanoseconds since 1970 into `2024-01-02`, `03:04:05` and `678901000`. An alert asks for one time again and again. */
export function timeParts(ns: bigint): TimeParts {
  if (lastParts === undefined || ns !== lastNs) [lastNs, lastParts] = [ns, splitTime(ns)];
  return lastParts;
}

function splitTime(ns: bigint): TimeParts {
  const nanos = ((ns % second) + second) % second;
  const seconds = Number((ns - nanos) / second);
  const days = Math.floor(seconds / 86_400);
  const rest = seconds - days * 86_400;
  return {
    date: civilDate(days),
    clock: [Math.floor(rest / 3600), Math.floor(rest / 60) % 60, rest % 60].map(two).join(":"),
    nanos: nanos.toString().padStart(9, "0"),
  };
}

/** The parts of an event's time in the zone that its detector was given. */
export function zonedTime(event: { readonly timeNs: bigint; readonly utcOffsetSeconds: number }): TimeParts {
  return timeParts(event.timeNs + BigInt(event.utcOffsetSeconds) * second);
}

/** RFC 3339 in UTC with all nine digits: `2024-01-02T03:04:05.678901000Z`. */
export function formatTime(ns: bigint): string {
  const { date, clock, nanos } = timeParts(ns);
  return `${date}T${clock}.${nanos}Z`;
}

const two = (value: number): string => String(value).padStart(2, "0");

const isLeap = (year: number): boolean => (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;

function daysIn(year: number, month: number): number {
  if (month === 2) return isLeap(year) ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

/** Days since 1970-01-01. Years are counted from March, so that the leap day comes last. */
export function dayNumber(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const m = (month + 9) % 12;
  return (
    365 * y +
    Math.floor(y / 4) -
    Math.floor(y / 100) +
    Math.floor(y / 400) +
    Math.floor((m * 306 + 5) / 10) +
    day -
    719_469
  );
}

function civilDate(days: number): string {
  let year = 1970 + Math.floor(days / 365.2425);
  while (dayNumber(year, 1, 1) > days) year--;
  while (dayNumber(year + 1, 1, 1) <= days) year++;
  let month = 12;
  while (dayNumber(year, month, 1) > days) month--;
  return `${String(year).padStart(4, "0")}-${two(month)}-${two(days - dayNumber(year, month, 1) + 1)}`;
}
