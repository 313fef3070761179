import {
  builtInSources,
  engineVersion,
  fieldClasses,
  type Finding,
  priorities,
  type RulesFile,
} from "#engine";
import { nearest } from "../nearest.ts";

/** What to do about an error or warning as it is shown to people; undefined where its own words say it. */
export function adviceFor(finding: Finding, shown: string, files: readonly RulesFile[]): string | undefined {
  const words = finding.message;
  for (const [pattern, advise] of byWords) {
    const found = pattern.exec(words);
    const advice = found === null ? undefined : advise(found[1] ?? "", { finding, shown, files });
    if (advice !== undefined) return advice;
  }
  return byCode[finding.code];
}

interface Around {
  readonly finding: Finding;
  /** With the place and a caret below it. */
  readonly shown: string;
  readonly files: readonly RulesFile[];
}

type Advise = (named: string, around: Around) => string | undefined;

const overrides =
  "fleetctl rules validate BASE.yaml OVERRIDES.yaml, so that the file that defines it comes first";

/** The first pattern that fits and knows something speaks. */
const byWords: readonly (readonly [RegExp, Advise])[] = [
  [/nonexistent field (\S+)/, (field, { files }) => adviceForField(field, files)],
  [
    /no field starts at '([^']*)'/,
    (text, { files }) => adviceForField(/^[\w.]*/.exec(text)?.[0] ?? text, files),
  ],
  [/requires an argument but none provided/, () => "give it one in brackets, such as ka.uri.param[command]"],
  [/^Undefined macro '([^']+)'/, adviceForMacro],
  [
    /not supported list filters/,
    () => "a list field takes in, intersects, pmatch and exists: FIELD intersects (a, b)",
  ],
  [/^unexpected token|^expected a/, adviceForToken],
  [/^Invalid priority/, () => `one of ${priorities.join(", ")}`],
  [
    /has no mapping for key '(condition|output|desc|priority)'/,
    (key) => `add "${key}:"; a rule needs condition, output, desc and priority`,
  ],
  [/has no mapping for key '(\w+)'/, (key) => `add "${key}:"`],
  [/is not yaml array of objects|^Rules content is not yaml/, adviceForContent],
  [/no rule by that name|no macro by that name|no list by that name/, () => overrides],
  [
    /re-defined with a different source/,
    () =>
      "repeat the source of the first definition, such as source: k8s_audit; without it a rule is for syscall",
  ],
  [
    /^Unknown source (\S+),/,
    (source) => near(source, builtInSources) ?? `one of ${builtInSources.join(", ")}`,
  ],
  [/^Unknown key '([^']+)'/, (key) => near(key, itemKeys)],
  [/engine version/, () => `rules for engine version ${engineVersion} or older`],
  [/^Unknown top level item/, () => "begin each item with one of rule, macro, list"],
  [
    /corresponding entry under 'override'/,
    () => "name the key under override too, such as override: { condition: append }",
  ],
];

const byCode: Partial<Record<Finding["code"], string>> = {
  LOAD_ERR_YAML_PARSE: "indent with blanks, and put a text that holds ': ' or ' #' in quotes or behind >",
  LOAD_UNUSED_MACRO: "use it in a condition, or take it out",
  LOAD_UNUSED_LIST: "use it as in (LIST), or take it out",
  LOAD_UNSAFE_NA_CHECK: "a missing field is never <NA> in a condition; ask with exists",
  LOAD_NO_EVTTYPE: "begin the condition with the calls it is about, such as evt.type in (execve, execveat)",
};

const itemKeys = [
  "rule",
  "macro",
  "list",
  "items",
  "desc",
  "condition",
  "output",
  "priority",
  "source",
  "tags",
  "enabled",
  "exceptions",
  "override",
  "append",
  "warn_evttypes",
  "skip-if-unknown-filter",
];

function near(word: string, names: readonly string[]): string | undefined {
  const found = nearest(word, names).map((name) => `"${name}"`);
  return found.length === 0 ? undefined : `is ${found.join(" or ")} meant?`;
}

function adviceForField(written: string, files: readonly RulesFile[]): string {
  const isInRules = files.some(({ content }) => content.includes(written));
  if (!isInRules) return `${written} is not in the rules: look at append_output of the configuration`;
  const name = written.replace(/\[.*$/, "");
  const own = fieldClasses.find(({ fields }) => fields.some((field) => field.name === name));
  const [source] = own?.sources ?? [];
  if (source !== undefined) {
    const silent = source === "syscall" ? "" : "; a rule without source is for syscall";
    return `${name} is a field of source ${source}: add "source: ${source}" to the rule${silent}`;
  }
  const [prefix = ""] = name.split(".");
  const alike = fieldClasses
    .flatMap(({ fields }) => fields.map((field) => field.name))
    .filter((field) => field.startsWith(`${prefix}.`));
  const all = "fleetctl rules fields lists them all";
  const meant = near(name, alike);
  return meant === undefined ? all : `${meant} ${all}`;
}

function adviceForMacro(name: string, { files }: Around): string {
  const defined = (kind: string): readonly string[] =>
    files.flatMap(({ content }) =>
      [...content.matchAll(new RegExp(`^-\\s+${kind}:\\s*["']?([^\\s"'#]+)`, "gm"))].map(
        ([, found = ""]) => found,
      ),
    );
  if (defined("list").includes(name)) return `${name} is a list: FIELD in (${name})`;
  if (defined("macro").includes(name)) return `define macro ${name} before the macro that uses it`;
  if (["AND", "OR", "NOT"].includes(name)) {
    return `write ${name.toLowerCase()}: words of the language are lower case`;
  }
  const meant = near(name, defined("macro"));
  return `${meant === undefined ? "" : `${meant} `}"- macro: ${name}" defines it; a field has a point in its name`;
}

function adviceForToken(_named: string, { finding, shown }: Around): string | undefined {
  const [, line = "", caret = ""] = /^(.*)\n( *)\^/m.exec(shown) ?? [];
  const rest = line.slice(caret.length).trimStart();
  const word = /^\w+/.exec(rest)?.[0] ?? "";
  if (/^(?:AND|OR|NOT|IN|CONTAINS|STARTSWITH|ENDSWITH|EXISTS)$/i.test(word) && word !== word.toLowerCase()) {
    return `write ${word.toLowerCase()}: words of the language are lower case`;
  }
  if (rest.startsWith("&&") || rest.startsWith("||")) return "write and, or";
  if (rest.startsWith("!")) return "write not before the check, or the operator !=";
  if (rest.startsWith("[")) return "write a list in parentheses: FIELD in (a, b)";
  if (rest === "" && finding.message.includes("check operator")) {
    return "compare it, or ask for it: FIELD exists";
  }
  return instead.get(word);
}

/** Words of other languages. */
const instead: ReadonlyMap<string, string> = new Map([
  ["not", "put not before the whole check: not FIELD in (a, b)"],
  ["is", "write ="],
  ["equals", "write ="],
  ["eq", "write ="],
  ["like", "write contains, startswith, endswith, glob or regex"],
  ["matches", "write regex, or glob for *"],
  ["match", "write regex, or glob for *"],
]);

function adviceForContent(_named: string, { finding, files }: Around): string {
  const [location] = finding.context.locations;
  const content = files.find(({ name }) => name === location?.position.name)?.content ?? "";
  if (/^tests\s*:/m.test(content)) {
    return `it is a test file: fleetctl rules test ${location?.position.name ?? ""}`;
  }
  return 'begin each item with "- rule:", "- macro:" or "- list:"';
}
