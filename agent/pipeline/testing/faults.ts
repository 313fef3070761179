import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { testProgram } from "./test-program.ts";
import { until } from "./until.ts";

/** A folder for a process that will be killed, with one for its logs in it. */
export function faultFolder(t: TestContext): string {
  const dir = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "falconry-fault-")));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  fs.mkdirSync(join(dir, "log"));
  return dir;
}

/** Starts the process and waits until its bundles run. */
export async function startDriver(
  t: TestContext,
  dir: string,
  apply: string,
  ports: { readonly sink?: number; readonly listen?: number },
  alerts: string[],
): Promise<ChildProcess> {
  const child = spawn(process.execPath, [...testProgram("driver"), join(dir, "state"), dir, apply], {
    env: { ...process.env, SINK_PORT: String(ports.sink ?? 0), LISTEN_PORT: String(ports.listen ?? 0) },
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  let applied: string | undefined;
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (line.startsWith("alert ")) alerts.push(line.slice(6));
    if (line.startsWith("applied ")) applied = line.slice(8);
  });
  await until("the bundles to run", () => applied !== undefined || child.exitCode !== null);
  assert.match(applied ?? "", /"ok":true/);
  return child;
}

/** The audit ids in a file of JSON lines; what follows the last newline is a write that goes on at this moment. */
export function idsIn(path: string): string[] {
  const text = fs.existsSync(path) ? fs.readFileSync(path, "utf8") : "";
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  const lines = whole.split("\n").filter((line) => line !== "");
  return lines.map((line) => (JSON.parse(line) as { auditID: string }).auditID);
}

export function missing(written: readonly string[], got: readonly string[]): string[] {
  const have = new Set(got);
  return written.filter((id) => !have.has(id));
}
