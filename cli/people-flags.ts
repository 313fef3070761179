import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Flags } from "./oclif.ts";
import type { RolloutSpec } from "#proto/fleet/v1/rollout_spec";
import { misused } from "./failure.ts";
import { asList, envOf, switchFlag, textFlag } from "./flags.ts";

/** A point in time that says its zone, in milliseconds. What the machine's own zone makes of it is never guessed. */
export const timeFlag = (flag: string, summary: string) =>
  Flags.custom<number>({
    summary,
    helpValue: "TIME",
    env: envOf(flag),
    parse: async (input) => {
      const isWhole = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2})$/.test(input);
      const at = isWhole ? Date.parse(input) : Number.NaN;
      if (Number.isNaN(at)) {
        throw misused(
          `--${flag} "${input.slice(0, 80)}" is not a time with its zone`,
          `--${flag} 2026-12-01T09:00Z, or 2026-12-01T10:00+01:00`,
        );
      }
      return at;
    },
  })();

export const reasonFlag = (summary: string) => textFlag("reason", summary, "TEXT");

/** When a rollout may begin, and whose word it takes. */
export const peopleFlags = {
  window: Flags.string({
    summary: 'Begin waves only then: "Mon-Fri 09:00-17:00 Europe/Berlin". May be given several times.',
    helpValue: "WINDOW",
    env: envOf("window"),
    multiple: true,
    multipleNonGreedy: true,
  }),
  at: timeFlag("at", "Plan now and begin then, if a new plan is the same by then."),
  emergency: switchFlag(
    "emergency",
    "No soak, no windows, no freeze; takes a second person and a reason, and a canary of one.",
  ),
  reason: reasonFlag("Why; kept with the rollout and in the audit log."),
};

export interface PeopleValues {
  readonly window?: readonly string[] | undefined;
  readonly at?: number | undefined;
  readonly emergency: boolean;
  readonly reason?: string | undefined;
}

/** The fields of the spec that the flags mean. The environment gives several windows with `;` between them. */
export function peopleFrom(
  flags: PeopleValues,
): Pick<RolloutSpec, "windows" | "emergency" | "reason"> & Partial<Pick<RolloutSpec, "startAt">> {
  if (flags.emergency && (flags.reason ?? "").trim() === "") {
    throw misused("--emergency needs a reason", '--emergency --reason "stops an attack that is under way"');
  }
  return {
    windows: asList(flags.window).flatMap((text) => text.split(";").map((part) => part.trim())),
    emergency: flags.emergency,
    reason: flags.reason ?? "",
    ...(flags.at === undefined ? {} : { startAt: timestampFromMs(flags.at) }),
  };
}
