import type { ModifyConfig, ModifyRule } from "../filter-config.ts";
import type { Options } from "../options.ts";
import { placeOf } from "../problem.ts";
import { matchOptions, readMatch } from "./common.ts";
import type { Plugin } from "./common.ts";

const known = ["region", "team", "environment", "cluster", "tribe", "project", "node"] as const;
const usual = "region, team, environment, cluster";

/**
 * `cluster_facts`, ours: says of each record where it comes from, as `x_region`, `x_team`, `x_environment`, `x_cluster`.
 * What a record says itself under these keys is replaced, and removed where the agent knows no such fact.
 */
export const clusterFacts: Plugin<ModifyConfig> = {
  name: "cluster_facts",
  options: { ...matchOptions, facts: "used", prefix: "used" },
  read(options, alias) {
    const prefix = options.text("prefix", "x_");
    const rules = readFacts(options).map((name): ModifyRule => {
      const key = `${prefix}${name}`;
      const value = options.fact(name.toUpperCase());
      if (value !== "") return { kind: "set", key, value };
      return { kind: "remove", keys: { kind: "is", text: key, ignoresCase: false } };
    });
    const at = placeOf(options.section);
    return { plugin: "cluster_facts", at, alias, match: readMatch(options), conditions: [], rules };
  },
};

function readFacts(options: Options): readonly string[] {
  const names = options
    .text("facts", usual)
    .split(/[\s,]+/)
    .filter((name) => name !== "")
    .map((name) => name.toLowerCase());
  const place = options.entry("facts") ?? options.section;
  for (const name of names) {
    if (known.some((one) => one === name)) continue;
    options.refuse(place, `"${name}" is no fact of a cluster. Known facts: ${known.join(", ")}`);
  }
  if (names.length === 0) options.refuse(place, `"facts" names none. Known facts: ${known.join(", ")}`);
  return [...new Set(names)];
}
