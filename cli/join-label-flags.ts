import { Flags } from "./oclif.ts";
import { misused } from "./failure.ts";
import { envOf, labelsFrom, listFlag, textFlag } from "./flags.ts";

/** The labels that a cluster gets when it joins. */
export const joinLabelFlags = {
  region: Flags.string({
    summary: "Region of the cluster that joins.",
    helpValue: "NAME",
    env: envOf("region"),
    required: true,
  }),
  environment: textFlag("environment", "Environment of the cluster that joins.", "NAME"),
  team: textFlag("team", "Team of the cluster that joins.", "NAME"),
  tribe: textFlag("tribe", "Tribe of the cluster that joins.", "NAME"),
  project: textFlag("project", "Project of the cluster that joins.", "NAME"),
  label: listFlag("label", "Further labels of the cluster that joins.", "KEY=VALUE"),
};

const wellKnown = ["region", "environment", "team", "tribe", "project"] as const;
type Given = { readonly [K in (typeof wellKnown)[number]]?: string | undefined } & {
  readonly label?: readonly string[] | undefined;
};

/** The labels that the flags mean. Throws a failure for one that is none or that is given twice. */
export function joinLabelsFrom(flags: Given): Record<string, string> {
  const labels = labelsFrom(flags.label, "--label");
  for (const key of wellKnown) {
    const value = flags[key];
    if (value === undefined) continue;
    if (Object.hasOwn(labels, key)) {
      throw misused(`The label "${key}" is given by --label and by --${key}`, "Give it once.");
    }
    if (!/^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/.test(value)) {
      throw misused(
        `--${key} "${value.slice(0, 80)}" is not a label value`,
        "Use letters, digits, -, _ and . only, at most 63.",
      );
    }
    Object.assign(labels, labelsFrom([`${key}=${value}`], `--${key}`));
  }
  return labels;
}
