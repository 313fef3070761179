import type { ConvertRule, TypeConverterConfig } from "../filter-config.ts";
import type { Options } from "../options.ts";
import { placeOf } from "../problem.ts";
import type { Entry } from "../section.ts";
import { matchOptions, readMatch } from "./common.ts";
import type { Plugin } from "./common.ts";
import { checkCount, readPath, readWords } from "./filter-common.ts";

/** What each kind of source can become; the rest makes no sense, or nothing of it. */
const targets: Readonly<Record<ConvertRule["from"], readonly ConvertRule["to"][]>> = {
  int: ["string", "float", "uint"],
  uint: ["string", "float", "int"],
  float: ["string", "int", "uint"],
  string: ["int", "uint", "float", "hex", "bool"],
};

const sources: Readonly<Record<string, ConvertRule["from"]>> = {
  int_key: "int",
  uint_key: "uint",
  float_key: "float",
  str_key: "string",
};

/** `type_converter`: puts a value under another key, as another type. */
export const typeConverter: Plugin<TypeConverterConfig> = {
  name: "type_converter",
  options: { ...matchOptions, int_key: "used", uint_key: "used", float_key: "used", str_key: "used" },
  read(options, alias) {
    const rules = options.section.entries.flatMap((entry) => readRule(options, entry) ?? []);
    if (rules.length === 0 && options.problems.length === 0) {
      options.refuse(
        options.section,
        'Filter "type_converter" does nothing: add "int_key KEY NEW_KEY string"',
      );
    }
    checkCount(options, rules.length, "rules");
    return {
      plugin: "type_converter",
      at: placeOf(options.section),
      alias,
      match: readMatch(options),
      rules,
    };
  },
};

function readRule(options: Options, entry: Entry): ConvertRule | undefined {
  const from = Object.hasOwn(sources, entry.key) ? sources[entry.key] : undefined;
  if (from === undefined) return undefined;
  const [source, key, type] = readWords(options, entry, 3, "KEY NEW_KEY TYPE") ?? [];
  if (source === undefined || key === undefined || type === undefined) return undefined;
  const to = targets[from].find((one) => one === type.toLowerCase());
  if (to === undefined) {
    const known = targets[from].join(", ");
    options.refuse(entry, `"${entry.key}" cannot become "${type}". It can become: ${known}`);
    return undefined;
  }
  return { from, path: readPath(options, entry, source), key, to };
}
