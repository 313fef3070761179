import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { commandIds, type CommandFacts, describeCommand } from "./catalogue.ts";
import { topics } from "./topics.ts";

const golden = join(import.meta.dirname, "../test/golden/cli.txt");

async function surface(): Promise<{ commands: readonly CommandFacts[] }> {
  return { commands: await Promise.all(commandIds().map(describeCommand)) };
}

/** One command as lines: what a script may rely on. */
function describe(command: CommandFacts): string[] {
  const args = Object.values(command.args).map((arg) =>
    arg.required === true ? ` ${arg.name.toUpperCase()}` : ` [${arg.name.toUpperCase()}]`,
  );
  const flags = Object.values(command.flags)
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map((flag) => {
      const char = flag.char === undefined ? "" : `-${flag.char}, `;
      const value =
        flag.type === "boolean"
          ? flag.allowNo
            ? " (--no- too)"
            : ""
          : `=${flag.options?.join("|") ?? [flag.helpValue ?? ""].flat().join(" ")}`;
      const marks = [
        flag.required === true ? "required" : "",
        "multiple" in flag && flag.multiple ? "repeatable" : "",
      ];
      const rest = marks.filter((mark) => mark !== "").join(", ");
      return `  ${char}--${flag.name}${value}${rest === "" ? "" : ` (${rest})`} [${flag.env ?? "NO ENVIRONMENT NAME"}]`;
    });
  return [
    `fleetctl ${command.id.replaceAll(":", " ")}${args.join("")}`,
    `  ${command.summary ?? ""}`,
    ...flags,
    "",
  ];
}

test("the commands and flags are those that were agreed on", async (t) => {
  const { commands } = await surface();
  t.assert.fileSnapshot(commands.flatMap(describe).join("\n"), golden, { serializers: [String] });
});

test("every command file can be loaded, so that help lists all of them", async () => {
  const { commands } = await surface();
  assert.deepEqual(
    commands.map(({ id }) => id),
    commandIds().toSorted(),
  );
});

test("every command has a summary that is a sentence, and at least two examples with a sentence each", async () => {
  const { commands } = await surface();
  for (const { id, summary = "", description = "", examples = [] } of commands) {
    assert.match(summary, /^[A-Z][a-z]+ .*[^.]\.$/, id);
    assert.match(description, /^[A-Z0-9-].*\.$/s, id);
    assert.ok(examples.length >= 2, id);
    for (const example of examples) {
      assert.ok(typeof example === "object", id);
      assert.match(example.description, /[.?:]$/, id);
      assert.match(example.command, /<%= config\.bin %>/, id);
    }
  }
});

test("every flag has an environment name, a summary that is a sentence, and no name means two things", async () => {
  const { commands } = await surface();
  const flagOf = new Map<string, string>();
  for (const { id, flags } of commands) {
    for (const flag of Object.values(flags)) {
      const env = flag.env ?? "";
      assert.match(env, /^(FLEETCTL|FALCONRY_UP)_[A-Z_]+$/, `${id} --${flag.name}`);
      assert.match(flag.summary ?? "", /\.$/, `${id} --${flag.name}`);
      assert.equal(flagOf.get(env) ?? flag.name, flag.name, env);
      flagOf.set(env, flag.name);
    }
  }
});

test("every noun has a description for the list of nouns", () => {
  const nouns = new Set(
    commandIds().flatMap((id) => {
      const words = id.split(":").slice(0, -1);
      return words.map((_, i) => words.slice(0, i + 1).join(":"));
    }),
  );
  assert.deepEqual([...nouns].sort(), Object.keys(topics).toSorted());
});
