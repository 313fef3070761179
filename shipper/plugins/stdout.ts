import type { StdoutConfig } from "../config.ts";
import { outputOptions, readOutputBase } from "./common.ts";
import type { Plugin } from "./common.ts";

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
