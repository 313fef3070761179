import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { AgentService } from "#proto/agent/v1/agent";
import type { Alert } from "#engine";
import { deliverAlerts } from "./alerts.ts";
import { toPipelineAlert } from "./pipeline/alert.ts";

const alert = {
  rule: "Canary Request",
  priority: "Notice",
  source: "k8s_audit",
  time: "2026-01-02T03:04:05.000000006Z",
  output: "get falconry-canary-1a2b",
  auditId: "a-1",
  tags: [],
} as unknown as Alert;
const body = JSON.stringify({ rule: alert.rule, output: alert.output });

/** What the server is told about an alert that was read at some time, 0 for unknown. */
async function told(text: string, readAtMs: number): Promise<Record<string, unknown>> {
  const bodies: string[] = [];
  const transport = createRouterTransport(({ service }) =>
    service(AgentService, {
      deliverAlerts({ alerts }) {
        bodies.push(...alerts.map((each) => each.body));
        return { accepted: alerts.length };
      },
    }),
  );
  const travelling = toPipelineAlert(alert, "0".repeat(64), text, `sha256:${"0".repeat(64)}`, readAtMs);
  await deliverAlerts([travelling], createClient(AgentService, transport), () => assert.fail("refused"));
  return JSON.parse(bodies[0] ?? "") as Record<string, unknown>;
}

test("the alert of a canary says when it was read, matched and sent, in this order; no other alert does", async () => {
  const readAtMs = Date.now();
  const { falconry_hops: hops, ...rest } = await told(body, readAtMs);
  assert.deepEqual(rest, JSON.parse(body));
  const { readMs, matchedMs, sentMs } = hops as Readonly<Record<"readMs" | "matchedMs" | "sentMs", number>>;
  assert.equal(readMs, readAtMs);
  assert.ok(matchedMs >= readMs && sentMs >= matchedMs, JSON.stringify(hops));
  assert.deepEqual(await told('{"output":"get shop"}', readAtMs), { output: "get shop" });
  assert.deepEqual(
    await told(body, 0),
    rest,
    "another program runs the rules, and nobody knows when it read",
  );
});
