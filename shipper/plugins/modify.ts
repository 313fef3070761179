import type { ModifyConfig, ModifyRule } from "../filter-config.ts";
import type { Options } from "../options.ts";
import { placeOf } from "../problem.ts";
import type { Entry } from "../section.ts";
import { splitQuoted } from "../words.ts";
import { matchOptions, readMatch } from "./common.ts";
import type { Plugin } from "./common.ts";
import { checkCount, readConditions, readRegex, readWords } from "./filter-common.ts";

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
  options: {
    ...matchOptions,
    condition: "used",
    set: "used",
    add: "used",
    add_if_not_present: "used",
    remove: "used",
    remove_wildcard: "used",
    remove_regex: "used",
    rename: "used",
    hard_rename: "used",
    copy: "used",
    hard_copy: "used",
    move_to_start: "used",
    move_to_end: "used",
  },
  read(options, alias) {
    const rules = options.section.entries.flatMap((entry) => readRule(options, entry) ?? []);
    if (rules.length === 0 && options.problems.length === 0) {
      options.refuse(options.section, 'Filter "modify" does nothing: add a rule, such as "Add KEY VALUE"');
    }
    checkCount(options, rules.length, "rules");
    const conditions = readConditions(options);
    const at = placeOf(options.section);
    return { plugin: "modify", at, alias, match: readMatch(options), conditions, rules };
  },
};

function readRule(options: Options, entry: Entry): ModifyRule | undefined {
  switch (entry.key) {
    case "add":
    case "add_if_not_present":
      return readAddition(options, entry, "add");
    case "set":
      return readAddition(options, entry, "set");
    case "remove":
    case "remove_wildcard":
    case "remove_regex":
    case "move_to_start":
    case "move_to_end":
      return readKeys(options, entry);
    case "rename":
    case "hard_rename":
      return readPair(options, entry, "rename");
    case "copy":
    case "hard_copy":
      return readPair(options, entry, "copy");
    default:
      return undefined;
  }
}

/** A rule that gives a key a value. A statement of the agent replaces what the record says. */
export function readAddition(options: Options, entry: Entry, kind: "add" | "set"): ModifyRule | undefined {
  const words = splitQuoted(entry.value, 2);
  const [first, second] = words;
  if (first === undefined || second === undefined) {
    options.refuse(entry, `"${entry.key} ${entry.value}" has to be "${entry.key} KEY VALUE"`);
    return undefined;
  }
  const key = options.expand(first, entry).text;
  const value = options.expand(second, entry);
  const isStatement = key.startsWith("x_") && value.facts.length > 0;
  return { kind: isStatement ? "set" : kind, key, value: value.text };
}

function readKeys(options: Options, entry: Entry): ModifyRule | undefined {
  const [word] = readWords(options, entry, 1, "KEY") ?? [];
  if (word === undefined) return undefined;
  if (entry.key === "remove") return { kind: "remove", keys: { kind: "is", text: word, ignoresCase: false } };
  if (entry.key === "remove_regex") {
    const text = readRegex(options, entry, word);
    return { kind: "remove", keys: { kind: "matches", text, ignoresCase: false } };
  }
  if (word.endsWith("*")) {
    const plain = word.slice(0, -1);
    options.warn(
      entry,
      `"${entry.key}" names how keys begin: write "${plain}", in Fluent Bit the * is a letter`,
    );
  }
  const keys = { kind: "begins", text: word.replace(/\*$/, ""), ignoresCase: false } as const;
  if (entry.key === "remove_wildcard") return { kind: "remove", keys };
  return { kind: "move", keys, to: entry.key === "move_to_start" ? "start" : "end" };
}

function readPair(options: Options, entry: Entry, kind: "rename" | "copy"): ModifyRule | undefined {
  const [key, to] = readWords(options, entry, 2, "KEY NEW_KEY") ?? [];
  if (key === undefined || to === undefined) return undefined;
  if (key === to) options.refuse(entry, `"${entry.key} ${entry.value}" names one key twice`);
  return { kind, key, to, isHard: entry.key.startsWith("hard_") };
}
