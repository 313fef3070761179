import { dayNumber } from "./time.ts";

const shape = "0000-00-00T00:00:00";

/**
 * Whether bytes are an RFC 3339 time in UTC as an API server writes it, with up to nine digits of a second. It never says so
 * of anything that `parseTime` would refuse; other times, and the last days of a month, are left to that.
 */
export function isPlainTime(bytes: Uint8Array, start: number, end: number): boolean {
  const fraction = end - start - shape.length - 1;
  if (fraction < 0 || fraction === 1 || fraction > 10 || bytes[end - 1] !== 0x5a) return false;
  for (let i = 0; i < shape.length; i++) {
    const want = shape.charCodeAt(i);
    const byte = bytes[start + i] ?? 0;
    if (want === 0x30 ? byte < 0x30 || byte > 0x39 : byte !== want) return false;
  }
  if (fraction > 0 && bytes[start + shape.length] !== 0x2e) return false;
  for (let at = start + shape.length + 1; at < end - 1; at++) {
    const byte = bytes[at] ?? 0;
    if (byte < 0x30 || byte > 0x39) return false;
  }
  const month = two(bytes, start + 5);
  const day = two(bytes, start + 8);
  return (
    month >= 1 &&
    month <= 12 &&
    day >= 1 &&
    day <= 28 &&
    two(bytes, start + 11) <= 23 &&
    two(bytes, start + 14) <= 59 &&
    two(bytes, start + 17) <= 59
  );
}

function two(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) * 10 + (bytes[at + 1] ?? 0) - 0x30 * 11;
}

/** The time of a text that {@link isPlainTime} has passed, as `parseTime` gives it. */
export function decodedTime(text: string): bigint {
  const days = dayNumber(digits(text, 0, 4), digits(text, 5, 7), digits(text, 8, 10));
  const clock = digits(text, 11, 13) * 3600 + digits(text, 14, 16) * 60 + digits(text, 17, 19);
  const end = text.length - 1;
  const fraction =
    end > shape.length ? digits(text, shape.length + 1, end) * 10 ** (shape.length + 10 - end) : 0;
  return BigInt(days * 86_400 + clock) * 1_000_000_000n + BigInt(fraction);
}

function digits(text: string, start: number, end: number): number {
  let value = 0;
  for (let at = start; at < end; at++) value = value * 10 + text.charCodeAt(at) - 0x30;
  return value;
}
