/** Arithmetic on times that were passed in. The one file here that may name Date: it never asks for the present. */

export const secondMs = 1000;
export const hourMs = 3600 * secondMs;
export const dayMs = 24 * hourMs;

const form = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

export function plus(time: Date, ms: number): Date {
  // oxlint-disable-next-line no-restricted-globals
  return new Date(time.getTime() + ms);
}

/** The form of TUF and of assignments, in UTC and whole seconds: "2030-01-31T00:00:00Z". */
export function formatTime(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}

/** Reads {@link formatTime}'s form only; undefined for anything else, such as a 30th of February. */
export function parseTime(text: unknown): Date | undefined {
  if (typeof text !== "string" || !form.test(text)) return undefined;
  // oxlint-disable-next-line no-restricted-globals
  const time = new Date(text);
  if (Number.isNaN(time.getTime()) || formatTime(time) !== text) return undefined;
  return time;
}
