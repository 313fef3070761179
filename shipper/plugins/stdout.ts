import type { StdoutConfig } from "../config.ts";
import type { Options } from "../options.ts";
import { outputOptions, readOutputBase } from "./common.ts";
import type { Plugin } from "./common.ts";
import { jsonDateOptions, readJsonDate } from "./json-date.ts";

const formats = ["json_lines", "json", "json_stream"] as const;

/** `stdout`. Fluent Bit's own format is a print of msgpack for people, which no program reads: it has to be another one. */
export const stdout: Plugin<StdoutConfig> = {
  name: "stdout",
  options: { ...outputOptions, ...jsonDateOptions, format: "used" },
  read(options, alias) {
    return {
      ...readOutputBase(options, alias),
      plugin: "stdout",
      format: readFormat(options),
      ...readJsonDate(options),
    };
  },
};

function readFormat(options: Options): StdoutConfig["format"] {
  const written = options.text("format")?.toLowerCase();
  if (written === undefined || written === "msgpack") {
    const what = written === undefined ? '"format" is missing' : '"format msgpack" is not supported';
    const place = options.entry("format") ?? options.section;
    options.refuse(place, `${what}: write "format json_lines" (supported: ${formats.join(", ")})`);
    return "json_lines";
  }
  return options.oneOf("format", formats, "json_lines");
}
