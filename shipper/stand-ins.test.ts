import assert from "node:assert/strict";
import { test } from "node:test";
import { parseWithStandIns } from "./stand-ins.ts";

const config = (path: string, port: string) => [
  {
    name: "fluent-bit.conf",
    content: `[INPUT]\n Name tail\n Tag audit\n Path ${path}\n Parser json\n[OUTPUT]\n Name http\n Match audit\n Host sink\n Port ${port}\n Format json\n`,
  },
];

test("parseWithStandIns() loads a config whose path and port only the agent knows", () => {
  const parsed = parseWithStandIns(config("${AUDIT_LOG}", "${SINK_PORT}"));
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.problems.map((p) => p.message).join("; "));
});

test("parseWithStandIns() still refuses what is wrong whatever the variables hold", () => {
  const parsed = parseWithStandIns(config("${AUDIT_LOG}", "no-port"));
  assert.ok(!parsed.ok);
  assert.match(parsed.problems[0]?.message ?? "", /port/i);
});

test("parseWithStandIns() judges a value that was given, not a stand-in for it", () => {
  const parsed = parseWithStandIns(config("${AUDIT_LOG}", "${SINK_PORT}"), { SINK_PORT: "no-port" });
  assert.equal(parsed.ok, false);
});
