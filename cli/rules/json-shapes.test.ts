import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { runCli } from "../../test/support/run-cli.ts";

/** What scripts read with `-o json`: the members of each answer and, behind a point, those of the first thing in a list. */
const rules = `- macro: read
  condition: ka.verb = get
- rule: Read
  desc: d
  condition: read
  output: read by %ka.user.name
  priority: WARNING
  source: k8s_audit
  tags: [T1552]
`;
const line = JSON.stringify({
  kind: "Event",
  auditID: "a",
  stageTimestamp: "2026-01-01T00:00:00Z",
  verb: "get",
  user: { username: "robot" },
  objectRef: { resource: "secrets", namespace: "n" },
});

let folder = "";
const at = (name: string): string => join(folder, name);
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "falconry-shapes-"));
  await writeFile(at("rules.yaml"), rules);
  await writeFile(at("more.yaml"), rules.replace("priority: WARNING", "priority: ERROR"));
  await writeFile(at("events"), `${line}\n`.repeat(10));
  await writeFile(
    at("tests.yaml"),
    `rules: [rules.yaml]\ntests: [{ inline_events: [{ verb: get }], expect: {} }]\n`,
  );
  await writeFile(at("alerts"), (await fleetctl("run --rules @rules.yaml --events @events")).out);
});
after(() => rm(folder, { recursive: true }));

async function fleetctl(words: string): Promise<{ readonly out: string; readonly talk: string }> {
  return runCli([
    "rules",
    ...words.split(" ").map((word) => (word.startsWith("@") ? at(word.slice(1)) : word)),
  ]);
}

/** The members of a value, those of the first element of each list behind it. */
function shape(value: unknown, path = ""): readonly string[] {
  if (Array.isArray(value)) return value.length === 0 ? [] : shape(value[0], path);
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, member]) => {
    const here = path === "" ? key : `${path}.${key}`;
    return [here, ...(Array.isArray(member) && path === "" ? shape(member, here) : [])];
  });
}

const shapes: Readonly<Record<string, string>> = {
  "validate @rules.yaml":
    "falco_load_results falco_load_results.errors falco_load_results.name falco_load_results.schema_valid falco_load_results.schema_warnings falco_load_results.successful falco_load_results.warnings",
  "test @tests.yaml":
    "passed failed tests tests.file tests.line tests.name tests.ok tests.failures tests.notes",
  "explain --rules @rules.yaml --rule Read --event @events":
    "rule events events.ok events.matches events.enabled events.alerts events.says events.matching_rules events.decided_by events.condition",
  "fields --source k8s_audit":
    "fields fields.name fields.type fields.argument fields.doc fields.list fields.available fields.sources",
  "bench --rules @rules.yaml --events @events":
    "events bytes eventsPerSecond megabytesPerSecond withoutRules jsonParse alerts rules rules.rule rules.nanosecondsPerEvent rules.matches",
};

describe("with -o json a command answers with members that scripts may rely on", () => {
  for (const [words, members] of Object.entries(shapes)) {
    test(`rules ${words.split(" ")[0]}`, async () => {
      const { out } = await fleetctl(`${words} -o json`);
      assert.equal(shape(JSON.parse(out)).join(" "), members);
    });
  }

  test("rules run, whose counts are the last line on standard error", async () => {
    const { out, talk } = await fleetctl("run --rules @rules.yaml --events @events -o json");
    assert.equal(
      Object.keys(JSON.parse(out.split("\n")[0] ?? "")).join(" "),
      "hostname output output_fields priority rule source tags time",
    );
    const { byRule, byPriority, seconds, ...counts } = JSON.parse(talk.trimEnd().split("\n").at(-1) ?? "");
    assert.deepEqual(counts, { events: 10, alerts: 10, problems: 0 });
    assert.deepEqual([byRule, byPriority, typeof seconds], [{ Read: 10 }, { Warning: 10 }, "number"]);
  });

  test("rules diff", async () => {
    const { out } = await fleetctl("diff @rules.yaml @more.yaml -o json");
    const { changed, ...rest } = JSON.parse(out);
    assert.equal(changed[0].name, "Read");
    assert.ok(Object.keys(rest).length > 0);
  });

  test("rules coverage and rules tune", async () => {
    const coverage = JSON.parse((await fleetctl("coverage @rules.yaml -o json")).out);
    for (const member of ["techniques", "tacticsWithout", "rulesWithout", "resources"]) {
      assert.ok(member in coverage);
    }
    const tuning = JSON.parse((await fleetctl("tune --alerts @alerts --rules @rules.yaml -o json")).out);
    assert.equal(tuning.alerts, 10);
    assert.deepEqual(
      tuning.rules.map(({ rule }: { rule: string }) => rule),
      ["Read"],
    );
    assert.equal(tuning.rules[0].proposals[0].alerts, 10);
    assert.match(tuning.override, /override:/);
  });
});
