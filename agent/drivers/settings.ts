import { readFalcoSettings } from "./falco/settings.ts";
import type { FalcoSettings } from "./falco/settings.ts";
import { readFluentBitSettings } from "./fluent-bit/settings.ts";
import type { FluentBitSettings } from "./fluent-bit/settings.ts";
import { textOf } from "./read-setting.ts";
import type { Env } from "./read-setting.ts";

/** Which programs run bundles instead of the agent itself. */
export interface DriverSettings {
  readonly falco?: FalcoSettings;
  readonly fluentBit?: FluentBitSettings;
}

const names = { rules: "FALCONRY_RULES_DRIVER", shipper: "FALCONRY_SHIPPER_DRIVER" } as const;

/** Reads what the agent's own environment says; the server has no say in it. */
export function readDriverSettings(env: Env, problems: string[]): DriverSettings {
  const rules = oneOf(env, names.rules, "falco", problems);
  const shipper = oneOf(env, names.shipper, "fluent-bit", problems);
  if (shipper === "fluent-bit" && rules !== "falco") {
    const why = "rules in the agent see only records that the agent reads";
    problems.push(`${names.shipper} is "fluent-bit" and needs ${names.rules}=falco: ${why}`);
  }
  return {
    ...(rules === "falco" ? { falco: readFalcoSettings(env, problems) } : {}),
    ...(shipper === "fluent-bit" ? { fluentBit: readFluentBitSettings(env, problems) } : {}),
  };
}

function oneOf(env: Env, name: string, program: string, problems: string[]): string {
  const text = textOf(env, name) ?? "builtin";
  if (text !== "builtin" && text !== program) {
    problems.push(`${name} is "${text}": use builtin or ${program}`);
  }
  return text;
}
