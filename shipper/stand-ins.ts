import { readConfig, type ParsedConfig, type Reading } from "./parse.ts";
import { readFiles } from "./read-files.ts";
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
  return readWithStandIns(files, given).parsed;
}

/** The same, with what the config was made of. */
export function readWithStandIns(files: readonly ConfigFile[], given: Variables): Reading {
  const tried = [...openVariables(files, given)].slice(0, variablesTriedMax);
  let variables: Variables = {
    ...given,
    ...Object.fromEntries(tried.map((name) => [name, standIns[0] ?? ""])),
  };
  let reading = readConfig(files, variables);
  for (const name of tried) {
    for (const standIn of standIns.slice(1)) {
      if (reading.parsed.ok) break;
      const next = { ...variables, [name]: standIn };
      const again = readConfig(files, next);
      if (!again.parsed.ok && again.parsed.problems.length >= reading.parsed.problems.length) continue;
      variables = next;
      reading = again;
    }
  }
  return reading;
}

/** Variables of a config that neither somebody gave nor the config sets itself. */
function openVariables(files: readonly ConfigFile[], given: Variables): ReadonlySet<string> {
  const { sections } = readFiles(files);
  const own = new Set(
    sections.flatMap(({ kind, entries }) => (kind === "env" ? entries.map(({ key }) => key) : [])),
  );
  const found = files.flatMap(({ content }) => [...content.matchAll(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g)]);
  const names = found.map(([, name = ""]) => name);
  return new Set(names.filter((name) => given[name] === undefined && !own.has(name)));
}
