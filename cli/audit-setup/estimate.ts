import { type AuditEvent, recordUnder } from "./recorded.ts";
import type { AuditPolicy } from "./policy.ts";

/** How much a policy would write, counted over a sample of events that another policy wrote. */
export interface Estimate {
  readonly events: number;
  readonly bytes: number;
  readonly recorded: Volume;
  /** Events of the sample per rule of the policy, in its order; the last element counts those that no rule matched. */
  readonly byRule: readonly RuleVolume[];
  /** Lines that are no audit event. */
  readonly unreadable: number;
  /** From the first event to the last, in milliseconds; 0 when that cannot be told. */
  readonly spanMs: number;
}

export interface Volume {
  readonly events: number;
  /** Lines with their line ends, as the log file holds them. */
  readonly bytes: number;
  /** Of these events, those whose bodies the policy wants and the sample does not have: their bytes come on top. */
  readonly withoutBody: number;
}

export interface RuleVolume extends Volume {
  /** Events of the sample over which the rule decided, whether they are written or not. */
  readonly matched: number;
}

export interface Estimator {
  /** One line of a log. What is no audit event is counted as unreadable. */
  add(line: string): void;
  end(): Estimate;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export function createEstimator(policy: AuditPolicy): Estimator {
  const empty = () => ({ matched: 0, events: 0, bytes: 0, withoutBody: 0 });
  const byRule: Mutable<RuleVolume>[] = [...policy.rules.map(empty), empty()];
  const total: Mutable<Volume> = { events: 0, bytes: 0, withoutBody: 0 };
  let [events, bytes, unreadable] = [0, 0, 0];
  let [firstMs, lastMs] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  return {
    add: (line) => {
      if (line.trim() === "") return;
      const event = readEvent(line);
      if (event === undefined) {
        unreadable += 1;
        return;
      }
      events += 1;
      bytes += Buffer.byteLength(line) + 1;
      const at = Date.parse(event.stageTimestamp ?? "");
      if (!Number.isNaN(at)) [firstMs, lastMs] = [Math.min(firstMs, at), Math.max(lastMs, at)];
      const { rule, event: kept, wantsBody } = recordUnder(policy, event);
      const volume = byRule[rule ?? policy.rules.length];
      if (volume === undefined) return;
      volume.matched += 1;
      if (kept === undefined) return;
      const size = Buffer.byteLength(JSON.stringify(kept)) + 1;
      for (const each of [volume, total]) {
        each.events += 1;
        each.bytes += size;
        each.withoutBody += wantsBody ? 1 : 0;
      }
    },
    end: () => ({
      events,
      bytes,
      recorded: total,
      byRule,
      unreadable,
      spanMs: Math.max(0, lastMs - firstMs) || 0,
    }),
  };
}

function readEvent(line: string): AuditEvent | undefined {
  try {
    const value = JSON.parse(line) as (AuditEvent & { readonly auditID?: unknown }) | null;
    return typeof value?.auditID === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}
