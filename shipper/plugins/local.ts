import type { DetectConfig, FileConfig, FleetConfig, NullConfig, StdoutConfig } from "../config.ts";
import type { Options } from "../options.ts";
import { outputOptions, readOutputBase } from "./common.ts";
import type { Plugin } from "./common.ts";

/** `file`, format `plain`: one record a line, appended as it is. */
export const file: Plugin<FileConfig> = {
  name: "file",
  options: {
    ...outputOptions,
    path: "used",
    file: "used",
    format: "used",
    mkdir: { ignored: "missing folders are always made" },
  },
  read(options, alias) {
    const directory = options.required("path", '"path /var/lib/...": the folder to write to');
    if (directory !== "" && !directory.startsWith("/")) {
      options.refuse(
        options.entry("path") ?? options.section,
        `"path" is "${directory}" and has to be absolute`,
      );
    }
    if (options.text("format", "")?.toLowerCase() !== "plain") {
      const place = options.entry("format") ?? options.section;
      options.refuse(place, 'Only "format plain" (JSON lines) is supported for output "file": write it so');
    }
    const name = options.text("file");
    if (name !== undefined && (name === "" || name === "." || name === ".." || name.includes("/"))) {
      options.refuse(
        options.entry("file") ?? options.section,
        `"file" is "${name}" and has to be a plain file name`,
      );
    }
    return { ...readOutputBase(options, alias), plugin: "file", directory, file: name };
  },
};

export const stdout: Plugin<StdoutConfig> = {
  name: "stdout",
  options: { ...outputOptions, format: "used" },
  read(options, alias) {
    if (options.text("format", "")?.toLowerCase() !== "json_lines") {
      const place = options.entry("format") ?? options.section;
      options.refuse(place, 'Only "format json_lines" is supported for output "stdout": write it so');
    }
    return { ...readOutputBase(options, alias), plugin: "stdout" };
  },
};

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
