import assert from "node:assert/strict";
import { test } from "node:test";
import { toFluentBit } from "./fluent-bit.ts";

const place = {
  host: "127.0.0.1",
  port: 2020,
  dataDir: "/data",
  parsersFile: "/etc/parsers.conf",
  records: { host: "127.0.0.1", port: 9765, uri: "/k8s-audit" },
  marker: "falconry-abc",
};
const facts = { AUDIT_LOG: "/var/log/audit.log", REGION: "eu" };
const config = (more = "", input = "") => `[INPUT]
  Name tail
  Alias audit
  Tag audit
  Path \${AUDIT_LOG}
  Parser json
  DB /somewhere/else.db
${input}[FILTER]
  Name modify
  Match audit
  Add x_region \${REGION}
  Remove secret
  Add x_own fixed
[OUTPUT]
  Name detect
  Alias rules
  Match audit
[OUTPUT]
  Name fleet
  Match alerts
[OUTPUT]
  Name http
  Alias store
  Match audit
  Host logs.example.com
  Format json
${more}`;
const made = (content: string) => toFluentBit([{ name: "a.conf", content }], facts, place);

test("a config becomes one for Fluent Bit that loses nothing where its own defaults would", () => {
  const result = made(config());
  assert.ok(result.ok, JSON.stringify(result));
  const { text } = result;
  const blockOf = (alias: string) =>
    text
      .split("[")
      .find((block) => block.includes(`Alias ${alias}\n`))
      ?.replaceAll("    ", "") ?? "";
  assert.match(blockOf("audit"), /path \/var\/log\/audit\.log\n/);
  assert.match(blockOf("audit"), /db \/data\/audit\.db\n/);
  assert.match(blockOf("audit"), /storage\.type filesystem\n/);
  assert.match(blockOf("audit"), /read_from_head on\n/);
  assert.ok(!text.includes("/somewhere/else"), "a config does not choose where Fluent Bit writes");
  assert.match(blockOf("store"), /retry_limit no_limits\n/);
  assert.match(blockOf("store"), /format json\n/);
  assert.match(
    blockOf("rules"),
    /Name http\n[^]*Match audit\nhost 127\.0\.0\.1\nport 9765\nuri \/k8s-audit\n/,
  );
  assert.match(blockOf("modify.0"), /set x_region eu\nremove secret\nadd x_own fixed\n/);
  assert.match(blockOf("falconry-abc"), /Match falconry-abc\.nothing\n/);
  assert.match(text, /http_listen 127\.0\.0\.1\n/);
  assert.ok(!text.includes("fleet"));
});

test("what Fluent Bit has not, or would do otherwise, is refused with its place", () => {
  const problemsOf = (content: string) => {
    const result = made(content);
    return result.ok ? [] : result.problems.map(({ message }) => message);
  };
  const cases: readonly (readonly [string, RegExp])[] = [
    [config("  Bearer_Token_File /t\n  tls on\n"), /"bearer_token_file" of "http" is the agent's/],
    [config("  storage.total_limit_size 5M\n"), /drops the oldest records/],
    [config("[FILTER]\n  Name mask\n  Match *\n  Field user.username\n"), /filter "mask" cannot run/],
    [config("[FILTER]\n  Name cluster_facts\n  Match *\n"), /filter "cluster_facts" cannot run/],
    [
      config("[OUTPUT]\n  Name http\n  Match alerts\n  Host a.example.com\n  Format json\n"),
      /takes no records of an input/,
    ],
    [config("[SERVICE]\n  backtest_ring on\n"), /keeps no events for backtests/],
    [config("", "[INPUT]\n  Name http\n  Tag audit\n"), /input "http" cannot run/],
    [config("  Header X ${ODD}\n"), /Variable \$\{ODD\} is not set/],
    [config().replace("Parser json", "Parser auditd"), /Parser "auditd" is the agent's/],
  ];
  for (const [content, pattern] of cases) {
    assert.ok(
      problemsOf(content).some((message) => pattern.test(message)),
      `${String(pattern)}: ${problemsOf(content).join("; ")}`,
    );
  }
  assert.deepEqual(problemsOf(config("  storage.total_limit_size 5M\n  storage.overflow drop_oldest\n")), []);
  for (const region of ["eu\n[OUTPUT]", 'eu" "west', "eu west", "${NODE}"]) {
    const odd = toFluentBit([{ name: "a.conf", content: config() }], { ...facts, REGION: region }, place);
    assert.ok(
      !odd.ok && odd.problems.some(({ message }) => message.includes("with a fact filled in")),
      region,
    );
  }
});
