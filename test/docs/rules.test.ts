import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { runCli } from "../support/run-cli.ts";
import { blocksOf, commandsOf, readPage, wordsOf, yamlOf } from "./blocks.ts";

const guide = readPage("rules.md");
const reference = readPage("rule-tests.md");

/** The commands of the guide, each with what the guide shows right after the block that ends with it. */
const shown = blocksOf(guide).flatMap((block, place, all) => {
  const lines = commandsOf(block);
  const next = all[place + 1];
  return lines.map((line, i) => ({
    line,
    output: next?.language === "" ? next.text : undefined,
    isLast: i === lines.length - 1,
  }));
});

function event(serial: number, parts: object): string {
  const stageTimestamp = `2026-01-02T03:04:${String(serial % 60).padStart(2, "0")}Z`;
  return JSON.stringify({
    kind: "Event",
    auditID: `${serial}`,
    stage: "ResponseComplete",
    stageTimestamp,
    ...parts,
  });
}

function issued(serial: number, username: string, namespace: string): string {
  const objectRef = {
    resource: "serviceaccounts",
    subresource: "token",
    namespace,
    name: `account-${serial}`,
  };
  return event(serial, { verb: "create", user: { username }, objectRef, responseStatus: { code: 201 } });
}

/** As many events and tokens as in the guide: 19 for the controllers of a cluster, 6 and 2 for two people. */
const auditLog = Array.from({ length: 6348 }, (_, i) => {
  if (i < 19) return issued(i, "system:kube-controller-manager", "kube-system");
  if (i < 25) return issued(i, "kubernetes-admin", `team-${i}`);
  if (i < 27) return issued(i, "mallory", "payments");
  return event(i, { verb: "list", user: { username: "alice" }, objectRef: { resource: "pods" } });
});

/** How long it took is another machine's. */
const timeless = (text: string): string => text.replace(/in [\d.]+s, [\d.]+k? a second/, "in a moment");

describe("the guide to rules does what it says", () => {
  const started = process.cwd();
  let folder = "";
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "falconry-guide-"));
    process.chdir(folder);
    const [rules = "", tests = "", overrides = ""] = yamlOf(guide);
    await writeFile("rules.yaml", rules);
    await writeFile("tests.yaml", tests);
    await writeFile("overrides.yaml", overrides);
    await writeFile("audit.log", auditLog.join("\n"));
    await writeFile("event.json", auditLog[0] ?? "");
  });
  after(async () => {
    process.chdir(started);
    await rm(folder, { recursive: true });
  });

  assert.ok(shown.length >= 9, "the guide has commands");
  assert.ok(shown.filter(({ output }) => output !== undefined).length >= 5, "the guide shows outputs");
  let seen = "";
  for (const { line, output, isLast } of shown) {
    test(line, async () => {
      const { code, out, talk } = await runCli(wordsOf(line).slice(1));
      assert.equal(code, 0, talk);
      const file = / > (\S+)$/.exec(line)?.[1];
      // What tune proposes is edited by hand in the guide, so its file stays as the guide shows it.
      if (file !== undefined && file !== "overrides.yaml") await writeFile(file, out);
      seen += timeless(file === undefined ? out : talk);
      if (isLast && output !== undefined) {
        assert.ok(seen.includes(timeless(output)), `the guide shows\n${output}\nand one sees\n${seen}`);
      }
      if (isLast) seen = "";
    });
  }

  test("a slip of the pen looks as the guide shows it", async () => {
    const [rules = ""] = yamlOf(guide);
    const right = await readFile("rules.yaml", "utf8");
    assert.equal(right, rules);
    await writeFile("rules.yaml", rules.replace("ka.response.code", "ka.responce.code"));
    const { code, out } = await runCli(["rules", "validate", "rules.yaml"]);
    await writeFile("rules.yaml", rules);
    assert.equal(code, 1);
    assert.ok(
      blocksOf(guide).some(({ text }) => text === out),
      out,
    );
  });

  test("what tune writes holds what the guide keeps of it", async () => {
    await runCli(["rules", "run", "--rules", "rules.yaml", "--events", "audit.log"]).then(({ out }) =>
      writeFile("all.jsonl", out),
    );
    const { out } = await runCli(["rules", "tune", "--alerts", "all.jsonl", "--rules", "rules.yaml"]);
    const [, , kept = ""] = yamlOf(guide);
    for (const line of kept.trim().split("\n")) assert.ok(out.includes(`${line}\n`), `${line}\n---\n${out}`);
  });

  test("people's alerts are left, the controllers' are gone", async () => {
    const alerts = await readFile("alerts.jsonl", "utf8");
    assert.equal(alerts.trim().split("\n").length, 8);
    assert.doesNotMatch(alerts, /kube-controller-manager/);
  });

  test("the reference's test file runs, and a misspelt rule fails as it shows", async () => {
    const [example = ""] = yamlOf(reference);
    const alone = example
      .replace(/^rules: .*\n/, "")
      .replace(/^ {4}events: .*\n/m, "")
      .replace("Pod Deleted: 3", "Pod Deleted: 1");
    await writeFile("tests.yaml", alone);
    assert.equal((await runCli(["rules", "test", "tests.yaml"])).out, "2 passed, 0 failed\n");
    const head = alone.slice(alone.indexOf("  - rule:"), alone.indexOf("rule_matching"));
    const misspelt = `tests:
  # A rule that is not there.
  - name: a misspelt rule
    inline_events: [{ verb: delete, objectRef: { resource: pods } }]
    expect: { alerts: { Pod Deletd: 1 } }
inline_rules: |
${head}`;
    await writeFile("tests.yaml", misspelt);
    const { out } = await runCli(["rules", "test", "tests.yaml"]);
    assert.ok(
      blocksOf(reference).some(({ text }) => text === out),
      out,
    );
  });
});
