import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Freeze } from "#proto/fleet/v1/freeze";
import type { Plan, Rollout } from "#proto/fleet/v1/rollout";
import { clean, type Paint } from "./output/text.ts";

type Timestamp = NonNullable<Freeze["until"]>;

/** A minute in UTC: people of several zones read the same history. */
export function minuteOf(at: Timestamp | undefined): string {
  if (at === undefined) return "";
  return `${new Date(timestampMs(at)).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/** What a rollout says about people: its hours, whose word it takes, and what was done with it. */
export function peopleLines({ spec, approval, history, planDigest }: Rollout, paint: Paint): string[] {
  const given = (approval?.given ?? []).map(({ name, until, reason }) => {
    const why = reason === "" ? "" : ` (${clean(reason)})`;
    return `${clean(name)}${why}, counts until ${minuteOf(until)}`;
  });
  return [
    ...(spec?.emergency === true
      ? [paint("bad", `EMERGENCY: no soak, no windows, no freeze; ${clean(spec.reason)}`)]
      : []),
    ...(spec?.allowCoverageLoss === true
      ? [paint("bad", "ALLOWS COVERAGE LOSS: it begins although its plan may say that coverage is lost")]
      : []),
    ...(spec?.windows ?? []).map((window) => `window: ${clean(window)}`),
    ...(spec?.startAt === undefined ? [] : [`begins at: ${minuteOf(spec.startAt)}`]),
    ...(approval === undefined ? [] : [`plan: ${planDigest}`]),
    ...(approval === undefined
      ? []
      : [
          `approvals: ${approval.given.length} of ${approval.needed}, because ${clean(approval.why)}`,
          ...given.map((line) => `  ${line}`),
        ]),
    ...(history.length === 0 ? [] : ["history:"]),
    ...history.map(({ at, who, what, why }) => {
      const words = why === "" ? "" : `: ${clean(why)}`;
      return `  ${minuteOf(at)}  ${clean(who) || "the server"}  ${clean(what)}${words}`;
    }),
  ];
}

/** What keeps a plan from beginning at once. */
export function planPeopleLines({ approval, held }: Plan, paint: Paint): string[] {
  return [
    ...(approval === undefined
      ? []
      : [paint("busy", `takes the approval of somebody else: ${clean(approval.why)}`)]),
    ...(held === "" ? [] : [paint("busy", `its first wave would not begin now: ${clean(held)}`)]),
  ];
}

/** One freeze in a line. */
export function freezeText({ reason, createdBy, createdAt, until, liftedAt, liftedBy }: Freeze): string {
  const end =
    liftedAt !== undefined
      ? `, lifted by ${clean(liftedBy)} at ${minuteOf(liftedAt)}`
      : until === undefined
        ? ""
        : `, until ${minuteOf(until)}`;
  return `since ${minuteOf(createdAt)} by ${clean(createdBy)}${end}: ${clean(reason)}`;
}
