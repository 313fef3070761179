import { spawn } from "node:child_process";
import type { ChildProcess, StdioOptions } from "node:child_process";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { Failure, exitCodes } from "./failure.ts";

/** Starts one of the agent's programs, which bring the pipeline with them; `cli` may not open that room itself. */
export function startAgentProgram(
  name: "replay-main" | "run-main",
  options: unknown,
  stdio: StdioOptions,
): ChildProcess {
  // Compiled, this file and the agent's are .js; as they are, both are .ts.
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const program = join(import.meta.dirname, "..", "agent", `${name}.${extension}`);
  return spawn(process.execPath, [program, JSON.stringify(options)], { stdio });
}

/** Runs a program that answers with JSON. What it says when it fails is shown as it is: it names thing, place and next step. */
export async function askAgentProgram<Answer>(name: "replay-main", options: unknown): Promise<Answer> {
  const child = startAgentProgram(name, options, ["ignore", "pipe", "pipe"]);
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  const [answer, said, code] = await Promise.all([
    child.stdout === null ? "" : text(child.stdout),
    child.stderr === null ? "" : text(child.stderr),
    ended,
  ]);
  if (code === 0) return JSON.parse(answer) as Answer;
  // Without the stable code before the sentence, which is for logs.
  const sentence = said.trim().replace(/^[a-z-]+\/[a-z-]+: /, "");
  const exitCode = code === exitCodes.usage ? exitCodes.usage : exitCodes.refused;
  throw new Failure(exitCode, sentence === "" ? `${name} ended with code ${code}` : sentence);
}
