import assert from "node:assert/strict";
import { test } from "node:test";
import type { Bundle } from "#trust";
import { checkContents } from "./check-contents.ts";
import { bundleWith, layer } from "./fixture.ts";

async function why(bundle: Bundle): Promise<string> {
  const contents = checkContents(bundle);
  return contents.ok ? "" : contents.why;
}

const priority = (value: string) => `- rule: Exec\n  priority: ${value}\n  override: {priority: replace}\n`;

test("two layers of one level that contradict each other on some cluster are refused, with both places and a cluster", async () => {
  const bundle = bundleWith(
    layer("team", "payments", { team: "payments" }, priority("ERROR")),
    layer("team", "eu", { region: "eu" }, `\n${priority("INFO")}`),
  );
  assert.equal(
    await why(bundle),
    [
      "x@1.0.0 has layers that contradict each other:",
      "  the priority of rule 'Exec' is said twice:",
      "    layers/team-payments/tune.yaml:2:13 replaces it (layer team-payments, team=payments)",
      "    layers/team-eu/tune.yaml:3:13 replaces it (layer team-eu, region=eu)",
      "    both apply to a cluster with region=eu,team=payments",
      "Say it in one layer only, make the selectors exclude one another, or move one to another level (base < tribe < team < project < cluster: the later wins).",
    ].join("\n"),
  );
});

test("layers of different levels, and layers that no cluster has both of, may say different things", async () => {
  const other = layer("project", "eu", { region: "eu" }, priority("INFO"));
  const excluded = layer("team", "cards", { team: "cards" }, priority("INFO"));
  const one = layer("team", "payments", { team: "payments" }, priority("ERROR"));
  assert.equal(await why(bundleWith(one, other, excluded)), "");
});

test("two layers that load alone and break the rules together are refused, with the layers by name", async () => {
  const exception = (fields: string) =>
    `- rule: Exec\n  exceptions:\n    - {name: mine${fields}, values: [[a, b]]}\n  override: {exceptions: append}\n`;
  const fields = ", fields: [ka.user.name, ka.verb]";
  const bundle = bundleWith(
    layer("team", "a", { team: "a" }, exception(fields)),
    layer("project", "b", { project: "b" }, exception(fields)),
  );
  assert.match(
    await why(bundle),
    /^x@1\.0\.0 does not load with the layers team-a, project-b:\n[^]*layers\/project-b\/tune\.yaml: Invalid/,
  );
});

test("a layer that loads only with another one is refused for the clusters that have it alone", async () => {
  const bundle = bundleWith(
    layer("team", "a", { team: "a" }, "- macro: mine\n  condition: ka.verb = get\n"),
    layer(
      "project",
      "b",
      { project: "b" },
      "- rule: Exec\n  condition: and not mine\n  override: {condition: append}\n",
    ),
  );
  assert.match(await why(bundle), /does not load with the layers project-b:\n[^]*Undefined macro 'mine'/);
});

test("what is taken says how many combinations were loaded, and whether these were all", async () => {
  const teams = ["a", "b", "c"].map((team) => layer("team", team, { team }, priority("ERROR")));
  const contents = checkContents(bundleWith(...teams));
  assert.deepEqual(contents, {
    ok: true,
    counts: { rules: 2, macros: 1, lists: 1 },
    combinations: 4,
    isComplete: true,
  });
});
