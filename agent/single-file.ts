import { holdOptimizers } from "./optimizers.ts";

/**
 * The agent as one file: what are files of their own as sources, threads and the programs that fleetctl starts, the first argument
 * names.
 */
const parts: Readonly<Record<string, () => Promise<unknown>>> = {
  "@worker": () => import("./pipeline/worker.ts"),
  "@backtest-worker": () => import("./pipeline/backtest-worker.ts"),
  "@run-main": () => import("./run-main.ts"),
  "@replay-main": () => import("./replay-main.ts"),
};

const part = parts[process.argv[2] ?? ""];
if (part === undefined) {
  // Before anything of the agent is loaded.
  holdOptimizers();
  void import("./main.ts");
} else {
  process.argv.splice(2, 1);
  void part();
}
