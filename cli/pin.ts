import { misused } from "./failure.ts";

/** Reads the pin of a CA's key as a person types it. */
export function parsePin(text: string): string {
  const pin = text.trim().toLowerCase();
  if (/^sha256:[0-9a-f]{64}$/.test(pin)) return pin;
  throw misused(
    `The CA pin "${text.slice(0, 100)}" is not sha256: and 64 hex digits`,
    "Copy it whole, as an admin or npm start gave it.",
  );
}
