import assert from "node:assert/strict";
import { test } from "node:test";
import { explainShipperConfig, parseShipperConfig, renderProblems } from "./index.ts";
import type { ConfigFile, ExplainedSection, Setting } from "./index.ts";

function explained(
  files: readonly ConfigFile[],
  given: Record<string, string> = {},
): readonly ExplainedSection[] {
  const found = explainShipperConfig(files, given);
  assert.ok(found.ok, found.ok ? "" : renderProblems(found.problems));
  return found.sections;
}

function setting(sections: readonly ExplainedSection[], alias: string, key: string): Setting {
  const found = sections.find((one) => one.alias === alias)?.settings.find((one) => one.key === key);
  return found ?? assert.fail(`${alias} has no ${key}`);
}

const base = {
  name: "base.conf",
  content: `@SET LOGS=/logs
@SET FILE=\${LOGS}/\${NODE}.log
[SERVICE]
 Flush 2
@INCLUDE output.conf
[INPUT]
 Name tail
 Alias audit
 Tag audit
 Path \${FILE}
 DB /x.db
`,
};
const output = {
  name: "output.conf",
  content: `[OUTPUT]
 Name http
 Alias store
 Match audit
 Host one
 Host \${STORE}
 Format json
 http_user app
 http_passwd \${STORE_PASSWORD}
 Header Authorization Bearer abc
 Header X-Api-Key \${API_KEY}
 Header X-Region \${REGION}
`,
};

test("every value has the file and line it comes from, includes and overrides worked in", () => {
  const layer = {
    name: "layers/team-a/x.conf",
    content: "[SERVICE]\n Flush 3\n[OUTPUT]\n Name null\n Alias store\n Match *\n",
  };
  const sections = explained([base, output], { REGION: "eu" });
  assert.deepEqual(setting(sections, "store", "host"), {
    key: "host",
    value: "${STORE}",
    at: { file: "output.conf", line: 6, column: 2 },
    fluentBit: undefined,
    note: undefined,
    order: undefined,
  });
  assert.equal(setting(sections, "audit", "path").value, "/logs/${NODE}.log");
  const layered = explained([base, output, layer]);
  assert.equal(setting(layered, "service", "flush").at?.file, "layers/team-a/x.conf");
  assert.equal(layered.find(({ alias }) => alias === "store")?.name, "null");
});

test("defaults are there, and Fluent Bit's own beside those that differ", () => {
  const sections = explained([base, output]);
  const { at, value, fluentBit } = setting(sections, "audit", "read_from_head");
  assert.deepEqual([at, value, fluentBit], [undefined, "on", "off"]);
  assert.equal(setting(sections, "store", "retry_limit").fluentBit, "1");
  assert.equal(setting(sections, "audit", "rotate_wait").fluentBit, undefined);
});

test("what may be written and changes nothing says why", () => {
  assert.match(setting(explained([base, output]), "audit", "db").note ?? "", /^changes nothing: positions/);
});

test("no secret is shown, given or written, and the variables that hold them keep their names", () => {
  const given = { STORE_PASSWORD: "hunter2", API_KEY: "hunter3", REGION: "eu" };
  const sections = explained([base, output], given);
  assert.doesNotMatch(JSON.stringify(sections), /hunter|Bearer abc/);
  assert.equal(setting(sections, "store", "http_passwd").value, "${STORE_PASSWORD}");
  const headers = sections.flatMap(({ settings }) => settings.filter(({ key }) => key === "header"));
  assert.deepEqual(
    headers.map(({ value }) => value),
    ["Authorization [redacted]", "X-Api-Key ${API_KEY}", "X-Region eu"],
  );
});

test("rules of different kinds say in which order they apply, and where a rule is not Fluent Bit's", () => {
  const content =
    "[FILTER]\n Name modify\n Alias m\n Match *\n Condition Key_exists a\n Add x_region ${REGION}\n Rename a b\n Add c d\n";
  const [, filter] = explained([{ name: "a.conf", content }]);
  const rules = filter?.settings.filter(({ order }) => order !== undefined) ?? [];
  assert.deepEqual(
    rules.map(({ key, order }) => [key, order]),
    [
      ["add", 1],
      ["rename", 2],
      ["add", 3],
    ],
  );
  assert.match(rules[0]?.note ?? "", /^replaces what the record says/);
  assert.equal(rules[2]?.note, undefined);
});

test("a value that the config's own env gives is judged, not a stand-in for it", () => {
  const content =
    "env:\n  PORT: none\npipeline:\n  outputs:\n    - {name: http, match: '*', format: json, port: '${PORT}'}\n";
  const found = explainShipperConfig([{ name: "a.yaml", content }], {});
  assert.ok(!found.ok);
  assert.match(renderProblems(found.problems), /"port" is "none"/);
});

test("what explain says of a config is what parsing it gives", () => {
  const files = [base, output];
  const variables = { NODE: "n", STORE: "s", STORE_PASSWORD: "p", API_KEY: "k", REGION: "eu" };
  const parsed = parseShipperConfig(files, variables);
  assert.ok(parsed.ok);
  const sections = explained(files, variables);
  const [input] = parsed.config.inputs;
  assert.ok(input?.plugin === "tail");
  assert.equal(input.paths[0], setting(sections, "audit", "path").value);
  assert.equal(
    `${parsed.config.service.backoffCapMs / 1000}s`,
    setting(sections, "service", "scheduler.cap").value,
  );
});
