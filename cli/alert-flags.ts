import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Flags } from "./oclif.ts";
import { type AlertFilter, AlertFilterSchema } from "#proto/fleet/v1/alert";
import { parseDuration } from "./duration.ts";
import { misused } from "./failure.ts";
import { asList, envOf, listFlag, selectorFlags, selectorFrom, textFlag, valuesOf } from "./flags.ts";
import { priorities } from "./priority.ts";

/** Matchers, several of which may stand in one text. */
export function matchFlag(summary: string) {
  return Flags.string({
    summary,
    helpValue: "MATCHERS",
    env: envOf("match"),
    multiple: true,
    multipleNonGreedy: true,
  });
}

/** The matchers of a flag as one text, which the server reads. */
export function matchersFrom(values: readonly string[] | undefined): string {
  return asList(values)
    .map((text) => text.trim())
    .filter((text) => text !== "")
    .join(",");
}

/** Which alerts, whenever they were. */
export const alertFlags = {
  ...selectorFlags,
  rule: listFlag("rule", "Only alerts of these rules; rule names may hold blanks.", "NAME"),
  tag: listFlag("tag", "Only alerts of rules that carry one of these tags, such as T1609.", "TAG"),
  "min-priority": Flags.option({
    summary: "The least severe priority wanted.",
    options: priorities.map((word) => word.toLowerCase()),
    env: envOf("min-priority"),
  })(),
  match: matchFlag(
    'Only alerts that meet these matchers, such as priority>=warning or ka.user.name=~"system:.*"; see docs/alerts.md.',
  ),
};

/** Which alerts, and from when to when. */
export const alertRangeFlags = {
  ...alertFlags,
  since: textFlag("since", "From this time on: a duration back from now, or an RFC 3339 time.", "1h|TIME"),
  until: textFlag("until", "Up to this time: a duration back from now, or an RFC 3339 time.", "10m|TIME"),
};

type FilterFlags = Parameters<typeof selectorFrom>[0] & {
  readonly rule?: string[] | undefined;
  readonly tag?: string[] | undefined;
  readonly "min-priority"?: string | undefined;
  readonly match?: string[] | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
};

/** The filter that the flags mean, at the given time. */
export function alertFilterFrom(flags: FilterFlags, now: number): AlertFilter {
  const word = flags["min-priority"] ?? "";
  const since = timeFrom(flags.since, "--since", now);
  const until = timeFrom(flags.until, "--until", now);
  if (since !== undefined && until !== undefined && since >= until) {
    throw misused("--since is not before --until, so no alert can match", "--since 2h --until 1h");
  }
  return create(AlertFilterSchema, {
    selector: selectorFrom(flags),
    rules: valuesOf(flags.rule),
    tags: valuesOf(flags.tag),
    matchers: matchersFrom(flags.match),
    minPriority: word.charAt(0).toUpperCase() + word.slice(1),
    ...(since === undefined ? {} : { since: timestampFromMs(since) }),
    ...(until === undefined ? {} : { until: timestampFromMs(until) }),
  });
}

/** Milliseconds since 1970 of a duration back from now, or of a time. */
export function timeFrom(text: string, flag: string, now: number): number;
export function timeFrom(text: string | undefined, flag: string, now: number): number | undefined;
export function timeFrom(text: string | undefined, flag: string, now: number): number | undefined {
  if (text === undefined) return undefined;
  const seconds = parseDuration(text);
  if (seconds !== undefined) return now - seconds * 1000;
  const at = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text)
    ? Date.parse(text)
    : Number.NaN;
  if (Number.isNaN(at)) {
    throw misused(`${flag} "${text}" is no time`, `${flag} 1h, or ${flag} 2026-01-31T12:00:00Z`);
  }
  return at;
}
