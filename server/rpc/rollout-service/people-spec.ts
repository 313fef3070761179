import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";

import type { RolloutSpec as RolloutSpecMessage } from "#proto/fleet/v1/rollout_spec";

import { startAheadMsMax, type PeopleSpec } from "../../domain/people/spec.ts";
import { accept, invalid, type Outcome } from "../../domain/refusal.ts";
import type { RolloutSpec } from "../../domain/rollout-spec.ts";

export function fromPeople(message: RolloutSpecMessage): PeopleSpec {
  const { windows, startAt, emergency, reason } = message;
  return {
    windows: [...windows],
    ...(startAt === undefined ? {} : { startAtMs: timestampMs(startAt) }),
    emergency,
    reason,
  };
}

/** The fields of the message that it fills. */
export function toPeople({ people }: RolloutSpec) {
  if (people === undefined) return {};
  const { windows, startAtMs, emergency, reason } = people;
  return {
    windows: [...windows],
    ...(startAtMs === undefined ? {} : { startAt: timestampFromMs(startAtMs) }),
    emergency,
    reason,
  };
}

/** A start that is meant for later is ahead, and not so far that nobody remembers. */
export function judgeStart({ people }: RolloutSpec, nowMs: number): Outcome<true> {
  const startAtMs = people?.startAtMs;
  if (startAtMs === undefined) return accept(true);
  if (!(startAtMs > nowMs)) return invalid("spec.start_at", "is over: take a time ahead, or none");
  if (startAtMs <= nowMs + startAheadMsMax) return accept(true);
  return invalid("spec.start_at", "is more than 90 days ahead");
}
