import type { DetectConfig, FleetConfig, NullConfig } from "../config.ts";
import type { Options } from "../options.ts";
import { outputOptions, readOutputBase } from "./common.ts";
import type { Plugin } from "./common.ts";

/** `null` (to be quoted in YAML readers that know null; not here, where every scalar is text). */
export const discard: Plugin<NullConfig> = {
  name: "null",
  options: outputOptions,
  read: (options, alias) => ({ ...readOutputBase(options, alias), plugin: "null" }),
};

/** `detect`, ours: runs the assigned rules. Alerts come back to the router with the tag `alerts`, or `alert_tag`. */
export const detect: Plugin<DetectConfig> = {
  name: "detect",
  options: { ...outputOptions, alert_tag: "used" },
  read(options, alias) {
    return { ...readOutputBase(options, alias), plugin: "detect", alertTag: readTag(options) };
  },
};

/** `fleet`, ours: alerts to the control plane. */
export const fleet: Plugin<FleetConfig> = {
  name: "fleet",
  options: outputOptions,
  read: (options, alias) => ({ ...readOutputBase(options, alias), plugin: "fleet" }),
};

function readTag(options: Options): string {
  const tag = options.text("alert_tag", "alerts");
  if (/^[^\s*]{1,200}$/.test(tag)) return tag;
  options.refuse(
    options.entry("alert_tag") ?? options.section,
    `"alert_tag" is "${tag}" and has to be one word without *`,
  );
  return "alerts";
}
