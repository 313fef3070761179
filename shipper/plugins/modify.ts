import type { ModifyConfig, ModifyRule } from "../config.ts";
import type { Options } from "../options.ts";
import { placeOf } from "../problem.ts";
import type { Entry } from "../section.ts";
import { matchOptions, readMatch } from "./common.ts";
import type { Plugin } from "./common.ts";

const rulesMax = 64;

/**
 * `modify`, with one rule beyond Fluent Bit's: `Add x_KEY ${FACT}` overrides the record.
 *
 * In Fluent Bit `Add` leaves a key alone that is there already, so whoever can write an `x_cluster` field into a record
 * decides where it seems to come from. A key that begins with `x_` and whose value is made of facts of the agent
 * (x_region, x_team, x_environment, x_cluster) is a statement of the agent, and a record cannot contradict it: the rule
 * becomes a `set`. Everything else keeps Fluent Bit's meaning, `Add` with values of the config's own `env` included.
 */
export const modify: Plugin<ModifyConfig> = {
  name: "modify",
  options: { ...matchOptions, add: "used", set: "used", remove: "used", rename: "used", copy: "used" },
  read(options, alias) {
    const rules: ModifyRule[] = [];
    for (const entry of options.section.entries) {
      const rule = readRule(options, entry);
      if (rule !== undefined) rules.push(rule);
    }
    if (rules.length === 0 && options.problems.length === 0) {
      options.refuse(options.section, 'Filter "modify" does nothing: add a rule, such as "Add KEY VALUE"');
    }
    if (rules.length > rulesMax) {
      options.refuse(
        options.section,
        `Filter "modify" has ${rules.length} rules and may have ${rulesMax}: split it`,
      );
    }
    return { plugin: "modify", at: placeOf(options.section), alias, match: readMatch(options), rules };
  },
};

function readRule(options: Options, entry: Entry): ModifyRule | undefined {
  const kind = entry.key;
  if (kind !== "add" && kind !== "set" && kind !== "remove" && kind !== "rename" && kind !== "copy") {
    return undefined;
  }
  // Words are split before variables are filled in, so that no fact can become two words.
  const words = splitWords(entry.value);
  const wanted = kind === "remove" ? 1 : 2;
  if (words.length !== wanted) {
    const example = {
      add: "KEY VALUE",
      set: "KEY VALUE",
      remove: "KEY",
      rename: "KEY NEW_KEY",
      copy: "KEY NEW_KEY",
    };
    options.refuse(entry, `"${kind} ${entry.value}" has to be "${kind} ${example[kind]}"`);
    return undefined;
  }
  const key = options.expand(words[0] ?? "", entry).text;
  if (kind === "remove") return { kind, key };
  const second = options.expand(words[1] ?? "", entry);
  if (kind === "rename" || kind === "copy") return { kind, key, to: second.text };
  const isStatement = key.startsWith("x_") && second.facts.length > 0;
  return { kind: isStatement ? "set" : kind, key, value: second.text };
}

/** One word, then the rest of the line; either may stand in double quotes, with `\"` for a quote. */
function splitWords(text: string): string[] {
  const parts = /^("(?:[^"\\]|\\.)*"|\S+)(?:\s+(.+))?$/.exec(text.trim());
  return [parts?.[1], parts?.[2]].filter((word) => word !== undefined).map(unquote);
}

function unquote(word: string): string {
  const inner = /^"((?:[^"\\]|\\.)*)"$/.exec(word)?.[1];
  return inner === undefined ? word : inner.replaceAll(/\\(["\\])/g, "$1");
}
