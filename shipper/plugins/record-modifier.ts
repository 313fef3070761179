import type { ModifyConfig, ModifyRule } from "../filter-config.ts";
import { placeOf } from "../problem.ts";
import { matchOptions, readMatch } from "./common.ts";
import type { Plugin } from "./common.ts";
import { checkCount, readKeyTest } from "./filter-common.ts";
import { readAddition } from "./modify.ts";

/**
 * `record_modifier`: keys are taken away first, then those of `Record` are put at the end. A key that the record has
 * already is replaced, where Fluent Bit would write it twice.
 */
export const recordModifier: Plugin<ModifyConfig> = {
  name: "record_modifier",
  options: {
    ...matchOptions,
    record: "used",
    remove_key: "used",
    allowlist_key: "used",
    whitelist_key: "used",
  },
  read(options, alias) {
    const keysOf = (...names: readonly string[]) =>
      options.section.entries
        .filter((entry) => names.includes(entry.key))
        .map((entry) => readKeyTest(options.expand(entry.value, entry).text, true));
    const removed = keysOf("remove_key");
    const kept = keysOf("allowlist_key", "whitelist_key");
    if (removed.length > 0 && kept.length > 0) {
      options.refuse(
        options.section,
        '"remove_key" and "allowlist_key" exclude one another: write one of them',
      );
    }
    const added = options.entries("record").flatMap((entry) => readAddition(options, entry, "set") ?? []);
    const rules: readonly ModifyRule[] = [
      ...removed.map((keys): ModifyRule => ({ kind: "remove", keys })),
      ...(kept.length === 0 ? [] : [{ kind: "keep", keys: kept } as const]),
      ...added,
    ];
    if (rules.length === 0 && options.problems.length === 0) {
      const example = 'add "Record KEY VALUE", "Remove_key KEY" or "Allowlist_key KEY"';
      options.refuse(options.section, `Filter "record_modifier" does nothing: ${example}`);
    }
    checkCount(options, removed.length + kept.length + added.length, "rules");
    const at = placeOf(options.section);
    return { plugin: "record_modifier", at, alias, match: readMatch(options), conditions: [], rules };
  },
};
