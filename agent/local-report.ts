import type { OutputReport, PipelineStats } from "./pipeline/pipeline.ts";

/** One line for a person: how far everything is, and how many records were read in the time since the line before. */
export function summarize(stats: PipelineStats, records: number, inMs: number, elapsedMs: number): string {
  const rate = inMs > 0 ? (records / inMs) * 1000 : 0;
  const figures = [
    `${(elapsedMs / 1000).toFixed(0)} s: read ${stats.events} (${rate.toFixed(0)}/s, ${megabytes(stats.bytes)})`,
    ...(stats.alerts > 0 ? [`alerts ${stats.alerts}`] : []),
    ...(stats.parked > 0 ? [`set aside ${stats.parked}`] : []),
    ...stats.outputs.map(outputLine),
  ];
  return figures.join(" | ");
}

/** What nobody got, in words; empty when all is well. */
export function whatIsLeft({ parked, dropped }: PipelineStats, hasQueued: boolean): string[] {
  return [
    ...(hasQueued ? ["Records are queued"] : []),
    ...(parked > 0 ? [`${parked} lines and records are set aside`] : []),
    ...(dropped > 0 ? [`${dropped} dropped`] : []),
  ];
}

function outputLine(output: OutputReport): string {
  const queued = output.queueRecords > 0 ? `, ${output.queueRecords} queued` : "";
  const error = output.lastError === undefined ? "" : `, ${output.lastError.slice(0, 120)}`;
  const behind = output.isBehind ? `, ${Math.round(output.behindMs / 1000)} s behind the others` : "";
  return `${output.alias} ${output.delivered}${queued}${behind}${error}`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
