/** What a clock on the wall of a time zone shows. */
export interface WallTime {
  /** Days since 1 January 1970, on the calendar of the zone. */
  readonly day: number;
  /** Minutes since midnight. */
  readonly minute: number;
}

export const minuteMs = 60_000;
const dayMinutes = 1_440;

/** Making one reads the tables of the platform; a fleet has a handful of zones. */
const formats = new Map<string, Intl.DateTimeFormat>();
const formatsMax = 600;

/** The name of an IANA time zone as the platform knows it, or undefined when it knows none of the name. */
export function zoneName(text: string): string | undefined {
  // Offsets such as +02:00 are taken by the platform, but know no daylight saving time: whoever writes one is mistaken.
  if (!/^[A-Za-z][A-Za-z0-9_+/-]{1,63}$/.test(text)) return undefined;
  try {
    return formatOf(text).resolvedOptions().timeZone;
  } catch {
    // The platform says so by a RangeError; it has no question that can be asked before.
    return undefined;
  }
}

function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    calendar: "gregory",
    numberingSystem: "latn",
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
  });
  if (formats.size >= formatsMax) formats.clear();
  formats.set(zone, made);
  return made;
}

export function wallTime(zone: string, atMs: number): WallTime {
  const parts = new Map<string, number>(
    formatOf(zone)
      .formatToParts(atMs)
      .map(({ type, value }) => [type, Number(value)]),
  );
  const get = (type: string) => parts.get(type) ?? 0;
  return {
    day: dayOf(get("year"), get("month"), get("day")),
    minute: get("hour") * 60 + get("minute"),
  };
}

/** How far the wall is ahead of UTC. */
export function offsetMinutes(zone: string, atMs: number): number {
  const { day, minute } = wallTime(zone, atMs);
  return day * dayMinutes + minute - Math.floor(atMs / minuteMs);
}

/** Every instant at which the wall shows this: none in the hour that a change of time skips, two in one it repeats. */
export function instantsOf(zone: string, wall: WallTime): readonly number[] {
  const asUtc = (wall.day * dayMinutes + wall.minute) * minuteMs;
  const around = [asUtc - dayMinutes * minuteMs, asUtc + dayMinutes * minuteMs];
  const offsets = [...new Set(around.map((at) => offsetMinutes(zone, at)))];
  return offsets
    .map((offset) => asUtc - offset * minuteMs)
    .filter((at) => {
      const shown = wallTime(zone, at);
      return shown.day === wall.day && shown.minute === wall.minute;
    });
}

/** The first minute with another offset than at the start, or undefined when both ends have the same. */
export function changeBetween(zone: string, fromMs: number, toMs: number): number | undefined {
  const before = offsetMinutes(zone, fromMs);
  let low = Math.floor(fromMs / minuteMs);
  let high = Math.floor(toMs / minuteMs);
  if (offsetMinutes(zone, high * minuteMs) === before) return undefined;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetMinutes(zone, middle * minuteMs) === before) low = middle;
    else high = middle;
  }
  return high * minuteMs;
}

/** Monday is 0. */
export function weekdayOf(day: number): number {
  // 1 January 1970 was a Thursday.
  return (((day + 3) % 7) + 7) % 7;
}

/** Days since 1 January 1970 of a date of the Gregorian calendar. */
export function dayOf(year: number, month: number, day: number): number {
  // Years begin in March here, so that the leap day is the last one of its year.
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

/** A minute as people of a zone write it: "2026-11-30 09:00 Europe/Berlin". */
export function shownTime(zone: string, atMs: number): string {
  const parts = new Map<string, string>(
    formatOf(zone)
      .formatToParts(atMs)
      .map(({ type, value }) => [type, value.padStart(2, "0")]),
  );
  const get = (type: string) => parts.get(type) ?? "";
  return `${get("year")}-${get("month")}-${get("day")} ${get("hour")}:${get("minute")} ${zone}`;
}
