import type { HealthConfig } from "#shipper";
import type { PipelineStats } from "../pipeline/pipeline.ts";

/** What an answer to "is it healthy" says. */
export interface Health {
  readonly isHealthy: boolean;
  /** Attempts to deliver that failed, within the period. */
  readonly errors: number;
  /** Records that no output will try again, within the period. */
  readonly givenUp: number;
  /** Why, in words, for people; empty when healthy. */
  readonly reasons: readonly string[];
}

interface Sample {
  readonly atMs: number;
  readonly errors: number;
  readonly givenUp: number;
}

/**
 * Fluent Bit's health: not healthy when there were more errors within the period than allowed. Two things count besides,
 * which Fluent Bit calls healthy: a reader that waits for a full queue, and files that cannot be read.
 */
export class HealthWindow {
  readonly #samples: Sample[] = [];

  /** Judges by the figures of now and those of a period ago. To be called about once a second. */
  judge(stats: PipelineStats, config: HealthConfig, nowMs: number): Health {
    const errors = stats.outputs.reduce((sum, output) => sum + output.retries, 0);
    const givenUp = stats.outputs.reduce((sum, output) => sum + output.parked + output.dropped, 0);
    const last = this.#samples.at(-1);
    // After a swap of the config the counters of outputs begin again.
    if (last !== undefined && (errors < last.errors || givenUp < last.givenUp)) this.#samples.length = 0;
    this.#samples.push({ atMs: nowMs, errors, givenUp });
    while ((this.#samples[1]?.atMs ?? nowMs) <= nowMs - config.periodMs) this.#samples.shift();
    const first = this.#samples[0] ?? { errors, givenUp };
    return healthOf(stats, config, errors - first.errors, givenUp - first.givenUp);
  }
}

function healthOf(stats: PipelineStats, config: HealthConfig, errors: number, givenUp: number): Health {
  const seconds = config.periodMs / 1000;
  const reasons = [
    ...(errors > config.errorsMax ? [`${errors} attempts to deliver failed in ${seconds} s`] : []),
    ...(givenUp > config.givenUpMax ? [`${givenUp} records were set aside in ${seconds} s`] : []),
    ...stats.outputs.flatMap(({ alias, full }) =>
      full ? [`reading waits: the queue of output "${alias}" is full`] : [],
    ),
    ...stats.inputs.flatMap(({ alias, filesFailing }) =>
      filesFailing > 0 ? [`input "${alias}" cannot read ${filesFailing} files`] : [],
    ),
  ];
  return { isHealthy: reasons.length === 0, errors, givenUp, reasons };
}
