import { priorityNumber } from "../priority.ts";
import type { Occurrence } from "./group.ts";

/** The states of the fleet that can be told, and how severe each is. They are matched as alerts of source "falconry". */
const severities = {
  "Agent silent": "Error",
  "Agent left": "Notice",
  "Agent condition": "Warning",
  "Agent identity": "Critical",
  "Agent flapping": "Warning",
  "Queue full": "Error",
  "Records dropped": "Error",
  "Alerts not stored": "Error",
  "Alerts ahead": "Warning",
  "Rollout paused": "Warning",
  "Rollout failed": "Error",
  "Metadata expiring": "Critical",
  "Notification failed": "Error",
  "Notification test": "Notice",
} as const;

export type FleetRule = keyof typeof severities;
export const fleetRules: readonly FleetRule[] = Object.keys(severities) as FleetRule[];
export const fleetSource = "falconry";

/**
 * A count for the words of a state. What it says changes seldom while the count grows: a state with other words is written down again,
 * and in a flood that would be at each look at the fleet.
 */
export function roughCount(count: bigint): string {
  if (count < 100n) return `${count}`;
  const digits = `${count}`;
  return `${digits.slice(0, 1)}${"0".repeat(digits.length - 1)} or more`;
}

/** A state of the fleet as it is matched, grouped and told. */
export function fleetState(state: {
  readonly rule: FleetRule;
  readonly subject: string;
  readonly words: string;
  readonly sinceMs: number;
  readonly cluster?: string;
  readonly labels?: Readonly<Record<string, string>>;
}): Occurrence {
  const { rule, subject, words, sinceMs, cluster = "", labels = {} } = state;
  const priority = priorityNumber(severities[rule]) ?? 0;
  const facts = {
    rule,
    priority,
    source: fleetSource,
    output: words,
    tags: [],
    actor: "",
    cluster,
    labels,
    fields: {},
  };
  return { kind: "state", subject, atMs: sinceMs, facts };
}
