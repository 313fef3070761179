import type { Active } from "./active.ts";
import { parkedIn } from "./input.ts";
import type { InputCounters, InputReport } from "./input.ts";
import type { PipelineStats, Running } from "./messages.ts";
import type { Detection, RouterCounters } from "./router.ts";
import { unfedSources } from "./unfed-sources.ts";

/** Counts of the pipeline itself, cumulative since it began. */
export interface PipelineCounters extends RouterCounters {
  dropped: number;
}

/** What statistics are made of. */
export interface StatsSource {
  readonly counters: PipelineCounters;
  /** What rules took of a core since the beginning. */
  readonly detectionUs: number;
  /** Of all inputs there ever were, so that totals never go back. */
  readonly inputCounters: Iterable<InputCounters>;
  readonly active: Active | undefined;
  readonly running: Running;
  /** Whether everything that was read is delivered or in files. */
  readonly isSettled: boolean;
  readonly ring: PipelineStats["ring"];
  readonly detection: Detection | undefined;
}

/**
 * Keeps what outputs dropped that are closed now: those that are opened next count anew. Of a sum that goes back nobody can tell which
 * part of it was counted before.
 */
export function keepDropped(counters: PipelineCounters, outputs: Active["outputs"]): void {
  for (const output of outputs) counters.dropped += output.stats().dropped;
}

export function pipelineStats(source: StatsSource, nowMs: number): PipelineStats {
  const { active, running } = source;
  const { detectionMs: _, ...counters } = source.counters;
  const counted = [...source.inputCounters];
  const sum = (count: (one: InputCounters) => number) =>
    counted.reduce((total, one) => total + count(one), 0);
  const all = active?.feeds.all ?? [];
  const feeds = all.filter(({ behind }) => behind === undefined);
  const reports = feeds.map(({ input }) => input.report());
  const late = all.flatMap(({ behind, input }) =>
    behind === undefined ? [] : [{ behind, ...input.report() }],
  );
  const outputs = (active?.outputs ?? []).map((output) => {
    const own = late.filter(({ behind }) => behind === output);
    const behindMs = Math.max(0, ...own.map(({ oldestMs }) => ageMs(oldestMs, nowMs)));
    return { ...output.stats(), isBehind: own.length > 0, behindMs };
  });
  const isDelivered = source.isSettled && outputs.every(({ queueRecords }) => queueRecords === 0);
  return {
    ...counters,
    events: sum((input) => input.records),
    bytes: sum((input) => input.bytes),
    parked: sum(parkedIn) + outputs.reduce((total, output) => total + output.parked, 0),
    dropped: counters.dropped + outputs.reduce((total, output) => total + output.dropped, 0),
    detectionUs: source.detectionUs,
    truncations: sum((input) => input.truncations),
    lostFiles: sum((input) => input.lost),
    lagMs: lagMs(active, [...reports, ...late], nowMs),
    atEnd: isDelivered && late.length === 0 && reports.every(({ atEnd }) => atEnd),
    ended: isDelivered && late.length === 0 && reports.length > 0 && reports.every(({ ended }) => ended),
    waitingFor: feeds.find((feed) => feed.waitingFor !== undefined)?.waitingFor,
    unfedSources: active === undefined ? [] : unfedSources(active.config, source.detection),
    running,
    ring: source.ring,
    monitor: active?.config.service.monitor,
    inputs: reports.map(({ oldestMs, ...report }, index) => ({
      ...report,
      lagMs: ageMs(oldestMs, nowMs),
      paused: feeds[index]?.waitingFor !== undefined,
      waitingFor: feeds[index]?.waitingFor,
    })),
    filters: active?.router.filterStats() ?? [],
    outputs,
  };
}

function lagMs(active: Active | undefined, reports: readonly InputReport[], nowMs: number): number {
  const times = [
    ...reports.map((report) => report.oldestMs),
    ...(active?.outputs ?? []).map((output) => output.oldestMs()),
  ];
  return Math.max(0, ...times.map((time) => ageMs(time, nowMs)));
}

/** How long ago something was; 0 when there is nothing. */
function ageMs(timeMs: number | undefined, nowMs: number): number {
  return timeMs === undefined ? 0 : Math.max(0, Math.round(nowMs - timeMs));
}
