import assert from "node:assert/strict";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TestContext } from "node:test";
import { parseShipperConfig, renderProblems } from "#shipper";
import type { OutputConfig, ServiceConfig } from "#shipper";
import { openOutputs } from "../active.ts";
import { Arena } from "../arena.ts";
import { Batch } from "../batch.ts";
import { DeadLetter } from "../dead-letter.ts";
import type { Output, OutputContext } from "../output.ts";
import { facts } from "./bundles.ts";
import { until } from "./until.ts";

/** One output with its queue and a dead letter, without a pipeline around it. */
export interface Bench {
  readonly dir: string;
  readonly output: Output;
  /** Codes and messages of what was reported. */
  readonly problems: string[];
  /** Hands records to the output as one turn of the router does. */
  take(lines: readonly string[], tag?: string): void;
  /** What was set aside, oldest first. */
  parked(): Record<string, unknown>[];
  /** Waits until nothing is queued any more. */
  drained(deadlineMs?: number): Promise<void>;
  /** Closes the output as kill -9 would leave it: what is in flight is not waited for. Opens it again from its files. */
  reopen(): Promise<Bench>;
}

const quick = "[SERVICE]\n Flush 0.02\n Scheduler.Base 0.02\n Scheduler.Cap 0.1\n";

/** Parses a section of a config; the service section of tests is impatient. */
export function outputConfig(section: string, service: string = quick) {
  const parsed = parseShipperConfig(
    [{ name: "fluent-bit.conf", content: service + section }],
    facts.variables,
  );
  assert.ok(parsed.ok, parsed.ok ? "" : renderProblems(parsed.problems));
  return parsed.config;
}

const benchPrefix = "falconry-output-";

export async function openBench(t: TestContext, section: string, service?: string): Promise<Bench> {
  const dir = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), benchPrefix)));
  t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
  return openIn(t, dir, section, service, 0);
}

async function openIn(
  t: TestContext,
  dir: string,
  section: string,
  service: string | undefined,
  offset: number,
): Promise<Bench> {
  const config = outputConfig(section, service);
  const problems: string[] = [];
  const context = contextIn(dir, config.service, (problem) => problems.push(problem));
  const { deadLetter } = context;
  const [output] = await openOutputs(config, context);
  assert.ok(output !== undefined);
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    await output.close(0);
    deadLetter.close();
  };
  t.after(close);
  let at = offset;
  return {
    dir,
    output,
    problems,
    take(lines, tag = "audit") {
      const arena = new Arena();
      const batch = new Batch(tag, 1_700_000_000_000, arena);
      for (const line of lines) {
        const bytes = Buffer.from(`${line}\n`);
        arena.reserve(bytes.length);
        const from = arena.length;
        arena.put(bytes, 0, bytes.length);
        batch.add(from, arena.length, { inode: 7, origin: "the first line", offset: at });
        at += bytes.length;
      }
      output.take(batch);
    },
    parked: () => readParked(dir),
    drained: (deadlineMs) =>
      until("the queue to be empty", () => output.stats().queueRecords === 0, deadlineMs),
    async reopen() {
      await close();
      return openIn(t, dir, section, service, at);
    },
  };
}

function contextIn(dir: string, service: ServiceConfig, report: (problem: string) => void): OutputContext {
  return {
    clusterId: facts.clusterId,
    service,
    queueDir: join(dir, "queue"),
    deadLetter: new DeadLetter(join(dir, "dead-letter"), {
      bytesMax: 1e8,
      onProblem: (message) => report(`dead-letter/problem ${message}`),
      onEvicted: () => {},
    }),
    onProblem: (code, message) => report(`${code} ${message}`),
    onRoom: () => {},
    mayWrite: () => true,
    destinationProblem: ({ host, port }) => (host === "127.0.0.1" ? undefined : `not to ${host}:${port}`),
    // Other benches of the same test count: what one wrote the next may use.
    mayUseSecret: (file) => file.startsWith(join(dirname(dir), benchPrefix)),
    deliverAlerts: () => Promise.reject(new Error("no alerts here")),
  };
}

function readParked(dir: string): Record<string, unknown>[] {
  const folder = join(dir, "dead-letter");
  const names = fs.readdirSync(folder).filter((name) => name.endsWith(".jsonl"));
  return names.sort().flatMap((name) => {
    const lines = fs.readFileSync(join(folder, name), "utf8").split("\n");
    return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Record<string, unknown>);
  });
}

/** The config of the only output of a section. */
export function onlyOutput(section: string): OutputConfig {
  const [output] = outputConfig(section).outputs;
  assert.ok(output !== undefined);
  return output;
}
