import { Flags } from "../oclif.ts";
import { envOf, textFlag } from "../flags.ts";

/** Several files after one flag, or the flag several times. */
export const filesFlag = (flag: string, summary: string, required = false) =>
  Flags.string({ summary, helpValue: "FILE", env: envOf(flag), multiple: true, required });

export const rulesFlag = filesFlag(
  "rules",
  "Rules files, or folders of them, in the order in which they load.",
  true,
);

/** A file of events. */
export const eventsFlag = (summary: string) =>
  Flags.string({ summary, helpValue: "FILE", env: envOf("events"), required: true });

/** How rules load. Without a default, so that a flag that is given can win over the configuration file. */
export const loadFlags = {
  config: Flags.string({
    summary: "Follow what this falco.yaml says about rules and alerts; flags win over it.",
    helpValue: "FILE",
    // FLEETCTL_CONFIG is the file of contexts.
    env: "FLEETCTL_RULES_CONFIG",
  }),
  compat: Flags.option({
    summary: "Repair what is known to be wrong in Falco (fixed, if not given), or do as Falco does (strict).",
    options: ["fixed", "strict"] as const,
    env: envOf("compat"),
  })(),
};

/** How events are taken and alerts are raised. */
export const runFlags = {
  "rule-matching": Flags.option({
    summary: "Whether an event raises the first alert that it can (if not given), or all of them.",
    options: ["first", "all"] as const,
    env: envOf("rule-matching"),
  })(),
  envelope: Flags.option({
    summary:
      "Envelope in which a cloud wraps audit events: any that is known (auto, if not given), one, or none.",
    options: ["auto", "none", "eks", "gke", "aks"] as const,
    env: envOf("envelope"),
  })(),
};

/** Which rules are enabled. */
export const selectionFlags = {
  "minimum-priority": textFlag(
    "minimum-priority",
    "Only rules at least this urgent, such as WARNING.",
    "PRIORITY",
  ),
  disable: Flags.string({
    summary: "Disable rules by name, * for any text, or by tag as tag=TAG.",
    helpValue: "RULE",
    env: envOf("disable"),
    multiple: true,
    multipleNonGreedy: true,
  }),
  enable: Flags.string({
    summary: "Enable rules by name or tag, after all that are disabled: --disable '*' --enable 'Secret *'.",
    helpValue: "RULE",
    env: envOf("enable"),
    multiple: true,
    multipleNonGreedy: true,
  }),
};
