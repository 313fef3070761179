/** Pages name commands and flags: one that is not there costs a reader an error and their trust in the page. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "@oclif/core/parser";
import { commandIds, loadCommand } from "../../cli/catalogue.ts";
import { blocksOf, wordsOf } from "./blocks.ts";

const root = join(import.meta.dirname, "..", "..");
const pages = ["README.md", ...globSync("docs/**/*.md", { cwd: root })]
  .filter((page) => !page.startsWith(join("docs", "decisions")))
  .map((page) => ({ page, text: readFileSync(join(root, page), "utf8") }));
const ids = new Set(commandIds());

/** The command that the words begin with, and the rest of them; undefined when there is none. */
function commandIn(words: readonly string[]): { id: string; rest: readonly string[] } | undefined {
  for (let count = Math.min(3, words.length); count > 0; count -= 1) {
    const id = words.slice(0, count).join(":");
    if (ids.has(id)) return { id, rest: words.slice(count) };
  }
  return undefined;
}

/** Command lines of blocks, those that go on after a backslash whole. */
const lines = pages.flatMap(({ page, text }) =>
  blocksOf(text)
    .filter(({ language }) => language === "sh")
    .flatMap((block) => block.text.replaceAll(/\\\n\s*/g, " ").split("\n"))
    .flatMap((line) => /(?:^|(?:[|;&]|\$\()\s*)(fleetctl\s.*)$/.exec(line)?.[1] ?? [])
    .map((line) => ({ page, line })),
);

/** Commands within sentences, which may leave out what everybody knows. */
const mentions = pages.flatMap(({ page, text }) => {
  const prose = text.replaceAll(/^```[\s\S]*?^```$/gm, "");
  return [...prose.matchAll(/`fleetctl ([a-z][^`]*)`/g)].map(([, line = ""]) => ({ page, line }));
});

test("each command line of a page is one that fleetctl takes as it stands there", async () => {
  assert.ok(lines.length > 120, `the rule must not pass because it saw nothing: ${lines.length}`);
  const wrong: string[] = [];
  for (const { page, line } of lines) {
    const found = commandIn(wordsOf(line).slice(1));
    if (found === undefined) {
      wrong.push(`${page}: ${line}: no such command`);
      continue;
    }
    const { baseFlags, flags, args, strict } = await loadCommand(found.id);
    // What stands before every command.
    if (found.rest.includes("--help")) continue;
    const known = { flags: { ...baseFlags, ...flags }, args, strict };
    await parse([...found.rest], known).catch((error: unknown) => {
      wrong.push(`${page}: ${line}: ${error instanceof Error ? error.message : String(error)}`);
    });
  }
  assert.deepEqual(wrong, []);
});

test("each command that a sentence names is there, with the flags that it is named with", async () => {
  assert.ok(mentions.length > 60, `the rule must not pass because it saw nothing: ${mentions.length}`);
  const wrong: string[] = [];
  for (const { page, line } of mentions) {
    const words = wordsOf(line);
    const found = commandIn(words);
    // A noun alone names all of its commands.
    if (found === undefined) {
      const isNoun = [...ids].some((id) =>
        id.startsWith(`${words.filter((w) => /^[a-z]/.test(w)).join(":")}:`),
      );
      if (!isNoun) wrong.push(`${page}: ${line}: no such command`);
      continue;
    }
    const { baseFlags, flags } = await loadCommand(found.id);
    const named = found.rest.flatMap((word) => /^\[?--(?:no-)?([a-z-]+)/.exec(word)?.[1] ?? []);
    const unknown = named.filter((name) => !(name in { ...baseFlags, ...flags }) && name !== "help");
    if (unknown.length > 0) wrong.push(`${page}: ${line}: no flag ${unknown.join(", ")}`);
  }
  assert.deepEqual(wrong, []);
});
