import { readFileSync } from "node:fs";

import { startBareStreams } from "./bare-streams.ts";
import { startLeanAgent, type Counters, type LeanAgent } from "./lean-agent.ts";
import type { Order, Said, StoredIdentity } from "./protocol.ts";

/**
 * Simulated agents in a process of their own: `agents-process FILE`. Takes orders from its parent over IPC and answers
 * each; ends when the parent goes.
 */
const [file = ""] = process.argv.slice(2);
const identities = (JSON.parse(readFileSync(file, "utf8")) as readonly StoredIdentity[]).map((each) => ({
  ...each,
  root: Uint8Array.from(Buffer.from(each.root, "base64")),
}));
const counters: Counters = { sessions: 0, ends: new Map(), fetchesRepeated: 0, faults: [] };
let agents: readonly LeanAgent[] = [];

async function carryOut(order: Order): Promise<Said> {
  switch (order.what) {
    case "start":
      agents = identities.map((identity) =>
        startLeanAgent(identity, Math.random() * order.windowMs, counters),
      );
      return {};
    case "look": {
      const { sessions, fetchesRepeated, faults } = counters;
      return {
        connected: agents.filter(({ isConnected }) => isConnected).length,
        leastWindowMs: Math.min(...agents.map(({ windowMs }) => windowMs)),
        sessions,
        fetchesRepeated,
        ends: Object.fromEntries(counters.ends),
        faults: [...new Set(faults)].slice(0, 5),
        faultCount: faults.length,
      };
    }
    case "stall":
      agents[0]?.stall();
      return {};
    case "goOn":
      agents[0]?.goOn();
      return {};
    case "bare":
      return startBareStreams(identities, order.baseUrl, order.atOnce);
  }
}

process.on("message", (order: Order & { readonly id: number }) => {
  carryOut(order).then(
    (said) => process.send?.({ id: order.id, said }),
    (error: unknown) => process.send?.({ id: order.id, error: String(error) }),
  );
});
process.once("disconnect", () => process.exit());
