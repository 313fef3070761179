import type { NestConfig } from "../filter-config.ts";
import type { Options } from "../options.ts";
import { placeOf } from "../problem.ts";
import { matchOptions, readMatch } from "./common.ts";
import type { Plugin } from "./common.ts";
import { checkCount, readKeyTest } from "./filter-common.ts";

/** `nest`: keys into an object, or an object's keys to the top. */
export const nest: Plugin<NestConfig> = {
  name: "nest",
  options: {
    ...matchOptions,
    operation: "used",
    wildcard: "used",
    nest_under: "used",
    nested_under: "used",
    add_prefix: "used",
    prefix_with: "used",
    remove_prefix: "used",
  },
  read(options, alias) {
    const at = placeOf(options.section);
    const common = {
      plugin: "nest",
      at,
      alias,
      match: readMatch(options),
      prefix: readPrefix(options),
    } as const;
    if (readOperation(options) === "lift") {
      const under = options.required(
        "nested_under",
        '"Nested_under KEY": the object whose keys go to the top',
      );
      return { ...common, operation: "lift", under };
    }
    const wildcards = options.entries("wildcard");
    if (wildcards.length === 0) {
      options.refuse(options.section, '"wildcard" is missing: add "Wildcard KEY" or "Wildcard PREFIX*"');
    }
    checkCount(options, wildcards.length, "wildcards");
    const keys = wildcards.map((entry) => readKeyTest(options.expand(entry.value, entry).text, false));
    const under = options.required("nest_under", '"Nest_under KEY": the object that takes the keys');
    return { ...common, operation: "nest", keys, under };
  },
};

function readOperation(options: Options): "nest" | "lift" {
  if (options.entry("operation") === undefined) {
    options.refuse(options.section, '"operation" is missing: add "Operation nest" or "Operation lift"');
  }
  return options.oneOf("operation", ["nest", "lift"], "nest");
}

function readPrefix(options: Options): NestConfig["prefix"] {
  const added = options.text("add_prefix") ?? options.text("prefix_with");
  const removed = options.text("remove_prefix");
  if (added !== undefined && removed !== undefined) {
    options.refuse(
      options.section,
      '"add_prefix" and "remove_prefix" exclude one another: write one of them',
    );
  }
  if (added !== undefined) return { kind: "add", text: added };
  return removed === undefined ? undefined : { kind: "remove", text: removed };
}
