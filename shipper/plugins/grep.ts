import type { GrepConfig, GrepRule } from "../filter-config.ts";
import type { Options } from "../options.ts";
import { placeOf } from "../problem.ts";
import type { Entry } from "../section.ts";
import { splitWords } from "../words.ts";
import { matchOptions, readMatch } from "./common.ts";
import type { Plugin } from "./common.ts";
import { checkCount, readPath, readRegex } from "./filter-common.ts";

/**
 * `grep`. In `legacy`, the default, Fluent Bit decides by the first `regex` and never looks at what follows it. Rules that
 * would never count are refused here, as whoever wrote them believes that they do.
 */
export const grep: Plugin<GrepConfig> = {
  name: "grep",
  options: { ...matchOptions, regex: "used", exclude: "used", logical_op: "used" },
  read(options, alias) {
    const op = options.oneOf("logical_op", ["legacy", "and", "or"], "legacy");
    const entries = options.section.entries.filter(({ key }) => key === "regex" || key === "exclude");
    const rules = entries.flatMap((entry) => readRule(options, entry) ?? []);
    if (entries.length === 0) {
      const example = 'add "Regex KEY REGEX" or "Exclude KEY REGEX"';
      options.refuse(options.section, `Filter "grep" does nothing: ${example}`);
    }
    checkCount(options, rules.length, "rules");
    checkOrder(options, op, entries);
    return { plugin: "grep", at: placeOf(options.section), alias, match: readMatch(options), op, rules };
  },
};

function readRule(options: Options, entry: Entry): GrepRule | undefined {
  const [key, pattern] = splitWords(entry.value, 2);
  if (key === undefined || pattern === undefined) {
    options.refuse(entry, `"${entry.key} ${entry.value}" has to be "${entry.key} KEY REGEX"`);
    return undefined;
  }
  return {
    kind: entry.key === "exclude" ? "exclude" : "regex",
    path: readPath(options, entry, options.expand(key, entry).text),
    pattern: readRegex(options, entry, options.expand(pattern, entry).text),
    written: `${entry.key} ${entry.value}`.slice(0, 200),
  };
}

function checkOrder(options: Options, op: GrepConfig["op"], entries: readonly Entry[]): void {
  const first = entries.findIndex(({ key }) => key === "regex");
  if (op === "legacy") {
    const late = first === -1 ? undefined : entries[first + 1];
    if (late === undefined) return;
    const advice =
      late.key === "regex"
        ? 'add "Logical_Op and" or "Logical_Op or"'
        : "write every Exclude before the Regex";
    options.refuse(late, `This rule would never count, as a "regex" stands before it: ${advice}`);
  } else if (first !== -1 && entries.some(({ key }) => key === "exclude")) {
    const place = options.entry("logical_op") ?? options.section;
    options.refuse(place, `"logical_op ${op}" takes either regex or exclude: write two filters`);
  }
}
