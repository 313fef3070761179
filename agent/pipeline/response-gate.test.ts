import assert from "node:assert/strict";
import { test } from "node:test";
import { createDetector, loadRules } from "#engine";
import type { ResponsePolicy } from "#layers";
import { parseShipperConfig } from "#shipper";
import type { ResponseCandidate } from "../respond/responder.ts";
import { parkedOrigin } from "./alert.ts";
import { createResponseGate } from "./response-gate.ts";
import { newRouterCounters, Router } from "./router.ts";
import { RecordScanner } from "./scan.ts";
import { auditLine, execRule } from "./testing/bundles.ts";

const content = `[INPUT]
  Name dummy
  Tag audit
[OUTPUT]
  Name detect
  Match audit
  Alert_Tag alerts
[OUTPUT]
  Name null
  Match alerts
`;

/** A router whose rules have a response to exec, and what it hands on of the records that it is given. */
function routed(): {
  readonly feed: (line: string, origin: string) => void;
  readonly got: ResponseCandidate[];
} {
  const parsed = parseShipperConfig([{ name: "a.conf", content }], {});
  assert.ok(parsed.ok, JSON.stringify(parsed));
  const report = loadRules([{ name: "r", content: execRule }]);
  assert.ok(report.ok);
  const rules = report.ruleset;
  const response: ResponsePolicy = {
    name: "isolate",
    rules: ["Exec into a pod"],
    action: "isolate",
    enforce: true,
    perHour: 5,
  };
  const got: ResponseCandidate[] = [];
  const router = new Router({
    config: parsed.config,
    outputs: [],
    clusterId: "c",
    rules: {
      detection: {
        detector: createDetector(rules, { hostname: "h" }),
        rules,
        sources: new Set(["k8s_audit"]),
        digest: "sha256:aa",
        responses: [response],
      },
      shadow: undefined,
      ring: undefined,
      respond: (candidate) => got.push(candidate),
    },
    counters: newRouterCounters(),
    filters: [],
    onProblem: assert.fail,
    isSecond: false,
  });
  const scanner = new RecordScanner();
  const feed = (line: string, origin: string): void => {
    const bytes = Buffer.from(line);
    assert.ok(scanner.scan(bytes, 0, bytes.length));
    router.record("audit", bytes, 0, bytes.length, scanner, Date.now(), { inode: 1, origin, offset: 0 });
    router.discard();
  };
  return { feed, got };
}

const exec = (stageTimestamp: string) =>
  auditLine("a", { objectRef: { resource: "pods", subresource: "exec" }, stageTimestamp });

test("a response goes by the time of the event, whenever the record with it was read", () => {
  const { feed, got } = routed();
  feed(exec("2026-01-01T10:00:00.500000Z"), "log");
  assert.deepEqual(
    got.map(({ alert }) => alert.timeMs),
    [Date.UTC(2026, 0, 1, 10, 0, 0, 500)],
  );
});

test("a record that was set aside and is fed again by hand raises alerts, and has nothing done to pods", () => {
  const { feed, got } = routed();
  feed(exec(new Date().toISOString()), parkedOrigin("parked-1.jsonl"));
  assert.deepEqual(got, []);
});

test("of a flood of alerts a hundred a second are looked at, and the next one says how many were not", () => {
  let nowMs = 0;
  const told: number[] = [];
  const gate = createResponseGate(
    (_, missed) => told.push(missed),
    () => nowMs,
  );
  const alert = { id: "a", rule: "r", timeMs: 0, fields: {}, rulesDigest: "" };
  for (let i = 0; i < 130; i++) gate({ alert, policies: [] });
  nowMs = 1_000;
  gate({ alert, policies: [] });
  assert.deepEqual([told.length, told.at(-1)], [101, 30]);
});
