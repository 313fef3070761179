import type { SpanCounts } from "#traces";
import type { Conditions } from "./conditions.ts";
import { noteDiskSpace } from "./disk-space.ts";
import { observe } from "./domain/rates.ts";
import type { RateLedger } from "./domain/rates.ts";
import type { KeptPipeline } from "./keep-pipeline.ts";
import { createMonitor } from "./monitor/monitor.ts";
import { describeUnfed } from "./pipeline/pipeline.ts";
import type { OutputReport, PipelineStats } from "./pipeline/pipeline.ts";
import type { ResponseStats } from "./respond/responder.ts";
import { noteLives } from "./trust-lives.ts";
import type { TrustStore } from "./trust-store.ts";

/** What the observer looks at and where it puts what it saw. */
export interface ObserverPorts {
  readonly pipeline: KeptPipeline;
  readonly trust: TrustStore;
  readonly conditions: Conditions;
  /** Where the pipeline keeps its positions and queues. */
  readonly paths: { readonly pipeline: string };
  /** Told each look, also when the pipeline did not answer. */
  onStats(stats: PipelineStats | undefined): void;
  /** What was done about alerts. */
  responses(): ResponseStats;
  /** What became of the spans of traces. */
  spans(): SpanCounts;
  onRates(next: (ledger: RateLedger) => RateLedger): void;
}

/** Looks at the pipeline and the trust metadata once a second, and serves what it sees where the shipper config wants it. */
export interface Observer {
  stop(): void;
}

const everyMs = 1_000;
export function observePipeline(ports: ObserverPorts): Observer {
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  const monitor = createMonitor(ports.conditions);
  const look = async (): Promise<void> => {
    const stats = await ports.pipeline.stats();
    if (isStopped) return;
    ports.onStats(stats);
    if (stats !== undefined) {
      ports.onRates((ledger) => observe(ledger, stats, stats.lagMs, Date.now()));
      noteOutputs(stats, ports.conditions);
      noteInputs(stats, ports.conditions);
      noteRing(stats, ports.conditions);
      noteDrivers(stats, ports.conditions);
      monitor.update({ ...stats, responses: ports.responses(), spans: ports.spans() });
    }
    await noteDiskSpace(ports.paths.pipeline, ports.conditions);
    if (isStopped) return;
    noteLives(ports.trust.lives(), ports.conditions, new Date());
    timer = setTimeout(() => void look(), everyMs);
  };
  void look();
  return {
    stop() {
      isStopped = true;
      clearTimeout(timer);
      monitor.stop();
    },
  };
}

/** What is not read, or not looked at, is a condition for as long as that is so. */
function noteInputs(stats: PipelineStats, conditions: Conditions): void {
  const now = new Map<string, string>();
  for (const source of stats.unfedSources) now.set(`detect/unfed ${source}`, describeUnfed(source));
  for (const { alias, plugin, filesFailing, lastError, waitingFor } of stats.inputs) {
    if (waitingFor !== undefined) {
      now.set(`input/waiting ${alias}`, `Input "${alias}" (${plugin}) waits: ${waitingFor}`);
    }
    if (lastError === undefined) continue;
    const files = filesFailing > 1 ? ` (${filesFailing} files)` : "";
    now.set(`input/failing ${alias}`, `Input "${alias}" (${plugin}): ${lastError}${files}`);
  }
  for (const { code } of conditions.list()) {
    if (/^(?:input|detect)\//.test(code) && !now.has(code)) conditions.clear(code);
  }
  for (const [code, message] of now) conditions.raise(code, message);
}

/** A program beside the agent that does not run what it is to run. */
function noteDrivers({ drivers = [] }: PipelineStats, conditions: Conditions): void {
  const now = new Map<string, string>();
  for (const { name, fault, notes } of drivers) {
    if (fault !== undefined) now.set(`driver/${name}`, fault);
    for (const [code, message] of notes) now.set(`${code} ${name}`, message);
  }
  for (const { code } of conditions.list()) {
    if (code.startsWith("driver/") && !now.has(code)) conditions.clear(code);
  }
  for (const [code, message] of now) conditions.raise(code, message);
}

/** Events that should be kept for backtests, and are not. */
function noteRing({ ring }: PipelineStats, conditions: Conditions): void {
  if (ring?.lastError === undefined) return conditions.clear("ring/failing");
  const sum = `${ring.lost} events of ${ring.events} cannot be replayed, everything else goes on`;
  conditions.raise("ring/failing", `${ring.lastError}. ${sum}`);
}

/** An output that cannot deliver is a condition for as long as it lasts. */
function noteOutputs(stats: PipelineStats, conditions: Conditions): void {
  const aliases = new Set(stats.outputs.map(({ alias }) => alias));
  for (const { code } of conditions.list()) {
    const [what, alias = ""] = code.split(/ (.*)/s);
    // An output that a new config no longer has cannot be full or away.
    if (what?.startsWith("output/") === true && !aliases.has(alias)) conditions.clear(code);
  }
  for (const output of stats.outputs) {
    const full = `output/full ${output.alias}`;
    const away = `output/away ${output.alias}`;
    const waiting = `${output.queueRecords} records (${output.queueBytes} bytes) wait on disk`;
    if (output.full) {
      conditions.raise(
        full,
        `The queue of output "${output.alias}" is full, ${whatWaits(output)}: ${output.lastError ?? waiting}`,
      );
    } else conditions.clear(full);
    const behind = `output/behind ${output.alias}`;
    if (output.isBehind && !output.full) {
      const late = `${Math.round(output.behindMs / 1000)} s behind the other outputs`;
      conditions.raise(
        behind,
        `Output "${output.alias}" is ${late} and reads on in the files. Nothing is lost`,
      );
    } else conditions.clear(behind);
    if (output.lastError !== undefined) {
      conditions.raise(
        away,
        `Output "${output.alias}" cannot deliver: ${output.lastError}. Nothing is lost, records wait on disk`,
      );
    } else conditions.clear(away);
  }
}

function whatWaits({ isBehind }: OutputReport): string {
  return isBehind ? "its records wait in the files, other outputs go on" : "inputs that feed it wait";
}
