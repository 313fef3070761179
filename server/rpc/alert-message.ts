import { create } from "@bufbuild/protobuf";
import { timestampFromMs, type Timestamp } from "@bufbuild/protobuf/wkt";
import { AlertSchema, type Alert, type AlertFilter as AlertFilterMessage } from "#proto/fleet/v1/alert";

import { parseMatchers } from "../domain/alert-matcher.ts";
import { priorityNumber, priorityWord } from "../domain/priority.ts";
import { accept, invalid, type Outcome } from "../domain/refusal.ts";
import type { Scope } from "../domain/scope.ts";
import { alertGroupId } from "../store/alert-intake.ts";
import type { AlertFilter, StoredAlert } from "../store/alerts.ts";
import { fromSelector } from "./messages.ts";

/** Rules, and tags, that one filter names. */
const namesMax = 100;

/** Reads a filter off the wire. */
export function fromFilter(scope: Scope, message: AlertFilterMessage | undefined): Outcome<AlertFilter> {
  const selector = fromSelector("filter.selector", message?.selector);
  if (!selector.ok) return selector;
  const { rules = [], tags = [] } = message ?? {};
  if (rules.length > namesMax) {
    return invalid("filter.rules", `names ${rules.length} rules; at most ${namesMax} are allowed`);
  }
  if (tags.length > namesMax) {
    return invalid("filter.tags", `names ${tags.length} tags; at most ${namesMax} are allowed`);
  }
  const word = message?.minPriority ?? "";
  const priorityMax = word === "" ? undefined : priorityNumber(word);
  if (word !== "" && priorityMax === undefined) {
    return invalid(
      "filter.min_priority",
      `"${word.slice(0, 40)}" is none of Falco's priorities, for example Warning`,
    );
  }
  const [since, until] = [message?.since, message?.until].map(toUs);
  const matchers = parseMatchers("filter.matchers", message?.matchers ?? "");
  if (!matchers.ok) return matchers;
  return accept({
    scope,
    matchers: matchers.value,
    selector: selector.value,
    rules,
    tags,
    ...(priorityMax === undefined ? {} : { priorityMax }),
    ...(since === undefined ? {} : { sinceUs: since }),
    ...(until === undefined ? {} : { untilUs: until }),
  });
}

export function toAlert(alert: StoredAlert): Alert {
  return create(AlertSchema, {
    id: alert.id,
    clusterId: alert.clusterId,
    clusterName: alert.clusterName,
    rule: alert.rule,
    priority: priorityWord(alert.priority),
    source: alert.source,
    time: fromUs(alert.timeUs),
    receivedAt: fromUs(alert.receivedUs),
    output: alert.output,
    body: alert.body,
    auditId: alert.auditId,
    tags: [...alert.tags],
    rulesDigest: alert.rulesDigest,
    actor: alert.actor,
    groupId: alertGroupId(alert.clusterId, alert.rule, alert.actor),
    silenceId: alert.silenceId,
  });
}

/** Microseconds since 1970 as they travel. */
export function fromUs(us: bigint): Timestamp {
  const timestamp = timestampFromMs(0);
  return { ...timestamp, seconds: us / 1_000_000n, nanos: Number(us % 1_000_000n) * 1000 };
}

/** Before 1970 and after 9999 nothing happened: the nearest end stands for it. */
function toUs(timestamp: Timestamp | undefined): bigint | undefined {
  if (timestamp === undefined) return undefined;
  if (timestamp.seconds < 0n) return 0n;
  const seconds = timestamp.seconds > 253_402_300_799n ? 253_402_300_799n : timestamp.seconds;
  return seconds * 1_000_000n + BigInt(Math.trunc(timestamp.nanos / 1000));
}
