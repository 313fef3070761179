import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { runCli } from "../support/run-cli.ts";
import {
  comparable,
  type FilterCase,
  ingestCases,
  type IngestCase,
  missing,
  probes,
  type RulesCase,
} from "./recorded.ts";

/** The same answers as in falco.test.ts, got as people get them: files, `fleetctl` and what it prints. */
let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "falconry-conformance-"));
});
after(async () => {
  await rm(folder, { recursive: true });
});

async function written(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

async function rulesFiles(contents: readonly string[]): Promise<readonly string[]> {
  return Promise.all(contents.map((content, i) => written(`${i}.yaml`, content)));
}

const strict = ["--compat", "strict"] as const;

interface Finding {
  readonly code: string;
  readonly message: string;
}

interface Result {
  readonly successful: boolean;
  readonly errors: readonly Finding[];
  readonly warnings: readonly Finding[];
}

async function validate(files: readonly string[]): Promise<{ code: number; results: readonly Result[] }> {
  const { code, out } = await runCli(["rules", "validate", ...files, "-o", "json", ...strict]);
  return { code, results: JSON.parse(out).falco_load_results };
}

interface Printed {
  readonly rule: string;
  readonly output: string;
  readonly output_fields: Readonly<Record<string, unknown>>;
  readonly time: string;
}

interface Ran {
  readonly code: number;
  readonly alerts: readonly Printed[];
  readonly problems: number;
}

async function run(files: readonly string[], events: string, matching = "all"): Promise<Ran> {
  const path = await written("events.log", events);
  const { code, out, talk } = await runCli(
    ["rules", "run", "--rules", ...files, "--events", path, "--rule-matching", matching, "-o", "json"].concat(
      strict,
    ),
  );
  const alerts = out
    .split("\n")
    .filter((line) => line !== "")
    .map((line): Printed => JSON.parse(line));
  return {
    code,
    alerts,
    problems: code === 0 ? JSON.parse(talk.trimEnd().split("\n").at(-1) ?? "").problems : 0,
  };
}

const lineOf = (event: string): string => `${JSON.stringify(probes.events[event])}\n`;

async function checkFilter({
  filter,
  event,
  expect,
  error_code,
  message,
  warnings = [],
}: FilterCase): Promise<void> {
  const rule = {
    rule: "r",
    desc: "d",
    condition: filter,
    output: "o",
    priority: "INFO",
    source: "k8s_audit",
  };
  const files = await rulesFiles([JSON.stringify([rule])]);
  const { code, results } = await validate(files);
  const [result] = results;
  if (expect === "load_error") {
    const [error] = result?.errors ?? [];
    assert.deepEqual([code, error?.code, error?.message], [1, error_code, message]);
    return;
  }
  assert.deepEqual([code, result?.warnings.map((one) => one.code)], [0, warnings]);
  const { alerts } = await run(files, lineOf(event));
  assert.equal(alerts.length > 0 ? "match" : "no_match", expect);
}

describe("fleetctl decides a condition as Falco does", { skip: missing }, () => {
  for (const one of probes.filters) test(one.filter, () => checkFilter(one));
});

async function checkRules(one: RulesCase): Promise<void> {
  const files = await rulesFiles(one.rules_yaml);
  const { code, results } = await validate(files);
  // Where Falco itself crashes, the sane reading is the one with the operator that is the default elsewhere.
  if (one.upstream_crashes) return assert.equal(code, 0);
  assert.equal(code, one.exit_code);
  if (one.load.length > 0) {
    const told = ({ code: kind, message }: Finding): Finding => ({
      code: kind,
      message: comparable(message),
    });
    assert.deepEqual(
      results.map(({ successful, errors, warnings }) => ({
        successful,
        errors: errors.map(told),
        warnings: warnings.map(told),
      })),
      one.load,
    );
  }
  const ran = await run(files, lineOf(one.event), one.config.rule_matching);
  assert.equal(ran.code, one.exit_code);
  assert.deepEqual(
    ran.alerts.map(({ rule, output, output_fields }) => ({ rule, output, output_fields })),
    one.alerts,
  );
}

describe("fleetctl loads rules files and raises alerts as Falco does", { skip: missing }, () => {
  for (const one of probes.rules) test(one.name, () => checkRules(one));
});

async function checkIngest(one: IngestCase): Promise<void> {
  // Only described: Falco's reader ends at a line over 64 KiB, which is documented as a difference.
  if (one.input === null) return;
  const ran = await run(await rulesFiles(one.rules_yaml), one.input);
  assert.equal(ran.code, one.exit_code);
  assert.deepEqual(
    ran.alerts.map(({ output, time }) => [output, time]),
    one.alerts.map((output, i) => [output, one.times[i]]),
  );
  assert.equal(ran.problems, one.log.length);
}

describe("fleetctl takes and refuses input as Falco does", { skip: missing }, () => {
  for (const one of ingestCases) test(one.name, () => checkIngest(one));
});
