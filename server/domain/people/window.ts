import { accept, invalid, type Outcome } from "../refusal.ts";
import { changeBetween, instantsOf, minuteMs, wallTime, weekdayOf, zoneName } from "./zone.ts";

/** When waves may begin, by the clock on the wall of a time zone: half-open, from the first minute up to the last. */
export interface MaintenanceWindow {
  /** As it is shown: "Mon-Fri 09:00-17:00 Europe/Berlin". */
  readonly text: string;
  /** Monday is 0. A window that goes past midnight belongs to the day on which it opens. */
  readonly days: readonly number[];
  /** Minutes since midnight. */
  readonly from: number;
  /** At most `from` when it goes past midnight; 1440 is the end of the day. */
  readonly to: number;
  readonly zone: string;
}

export const windowsMax = 16;
const dayMs = 86_400_000;
/** A window opens each week; a change of time can swallow one opening, never two in a row. */
const horizonDays = 16;
const dayNames = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
const shape = "DAYS HH:MM-HH:MM ZONE, for example Mon-Fri 09:00-17:00 Europe/Berlin";

export function parseWindows(field: string, texts: readonly string[]): Outcome<readonly MaintenanceWindow[]> {
  if (texts.length > windowsMax) {
    return invalid(field, `names ${texts.length} windows; at most ${windowsMax} are allowed`);
  }
  const windows: MaintenanceWindow[] = [];
  for (const [i, text] of texts.entries()) {
    const parsed = parseWindow(`${field}[${i}]`, text);
    if (!parsed.ok) return parsed;
    windows.push(parsed.value);
  }
  return accept(windows);
}

export function parseWindow(field: string, text: string): Outcome<MaintenanceWindow> {
  const shown = `"${text.slice(0, 120)}"`;
  const match = /^(\S{1,40})\s+(\d{2}):(\d{2})-(\d{2}):(\d{2})\s+(\S{1,64})$/.exec(text.trim());
  if (match === null) return invalid(field, `${shown} is no window: write ${shape}`);
  const [, daysText = "", fromHour, fromMinute, toHour, toMinute, zoneText = ""] = match;
  const days = parseDays(daysText);
  if (days === undefined) {
    return invalid(field, `"${daysText}" names no days: write daily, Mon-Fri, or Sat,Sun`);
  }
  const from = minuteOf(fromHour, fromMinute);
  const to = minuteOf(toHour, toMinute);
  if (from === undefined || to === undefined || from === 1_440) {
    return invalid(field, `${shown} holds no times of a day: 00:00 to 24:00 is allowed`);
  }
  if (from === to) return invalid(field, `${shown} opens and closes in the same minute`);
  const zone = zoneName(zoneText);
  if (zone === undefined) {
    return invalid(field, `"${zoneText}" is no IANA time zone: write for example Europe/Berlin or UTC`);
  }
  const clock = (minute: number) => `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;
  return accept({ text: `${daysShown(days)} ${clock(from)}-${clock(to)} ${zone}`, days, from, to, zone });
}

/** Whether the wall shows a time within one of the windows. Without windows it is always open. */
export function isOpen(windows: readonly MaintenanceWindow[], atMs: number): boolean {
  return windows.length === 0 || windows.some((window) => isWithin(window, atMs));
}

function isWithin({ days, from, to, zone }: MaintenanceWindow, atMs: number): boolean {
  const { day, minute } = wallTime(zone, atMs);
  const today = days.includes(weekdayOf(day));
  if (from < to) return today && minute >= from && minute < to;
  return (today && minute >= from) || (days.includes(weekdayOf(day - 1)) && minute < to);
}

/**
 * The first instant from now on at which one of the windows is open; now when one is. Undefined when none opens within
 * the horizon, which no window that `parseWindow` makes can do.
 */
export function nextOpening(windows: readonly MaintenanceWindow[], nowMs: number): number | undefined {
  if (isOpen(windows, nowMs)) return nowMs;
  // What is open begins where the wall reaches the start of a window, or where a change of time lands within one.
  return windows
    .flatMap((window) => openingsOf(window, nowMs))
    .filter((at) => at > nowMs && isOpen(windows, at))
    .toSorted((a, b) => a - b)[0];
}

function openingsOf({ days, from, zone }: MaintenanceWindow, nowMs: number): readonly number[] {
  const first = wallTime(zone, nowMs).day;
  return Array.from({ length: horizonDays }, (_, i) => i).flatMap((i) => {
    const day = first + i;
    const starts = days.includes(weekdayOf(day)) ? instantsOf(zone, { day, minute: from }) : [];
    const begin = Math.floor(nowMs / minuteMs) * minuteMs + i * dayMs;
    const change = changeBetween(zone, begin, begin + dayMs);
    return change === undefined ? starts : [...starts, change];
  });
}

function parseDays(text: string): readonly number[] | undefined {
  if (text.toLowerCase() === "daily") return [0, 1, 2, 3, 4, 5, 6];
  const days = new Set<number>();
  for (const part of text.toLowerCase().split(",")) {
    const [first = "", last = first, ...more] = part.split("-");
    const a = dayNames.findIndex((name) => name === first);
    const b = dayNames.findIndex((name) => name === last);
    if (a === -1 || b === -1 || more.length > 0) return undefined;
    // Sat-Mon goes round the end of the week.
    for (let day = a; ; day = (day + 1) % 7) {
      days.add(day);
      if (day === b) break;
    }
  }
  return [...days].toSorted((a, b) => a - b);
}

function daysShown(days: readonly number[]): string {
  if (days.length === 7) return "daily";
  const name = (day: number) => {
    const text = dayNames[day] ?? "";
    return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
  };
  const first = days[0] ?? 0;
  const isRun = days.length > 2 && days.every((day, i) => day === first + i);
  return isRun ? `${name(first)}-${name(days.at(-1) ?? 0)}` : days.map(name).join(",");
}

function minuteOf(hours: string | undefined, minutes: string | undefined): number | undefined {
  const [hour, minute] = [Number(hours), Number(minutes)];
  if (minute > 59 || hour > 24 || (hour === 24 && minute > 0)) return undefined;
  return hour * 60 + minute;
}

function two(n: number): string {
  return String(n).padStart(2, "0");
}
