import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { pino } from "pino";
import type { Identity } from "../identity/identity.ts";
import type { AgentConnection } from "../link/clients.ts";
import type { Book, Entry } from "./book.ts";
import { createTeller } from "./tell.ts";

const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const identity = {
  clusterId: "cl_1",
  agentId: "ag_1",
  privateKey: privateKey.export({ type: "pkcs8", format: "pem" }),
} as Identity;

const entry: Entry = {
  decision: {
    kind: "denied",
    alertId: "a".repeat(64),
    rule: "Exec",
    rulesDigest: `sha256:${"a".repeat(64)}`,
    policy: "isolate",
    action: "isolate",
    namespace: "shop",
    pod: "web",
    eventMs: 0,
    why: "",
  },
  decidedMs: 0,
  outcome: "denied",
  why: "",
};

test("a server that asked to be left alone for a minute is, whatever happens meanwhile, and is told then", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let book: Book = { ledger: [], outbox: [entry], lost: 0 };
  let calls = 0;
  const reportResponses = () => {
    calls += 1;
    if (calls > 1) return Promise.resolve({});
    const busy = new ConnectError("busy", Code.ResourceExhausted, { "retry-after": "60" });
    return Promise.reject(busy);
  };
  const teller = createTeller({
    book: { get: () => book, set: (next) => void (book = next) },
    identity: () => identity,
    client: () => ({ reportResponses }) as unknown as AgentConnection["client"],
    log: pino({ level: "silent" }),
  });
  const pass = async (ms: number) => {
    t.mock.timers.tick(ms);
    // The call and what follows it are promises of their own.
    await new Promise((resolve) => setImmediate(resolve));
  };
  teller.nudge();
  await pass(1_000);
  for (let i = 0; i < 5; i++) {
    teller.nudge();
    await pass(1_000);
  }
  assert.equal(calls, 1);
  await pass(90_000);
  assert.deepEqual([calls, book.outbox], [2, []]);
  teller.stop();
});
