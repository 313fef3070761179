import assert from "node:assert/strict";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { startPipeline } from "../pipeline.ts";
import type { Pipeline, PipelineAlert, PipelineProblem } from "../pipeline.ts";
import { auditLine, facts, tailToFile, writeBundle } from "./bundles.ts";

/** A folder with a log to write, and what a pipeline made of it. */
export interface World {
  readonly dir: string;
  readonly log: string;
  readonly out: string;
  readonly alerts: PipelineAlert[];
  readonly problems: PipelineProblem[];
  start(port?: number): Pipeline;
  records(): Record<string, unknown>[];
  ids(): string[];
  parked(): Record<string, unknown>[];
}

/** Everything in it ends with the test. */
export function world(t: TestContext): World {
  const dir = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "falconry-pipeline-")));
  const alerts: PipelineAlert[] = [];
  const problems: PipelineProblem[] = [];
  const pipelines: Pipeline[] = [];
  t.after(async () => {
    await Promise.all(pipelines.map((pipeline) => pipeline.stop()));
    fs.rmSync(dir, { recursive: true, force: true });
  });
  // What follows the last newline is a write that goes on at this moment.
  const read = (path: string) => {
    const text = fs.existsSync(path) ? fs.readFileSync(path, "utf8") : "";
    return text.slice(0, text.lastIndexOf("\n") + 1);
  };
  const lines = (path: string) =>
    read(path)
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const records = () => lines(join(dir, "out", "audit.jsonl"));
  return {
    dir,
    log: join(dir, "log", "audit.log"),
    out: join(dir, "out"),
    alerts,
    problems,
    start(port = 1) {
      fs.mkdirSync(join(dir, "log"), { recursive: true });
      const pipeline = startPipeline({
        stateDir: join(dir, "state"),
        allowList: {
          destinations: [{ host: "127.0.0.1", port, tls: "optional" }],
          fileDirectories: [join(dir, "out")],
          tailDirectories: [join(dir, "log")],
        },
        onAlerts: (batch, ack) => {
          alerts.push(...batch);
          ack();
        },
        onProblem: (problem) => problems.push(problem),
      });
      pipelines.push(pipeline);
      return pipeline;
    },
    records,
    ids: () => records().map((record) => String(record["auditID"])),
    parked: () => {
      const folder = join(dir, "state", "dead-letter");
      return fs.readdirSync(folder).flatMap((n) => (n.endsWith(".jsonl") ? lines(join(folder, n)) : []));
    },
  };
}

/** Appends events with these ids. */
export const write = (path: string, ...ids: string[]): void =>
  fs.appendFileSync(path, ids.map((id) => `${auditLine(id)}\n`).join(""));
export const numbered = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}-${i}`);

/** Applies a config that appends to a file, and more; fails when it is refused. */
export async function applied(pipeline: Pipeline, w: World, more = "", rules?: string): Promise<void> {
  const result = await pipeline.apply(
    {
      shipper: writeBundle(w.dir, "shipper", tailToFile(w.log, w.out, more)),
      ...(rules === undefined ? {} : { rules: writeBundle(w.dir, "rules", rules) }),
    },
    facts,
  );
  assert.ok(result.ok, JSON.stringify(result));
}
