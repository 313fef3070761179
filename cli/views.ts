import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import { ClusterHealth, type Rates, type Running } from "#proto/fleet/v1/cluster";
import { BundleKind, type BundleRef } from "#proto/fleet/v1/common";
import { renderAge } from "./output/quantity.ts";

/** How long ago, or an empty text when it never was. */
export function ageOf(at: Timestamp | undefined, now: number): string {
  return at === undefined ? "" : renderAge(now - timestampMs(at));
}

/** How long until, "expired" when it has passed. */
export function leftOf(at: Timestamp | undefined, now: number): string {
  if (at === undefined) return "";
  const left = timestampMs(at) - now;
  // Rounded up to the second, so that an hour just given shows as 1h.
  return left <= 0 ? "expired" : renderAge(left + 999);
}

export function isoOf(at: Timestamp | undefined): string {
  return at === undefined ? "" : new Date(timestampMs(at)).toISOString();
}

/** The newest minute that covers enough of itself to be worth a rate; a minute has just begun when no other is there. */
export function newestRates(minutes: readonly Rates[]): Rates | undefined {
  return minutes.findLast((minute) => secondsOf(minute) >= 10) ?? minutes.at(-1);
}

/** How many seconds the counters of a minute cover. */
export function secondsOf(rates: Rates): number {
  return rates.seconds === 0 ? 60 : rates.seconds;
}

/** `NAME@VERSION`, or the short digest of a bundle without a name, or an empty text for no bundle. */
export function nameOf(ref: BundleRef | undefined): string {
  if (ref === undefined || (ref.name === "" && ref.digest === "")) return "";
  return ref.name === "" ? shortDigest(ref.digest) : `${ref.name}@${ref.version}`;
}

/** Twelve hex digits: enough to tell bundles of a fleet apart, short enough for a table. */
export function shortDigest(digest: string): string {
  return digest.replace(/^sha256:/, "").slice(0, 12);
}

export function kindOf(kind: BundleKind): string {
  if (kind === BundleKind.RULES) return "rules";
  if (kind === BundleKind.LAYER) return "layer";
  return kind === BundleKind.SHIPPER ? "shipper" : "unknown";
}

export function labelsOf(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
}

export function runningOf(running: readonly Running[], kind: BundleKind): Running | undefined {
  return running.find((item) => item.bundle?.kind === kind);
}

const healthWords: Readonly<Record<ClusterHealth, string>> = {
  [ClusterHealth.UNSPECIFIED]: "unknown",
  [ClusterHealth.HEALTHY]: "healthy",
  [ClusterHealth.UPDATING]: "updating",
  [ClusterHealth.DEGRADED]: "degraded",
  [ClusterHealth.SILENT]: "silent",
};

/** A newer server may send a number that this fleetctl does not know. */
export function healthOf(health: ClusterHealth): string {
  return healthWords[health] ?? "unknown";
}
