import { parseFieldPath } from "../field-path.ts";
import type { FieldPath } from "../field-path.ts";
import type { Condition, KeyTest } from "../filter-config.ts";
import { regexProblem } from "../match.ts";
import type { Options } from "../options.ts";
import type { Place } from "../problem.ts";
import type { Entry } from "../section.ts";
import { splitQuoted } from "../words.ts";

/** Most rules, conditions or fields of one filter: each costs every record. */
const rulesMax = 64;

/** Refuses a filter with too many of something. */
export function checkCount(options: Options, count: number, what: string): void {
  if (count <= rulesMax) return;
  options.refuse(options.section, `This filter has ${count} ${what} and may have ${rulesMax}: split it`);
}

/** The words of an entry with their variables filled in; they are split before, so that no fact can become two. */
export function readWords(
  options: Options,
  entry: Entry,
  count: number,
  form: string,
): readonly string[] | undefined {
  const words = splitQuoted(entry.value, count);
  if (words.length === count) return words.map((word) => options.expand(word, entry).text);
  options.refuse(entry, `"${entry.key} ${entry.value}" has to be "${entry.key} ${form}"`);
  return undefined;
}

/** The path that a word names; a wrong one is a problem, and then a path that nothing has comes back. */
export function readPath(options: Options, place: Place, text: string): FieldPath {
  const path = parseFieldPath(text);
  if (path !== undefined && !path.some((step) => step.kind === "any")) return path;
  options.refuse(place, `"${text}" is no field: write KEY, or $KEY['INNER'] for one inside an object`);
  return [{ kind: "key", name: text }];
}

/** The regular expression, after a look whether it can be used. */
export function readRegex(options: Options, place: Place, pattern: string): string {
  const why = regexProblem(pattern);
  if (why === undefined) return pattern;
  options.refuse(place, `The regular expression "${pattern}" cannot be used: ${why}`);
  return "";
}

/** `Mem.*` stands for all keys that begin with `Mem.`; a star elsewhere is a letter, as in Fluent Bit. */
export function readKeyTest(text: string, ignoresCase: boolean): KeyTest {
  return text.endsWith("*")
    ? { kind: "begins", text: text.slice(0, -1), ignoresCase }
    : { kind: "is", text, ignoresCase };
}

type Reader = (options: Options, entry: Entry, words: readonly string[]) => Condition;

const exists =
  (wanted: boolean): Reader =>
  (options, entry, [key = ""]) => ({ kind: "exists", path: readPath(options, entry, key), wanted });
const aKeyMatches =
  (wanted: boolean): Reader =>
  (options, entry, [keys = ""]) => ({ kind: "a-key-matches", keys: readRegex(options, entry, keys), wanted });
const equals =
  (wanted: boolean): Reader =>
  (options, entry, [key = "", value = ""]) => ({
    kind: "equals",
    path: readPath(options, entry, key),
    value,
    wanted,
  });
const matches =
  (wanted: boolean): Reader =>
  (options, entry, [key = "", pattern = ""]) => ({
    kind: "matches",
    path: readPath(options, entry, key),
    pattern: readRegex(options, entry, pattern),
    wanted,
  });
const matchingKeysMatch =
  (wanted: boolean): Reader =>
  (options, entry, [keys = "", pattern = ""]) => ({
    kind: "matching-keys-match",
    keys: readRegex(options, entry, keys),
    pattern: readRegex(options, entry, pattern),
    wanted,
  });

const kinds: ReadonlyMap<string, { readonly form: string; readonly read: Reader }> = new Map([
  ["key_exists", { form: "KEY", read: exists(true) }],
  ["key_does_not_exist", { form: "KEY", read: exists(false) }],
  ["a_key_matches", { form: "REGEX", read: aKeyMatches(true) }],
  ["no_key_matches", { form: "REGEX", read: aKeyMatches(false) }],
  ["key_value_equals", { form: "KEY VALUE", read: equals(true) }],
  ["key_value_does_not_equal", { form: "KEY VALUE", read: equals(false) }],
  ["key_value_matches", { form: "KEY REGEX", read: matches(true) }],
  ["key_value_does_not_match", { form: "KEY REGEX", read: matches(false) }],
  ["matching_keys_have_matching_values", { form: "KEY_REGEX VALUE_REGEX", read: matchingKeysMatch(true) }],
  [
    "matching_keys_do_not_have_matching_values",
    { form: "KEY_REGEX VALUE_REGEX", read: matchingKeysMatch(false) },
  ],
]);

/** The `condition` entries of a filter. All have to hold. */
export function readConditions(options: Options): readonly Condition[] {
  const entries = options.entries("condition");
  checkCount(options, entries.length, "conditions");
  return entries.flatMap((entry) => {
    const [name = ""] = splitQuoted(entry.value, 2);
    const kind = kinds.get(name.toLowerCase());
    if (kind === undefined) {
      const known = [...kinds.keys()].join(", ");
      options.refuse(entry, `Condition "${name}" does not exist. Supported conditions: ${known}`);
      return [];
    }
    const count = kind.form.split(" ").length + 1;
    const words = readWords(options, entry, count, `${name} ${kind.form}`);
    return words === undefined ? [] : [kind.read(options, entry, words.slice(1))];
  });
}
