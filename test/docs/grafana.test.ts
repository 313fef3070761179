import assert from "node:assert/strict";
import { test } from "node:test";

import { Arena } from "../../agent/pipeline/arena.ts";
import { LokiPush } from "../../agent/pipeline/loki-push.ts";
import { Records } from "../../agent/pipeline/records.ts";
import { entriesOf } from "../../agent/pipeline/testing/entries.ts";
import { streamLabels } from "../../server/domain/logql/labels.ts";
import { falcoLine } from "../../server/rpc/loki/fixture.ts";
import { parseShipperConfig, renderProblems } from "../../shipper/index.ts";
import { readPage, yamlOf } from "./blocks.ts";

test("an alert has the same labels here and in a Loki that is fed with the config of docs/grafana.md", () => {
  const [content = ""] = yamlOf(readPage("grafana.md"));
  const cluster = { cluster: "eu-1", region: "eu", environment: "production", team: "pay" };
  const variables = { CLUSTER: "eu-1", REGION: "eu", ENVIRONMENT: "production", TEAM: "pay" };
  const parsed = parseShipperConfig([{ name: "shipper.yaml", content }], variables);
  assert.ok(parsed.ok, parsed.ok ? "" : renderProblems(parsed.problems));
  const loki = parsed.config.outputs.find((output) => output.plugin === "loki");
  assert.ok(loki?.plugin === "loki");

  const rule = "Exec Into Pod";
  const line = falcoLine({ cluster: "eu-1", rule, priority: "Warning", user: "alice", seconds: 0 });
  const streams = new LokiPush(loki).body(new Records(entriesOf([[line]])), [[0, 1]], new Arena());
  assert.equal(streams.length, 1);
  assert.deepEqual(
    Object.fromEntries(streams[0]?.labels ?? []),
    streamLabels({ rule, priority: 4, cluster }),
  );
});
