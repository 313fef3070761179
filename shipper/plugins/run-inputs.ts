import type { DummyConfig, StdinConfig } from "../config.ts";
import type { Options } from "../options.ts";
import { placeOf } from "../problem.ts";
import type { Plugin } from "./common.ts";
import { readTag } from "./http-input.ts";
import { readLineFormat } from "./line-format.ts";

/** `stdin`: JSON lines unless a parser says otherwise. It ends when its input does. */
export const stdin: Plugin<StdinConfig> = {
  name: "stdin",
  options: {
    name: "used",
    alias: "used",
    tag: "used",
    parser: "used",
    "multiline.parser": "used",
    key: "used",
    buffer_max_size: "used",
    skip_empty_lines: "used",
    buffer_size: { ignored: "lines are read as they come" },
    threaded: { ignored: "the pipeline has its own thread" },
  },
  read(options, alias) {
    return {
      plugin: "stdin",
      at: placeOf(options.section),
      alias,
      tag: readTag(options, alias),
      format: readLineFormat(options, "json"),
      lineBytesMax: options.size("buffer_max_size", 4_194_304, 4096, 67_108_864),
      skipEmptyLines: options.boolean("skip_empty_lines", false),
    };
  },
};

export const dummy: Plugin<DummyConfig> = {
  name: "dummy",
  options: {
    name: "used",
    alias: "used",
    tag: "used",
    dummy: "used",
    rate: "used",
    copies: "used",
    samples: "used",
    threaded: { ignored: "the pipeline has its own thread" },
  },
  read(options, alias) {
    const samples = options.integer("samples", 0, 0, 1_000_000_000);
    return {
      plugin: "dummy",
      at: placeOf(options.section),
      alias,
      tag: readTag(options, alias),
      record: readRecord(options),
      rate: options.integer("rate", 1, 1, 1_000_000),
      copies: options.integer("copies", 1, 1, 1000),
      samples: samples === 0 ? undefined : samples,
    };
  },
};

function readRecord(options: Options): string {
  const text = options.text("dummy", '{"message":"dummy"}');
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return text.replaceAll(/[\r\n]/g, " ");
    }
  } catch {
    // Said below, with the place.
  }
  options.refuse(
    options.entry("dummy") ?? options.section,
    `"dummy" is "${text}" and has to be a JSON object`,
  );
  return "{}";
}
