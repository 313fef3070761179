/** The programs that only tests start, as one file, like `agent/single-file.ts`: the first argument names the part. */
const parts: Readonly<Record<string, () => Promise<unknown>>> = {
  "@worker": () => import("../../agent/pipeline/worker.ts"),
  "@backtest-worker": () => import("../../agent/pipeline/backtest-worker.ts"),
  "@driver": () => import("../../agent/pipeline/testing/driver.ts"),
  "@agent-process": () => import("../faults/agent-process.ts"),
  "@fake-falco": () => import("./falco/fake-falco.ts"),
  "@fake-fluent-bit": () => import("./fluent-bit/fake-fluent-bit.ts"),
};

const name = process.argv[2] ?? "";
const part = parts[name];
if (part === undefined) throw new Error(`"${name}" is none of ${Object.keys(parts).join(", ")}`);
process.argv.splice(2, 1);
void part();
