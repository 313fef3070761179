import type { Document, RoleName } from "./metadata.ts";
import { dayMs, formatTime, hourMs, parseTime, plus } from "./time.ts";

/** How long metadata lives when nobody says otherwise. */
export const lifetimesMs = {
  root: 365 * dayMs,
  targets: 90 * dayMs,
  snapshot: 7 * dayMs,
  timestamp: 24 * hourMs,
} as const satisfies Record<RoleName, number>;

/** When metadata was signed for. TUF knows the end only; an alarm at a part of a life needs the beginning as well. */
export const issuedField = "x-falconry-issued";

export interface Life {
  readonly begins: Date;
  readonly ends: Date;
}

/** Where in its life metadata is: under half, half of it over, four fifths over, over. */
export type LifeStage = "fresh" | "aging" | "expiring" | "expired";

/** The members of signed metadata that say how long it lives. */
export function lifeMembers(now: Date, lifetimeMs: number): { readonly [key: string]: string } {
  return { expires: formatTime(plus(now, lifetimeMs)), [issuedField]: formatTime(now) };
}

/** The life of metadata. A beginning that is missing or no beginning is reckoned from the end. */
export function lifeOf(document: Document): Life {
  const ends = document.expires;
  const issued = parseTime(document.signed[issuedField]);
  const begins = issued !== undefined && issued < ends ? issued : plus(ends, -lifetimesMs[document.role]);
  return { begins, ends };
}

/** The part of its life that is over: 0 at the beginning, 1 at the end and after it. */
export function lifeUsed({ begins, ends }: Life, now: Date): number {
  const used = (now.getTime() - begins.getTime()) / (ends.getTime() - begins.getTime());
  return Math.min(1, Math.max(0, used));
}

/**
 * The stage of a role's metadata. What a server signs again by itself at half of its life gets a little grace there: a
 * word about it would come and go with every renewal.
 */
export function lifeStage(role: RoleName, life: Life, now: Date): LifeStage {
  if (now.getTime() >= life.ends.getTime()) return "expired";
  const used = lifeUsed(life, now);
  if (used >= 0.8) return "expiring";
  const isOnline = role === "snapshot" || role === "timestamp";
  return used >= (isOnline ? 0.55 : 0.5) ? "aging" : "fresh";
}
