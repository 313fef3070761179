import { parseShipperConfig, type ParsedConfig } from "./parse.ts";
import type { ConfigFile } from "./section.ts";
import type { Variables } from "./variables.ts";

/** A config with more variables than this is refused for those that are left without a value. */
const variablesTriedMax = 100;

/** What may stand for a variable that only the agent knows: a digit is a name and a number, the other a path and a secret. */
const standIns = ["1", "/variable-of-the-agent"];

/**
 * Parses a config away from the agents that will run it: whatever of its variables is not given gets a stand-in. Which
 * stand-in fits shows in trying: one is kept where it leaves fewer problems. What remains is wrong whatever the
 * variables hold.
 */
export function parseWithStandIns(files: readonly ConfigFile[], given: Variables = {}): ParsedConfig {
  const found = files.flatMap(({ content }) => [...content.matchAll(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g)]);
  const names = new Set(found.map(([, name = ""]) => name).filter((name) => given[name] === undefined));
  const tried = [...names].slice(0, variablesTriedMax);
  let variables: Variables = {
    ...given,
    ...Object.fromEntries(tried.map((name) => [name, standIns[0] ?? ""])),
  };
  let parsed = parseShipperConfig(files, variables);
  for (const name of tried) {
    for (const standIn of standIns.slice(1)) {
      if (parsed.ok) break;
      const next = { ...variables, [name]: standIn };
      const again = parseShipperConfig(files, next);
      if (!again.ok && again.problems.length >= parsed.problems.length) continue;
      variables = next;
      parsed = again;
    }
  }
  return parsed;
}
