import { createInterface } from "node:readline";
import { startPipeline } from "../../agent/pipeline/pipeline.ts";
import type { ApplyRequest } from "../../agent/pipeline/pipeline.ts";
import { facts } from "../../agent/pipeline/testing/bundles.ts";

/**
 * One agent's pipeline as a process that may be killed: `agent-process.ts STATE_DIR ALLOWED_DIR PORT...`. Takes commands as
 * lines on standard input, `apply JSON` and `stats`, and answers each with one line; problems come as lines of their own.
 */
const [stateDir = "", allowed = "", ...ports] = process.argv.slice(2);
const say = (kind: string, value: unknown) => process.stdout.write(`${kind} ${JSON.stringify(value)}\n`);
const pipeline = startPipeline({
  stateDir,
  allowList: {
    destinations: ports.map((port) => ({ host: "127.0.0.1", port: Number(port), tls: "optional" })),
    fileDirectories: [allowed],
    tailDirectories: [allowed],
  },
  onAlerts: (_batch, ack) => ack(),
  onProblem: (problem) => say("problem", problem),
});
// One after the other, so that answers come in the order of the questions.
let turn = Promise.resolve();
createInterface({ input: process.stdin }).on("line", (line) => {
  turn = turn.then(() => answer(line));
});
process.on("SIGTERM", () => void pipeline.stop().then(() => process.exit(0)));

async function answer(line: string): Promise<void> {
  if (line === "stats") return void say("answer", await pipeline.stats());
  const request = JSON.parse(line.replace(/^apply /, "")) as ApplyRequest;
  say("answer", await pipeline.apply(request, facts));
}
