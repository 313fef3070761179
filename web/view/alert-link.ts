import { msOf } from "./time.ts";
import type { Timestamp } from "@bufbuild/protobuf/wkt";

/** An alert as an address names it: its id and, where they are known, when it was, by which it is found at once, and its cluster. */
export interface AlertName {
  readonly id: string;
  readonly timeMs?: number;
  readonly clusterId?: string;
}

/** What stands after `?alert=`. */
export function alertParam(id: string, time: Timestamp | undefined, clusterId: string): string {
  const ms = msOf(time);
  return ms === undefined ? id : `${id}.${ms}.${clusterId}`;
}

/** The address of one alert. */
export function alertAddress(id: string, time: Timestamp | undefined, clusterId: string): string {
  return `/alerts/all?alert=${alertParam(id, time, clusterId)}`;
}

/** The address of an alert's group, with the alert, from which is found what is there when the group is not. */
export function groupAddress(alert: {
  readonly id: string;
  readonly time?: Timestamp | undefined;
  readonly clusterId: string;
  readonly groupId: string;
}): string {
  return `/alerts/${alert.groupId}?alert=${alertParam(alert.id, alert.time, alert.clusterId)}`;
}

/** How far back lists of alerts look, in seconds, by the words that stand in their addresses. */
export const alertWindows = { "1h": 3_600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000 } as const;
export type AlertWindow = keyof typeof alertWindows;

/** The alerts that matchers choose, no further back than a time, unless that is longer ago than any list looks. */
export function listAddress(matchers: string, sinceMs: number, nowMs: number): string {
  const windows = Object.entries(alertWindows);
  const [window = "30d"] = windows.find(([, seconds]) => nowMs - sinceMs < seconds * 1000) ?? [];
  return `/alerts/all?since=${window}&q=${encodeURIComponent(matchers)}`;
}

/** Reads what stands after `?alert=`, also an id alone, as `fleetctl alerts list -o wide` prints it; undefined for anything else. */
export function parseAlertParam(text: string): AlertName | undefined {
  const [, id, ms, clusterId] =
    /^([0-9a-f]{64})(?:\.(\d{1,15})(?:\.(cl_[0-9a-z]{1,32}))?)?$/.exec(text.trim()) ?? [];
  if (id === undefined) return undefined;
  return {
    id,
    ...(ms === undefined ? {} : { timeMs: Number(ms) }),
    ...(clusterId === undefined ? {} : { clusterId }),
  };
}

/** Whether an alert is the one that is named. */
export function isNamed(
  name: AlertName,
  alert: { readonly id: string; readonly clusterId: string },
): boolean {
  return name.id === alert.id && (name.clusterId === undefined || name.clusterId === alert.clusterId);
}
