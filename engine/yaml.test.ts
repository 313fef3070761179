import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { LoadProblem } from "./findings.ts";
import { SourceText } from "./source-text.ts";
import { parseYaml, type YamlNode } from "./yaml.ts";

function parse(text: string): readonly YamlNode[] {
  return parseYaml(new SourceText("rules.yaml", text), false);
}

/** Lists in brackets, maps in braces, nulls as `~`, scalars in quotes; keys that are no scalars as `?`. */
function shape(node: YamlNode): string {
  if (node.kind === "list") return `[${node.items.map(shape).join(" ")}]`;
  if (node.kind === "map") {
    return `{${node.entries.map(({ key, value }) => `${key ?? "?"}: ${shape(value)}`).join(" ")}}`;
  }
  return node.isNull ? "~" : JSON.stringify(node.text);
}

/** What a text holds, or what is wrong with it. */
function read(text: string): string {
  try {
    return parse(text).map(shape).join(" --- ");
  } catch (error) {
    if (error instanceof LoadProblem) return `${error.code} ${error.message}`;
    throw error;
  }
}

const taken: readonly (readonly [string, string, string])[] = [
  ["nothing", "", ""],
  ["a comment alone", "# x\n", ""],
  ["blocks", "- a: b\n  c:\n  - d\n  -\n", '[{a: "b" c: ["d" ~]}]'],
  ["a key whose value is on the next line", "- a:\n    b\n", '[{a: "b"}]'],
  [
    "scalars as they are written",
    "- [1.50, 0x1F, yes, 2024-01-01]\n",
    '[["1.50" "0x1F" "yes" "2024-01-01"]]',
  ],
  ["nulls, but only plain ones", "- [~, null, NULL, '', '~', nULL]\n", '[[~ ~ ~ "" "~" "nULL"]]'],
  ["brackets that close at any column", "- items: [\n  a,\nb,\n]\n", '[{items: ["a" "b"]}]'],
  ["quotes that go on at any column", '- output: "user=a\n  verb=b\nc"\n', '[{output: "user=a verb=b c"}]'],
  ["a quote that is never closed", '- a: "x\n  b: y\n', '[{a: "x b: y "}]'],
  ["folded lines", "- >\n  a\n  b\n\n  c\n    d\n  e\n", '["a b\\nc\\n  d\\ne\\n"]'],
  ["literal lines", "- |\n  a\n   b\n\n", '["a\\n b\\n"]'],
  ["line ends that are stripped and kept", "- |-\n  a\n\n- |+\n  b\n\n\n- c\n", '["a" "b\\n\\n\\n" "c"]'],
  ["an indentation of one's own", "- |2\n    a\n", '["  a\\n"]'],
  ["plain text on several lines", "- a: b\n    c\n\n    d\n", '[{a: "b c\\nd"}]'],
  ["escapes", '- "\\x41\\u00e9\\n\\"\\\\"\n', '["A\u00e9\\n\\"\\\\"]'],
  ["a quote in single quotes", "- 'it''s'\n", '["it\'s"]'],
  ["a comment behind a bracket", "- [a]#b\n", '[["a"]]'],
  ["a colon inside plain text", "- http://a.b:80\n- a:b\n", '["http://a.b:80" "a:b"]'],
  ["a hash inside plain text", "- a#b #c\n", '["a#b"]'],
  ["flow maps and pairs", "- {a: b, c, 'd':e}\n- [f: g]\n", '[{a: "b" c: ~ d: "e"} [{f: "g"}]]'],
  ["several documents", "---\n- a\n...\n---\n- b\n", '["a"] --- ["b"]'],
  ["an item further out as a document of its own", "  - a\n- b\n", '["a"] --- ["b"]'],
  ["a byte order mark", "\ufeff- a\n", '["a"]'],
  ["Windows line ends", "- a: >\r\n    b\r\n    c\r\n  d: e\r\n", '[{a: "b c\\n" d: "e"}]'],
  ["keys that are no words", "- ~: a\n- [b]: c\n", '[{null: "a"} {?: "c"}]'],
  ["a tag, which makes text of a null", "- !x ~\n- !y\n", '["~" ""]'],
  ["an anchor that nothing refers to", "- &a [b, c]\n", '[["b" "c"]]'],
];
describe("a rules file is read", () => {
  for (const [what, text, want] of taken) test(what, () => assert.equal(read(text), want));
});

const refused: readonly (readonly [string, string, string])[] = [
  ["a list without an end", "- [a\n", "2, column 1: end of sequence flow not found"],
  ["a map without an end", "- {a: b\n", "2, column 1: end of map flow not found"],
  ["a quote at the end of the file", '- "a', "1, column 1: illegal EOF in scalar"],
  ["two values in one line", "- a: b: c\n", "1, column 7: illegal map value"],
  ["a key that is too far in", "- a: b\n   c: d\n", "2, column 5: illegal map value"],
  ["a key that is too far out", "- a: b\n c: d\n", "2, column 2: end of sequence not found"],
  ["an item where a key must be", "a: b\n- c\n", "2, column 1: end of map not found"],
  ["text behind a quote", '- a: "b" c\n', "1, column 10: end of map not found"],
  ["an item behind a key", "- a: - b\n", "1, column 6: illegal block entry"],
  ["a field of an output without quotes", "- output: %ka.verb\n", "1, column 11: unknown token"],
  ["a tab before text", "- a: b\n\tc\n", "2, column 1: illegal tab when looking for indentation"],
  ["a bracket too many", "- [a]]\n", "1, column 6: illegal flow end"],
  ["an escape that is none", '- "\\d"\n', "1, column 6: unknown escape character: d"],
  ["an alias of nothing", "- *a\n", "1, column 3: the referenced anchor is not defined"],
  ["something that starts nothing", ", a\n", "1, column 1: unknown token"],
];
describe("a rules file is refused in the words of Falco's YAML library", () => {
  for (const [what, text, want] of refused) {
    test(what, () => assert.equal(read(text), `LOAD_ERR_YAML_PARSE yaml-cpp: error at line ${want}`));
  }
});

test("limits are told in words of our own", () => {
  for (const [text, words] of [
    [`- ${"[".repeat(100_000)}`, "Rules content nests deeper than 32"],
    ["- ".repeat(100_000), "Rules content nests deeper than 32"],
    [`- [${"a, ".repeat(1_000_000)}]\n`, "Rules content has more than 1000000 nodes"],
  ] as const) {
    assert.equal(read(text), `LOAD_ERR_YAML_PARSE ${words}`);
  }
});

test("aliases and repeated keys are YAML, and refused all the same", () => {
  const words = "YAML aliases are not allowed; write the value out";
  assert.equal(read("- &a [b]\n- *a\n"), `LOAD_ERR_YAML_VALIDATE ${words}`);
  assert.equal(read("- a: b\n  a: c\n"), "LOAD_ERR_YAML_VALIDATE Key 'a' is repeated; keep one of them");
});

test("a missing value is where the next thing starts", () => {
  const [list] = parse("- a:\n\n  # c\n  b: x\n  d:\n");
  const [map] = list?.kind === "list" ? list.items : [];
  const places = map?.kind === "map" ? map.entries.map(({ value }) => value.at) : [];
  assert.deepEqual(places, [14, 17, 24]);
});

test("any JSON is read as what it is, on one line and on many", () => {
  const scalar = fc.oneof(fc.string({ unit: "grapheme" }), fc.integer().map(String));
  const { json } = fc.letrec((tie) => ({
    json: fc.oneof(
      { maxDepth: 3 },
      scalar,
      fc.array(tie("json"), { maxLength: 4 }),
      fc.dictionary(fc.string({ unit: "grapheme", maxLength: 12 }), tie("json"), { maxKeys: 4 }),
    ),
  }));
  const expected = (value: unknown): string => {
    if (Array.isArray(value)) return `[${value.map(expected).join(" ")}]`;
    if (typeof value !== "object" || value === null) return JSON.stringify(value);
    return `{${Object.entries(value)
      .map(([key, one]) => `${key}: ${expected(one)}`)
      .join(" ")}}`;
  };
  fc.assert(
    fc.property(json, (value) => {
      const want = expected([value]);
      assert.equal(read(`- ${JSON.stringify(value)}\n`), want);
      assert.equal(read(JSON.stringify([value], undefined, 2)), want);
    }),
    { numRuns: 300 },
  );
});
