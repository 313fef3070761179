import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import type { Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { Failure, exitCodes } from "./failure.ts";
import { programArgs } from "./programs.ts";

/** Starts a program before the person: it has our terminal or pipes, and gets its options on descriptor 3. */
export function startAgentProgram(name: "run-main", options: unknown): ChildProcess {
  const child = spawn(process.execPath, [...programArgs(name)], {
    stdio: ["inherit", "inherit", "inherit", "pipe"],
  });
  const pipe = child.stdio[3] as Writable;
  // A program that ends before it has read them says why itself.
  pipe.on("error", () => {});
  pipe.end(JSON.stringify(options));
  return child;
}

/** Runs a program that answers with JSON. What it says when it fails is shown as it is: it names thing, place and next step. */
export async function askAgentProgram<Answer>(name: "replay-main", options: unknown): Promise<Answer> {
  const child = spawn(process.execPath, [...programArgs(name), JSON.stringify(options)], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  const [answer, said, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  if (code === 0) return JSON.parse(answer) as Answer;
  // Without the stable code before the sentence, which is for logs.
  const sentence = said.trim().replace(/^[a-z-]+\/[a-z-]+: /, "");
  const exitCode = code === exitCodes.usage ? exitCodes.usage : exitCodes.refused;
  throw new Failure(exitCode, sentence === "" ? `${name} ended with code ${code}` : sentence);
}
