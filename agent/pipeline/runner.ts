import * as fs from "node:fs";
import { join } from "node:path";
import { setImmediate as yieldTurn, setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { destinationProblem, isBelowAny } from "#shipper";
import type { PipelineConfig } from "#shipper";
import { marksOf, openInputs, openOutputs, orphanQueues, orphanSpools } from "./active.ts";
import type { Active } from "./active.ts";
import type { PipelineAlert } from "./batch.ts";
import { CheckpointFile } from "./checkpoint.ts";
import { DeadLetter } from "./dead-letter.ts";
import { reasonOf } from "./files.ts";
import { failure, loadRulesBundle, loadShipperBundle } from "./load-bundle.ts";
import type { ApplyFailure, PipelineFacts } from "./load-bundle.ts";
import { newCounters } from "./input.ts";
import type { InputCounters } from "./input.ts";
import type { Mark } from "./mark.ts";
import type { ApplyRequest, ApplyResult, PipelineStats, Running, WorkerOptions } from "./messages.ts";
import type { OutputContext } from "./output.ts";
import { pipelineStats } from "./pipeline-stats.ts";
import { rulesProblem, shipperProblem } from "./protect.ts";
import { Replay } from "./replay.ts";
import { Router } from "./router.ts";
import type { Detection } from "./router.ts";
import { describeUnfed, unfedSources } from "./unfed-sources.ts";

export interface RunnerPorts {
  readonly onProblem: (code: string, message: string) => void;
  readonly deliverAlerts: (alerts: readonly PipelineAlert[], signal: AbortSignal) => Promise<void>;
}

const idleMs = 100;
const checkpointMs = 500;
/** Sooner when this much was read: less comes twice after a crash in the middle of a backlog. */
const checkpointBytes = 1024 * 1024;
const checkpointMinMs = 100;
const noteMs = 20;
/** A long note, of thousands of files, is written more rarely: notes must not become what the pipeline does. */
const noteBytesPerMs = 2048;
const noteMsMax = 500;
const retryMs = 1000;
/** How long requests in flight may take to end when a config is swapped; later they are repeated. */
const swapGraceMs = 2000;

/**
 * The pipeline itself: turns of reading, filtering, detecting and handing over, with a checkpoint now and then. Whatever
 * happens to it, records that were not delivered or queued durably are read again.
 */
export class Runner {
  readonly #options: WorkerOptions;
  readonly #ports: RunnerPorts;
  readonly #deadLetter: DeadLetter;
  readonly #replay: Replay;
  readonly #checkpoints: CheckpointFile;
  readonly #inputCounters = new Map<string, InputCounters>();
  readonly #counters = {
    alerts: 0,
    undetected: 0,
    detectionMs: 0,
    dropped: 0,
  };
  #active: Active | undefined;
  #detection: Detection | undefined;
  #running: Running = {};
  #sources: ApplyRequest = {};
  #facts: PipelineFacts | undefined;
  #savedMarks: readonly Mark[];
  #readAll: boolean;
  #isSwapping = false;
  /** Why reading waits. */
  #waitingFor: string | undefined;
  #isStopping = false;
  #retriedAt = 0;
  #checkpointedAt = 0;
  #checkpointedBytes = 0;
  #notedAt = 0;
  #noteEveryMs = noteMs;
  /** Whether something was read since the last quick note. */
  #hasNews = false;
  #checkpointing: Promise<void> | undefined;

  /** Throws when the state folder cannot be used. */
  constructor(options: WorkerOptions, ports: RunnerPorts) {
    this.#options = options;
    this.#ports = ports;
    fs.mkdirSync(options.stateDir, { recursive: true, mode: 0o700 });
    const deadLetterDir = join(options.stateDir, "dead-letter");
    this.#deadLetter = new DeadLetter(deadLetterDir, {
      bytesMax: options.deadLetterBytesMax ?? 256 * 1024 * 1024,
      onProblem: (message) => ports.onProblem("dead-letter/problem", message),
      onEvicted: (files) => (this.#counters.dropped += files),
    });
    this.#replay = new Replay({
      pipelineDir: options.stateDir,
      deadLetterDir,
      deadLetter: this.#deadLetter,
      onProblem: ports.onProblem,
    });
    const path = join(options.stateDir, "checkpoint.json");
    this.#checkpoints = new CheckpointFile(path, (message) => ports.onProblem("checkpoint/damaged", message));
    this.#savedMarks = this.#checkpoints.load();
    this.#readAll = this.#checkpoints.isDamaged;
  }

  /** Runs until `stop`. */
  async run(): Promise<void> {
    while (!this.#isStopping) {
      const worked = this.#turn(Date.now());
      if (worked) this.#hasNews = true;
      if (this.#active !== undefined && !this.#isSwapping) this.#replay.poll(this.#active, Date.now());
      this.#noteQuickly(Date.now());
      if (!this.#isSwapping && this.#isCheckpointDue(Date.now())) {
        this.#checkpointedAt = Date.now();
        this.#checkpointedBytes = this.#sum((counters) => counters.bytes);
        void this.checkpoint();
      }
      await (worked ? yieldTurn() : sleep(this.#hasNews ? noteMs : idleMs));
    }
  }

  /** Delivers what it can within the grace time of the config, then saves positions and closes everything. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    if (this.#active !== undefined) await this.#close(this.#active, this.#active.config.service.graceMs);
    this.#active = undefined;
    this.#deadLetter.close();
  }

  /**
   * Loads what is asked for and swaps it in, all or nothing. What is not named goes on as it is, except that other facts
   * load everything again. Swapping rules does not interrupt reading.
   */
  async apply(request: ApplyRequest, facts: PipelineFacts): Promise<ApplyResult> {
    const sources: ApplyRequest = { ...this.#sources, ...request };
    const isMoved = this.#facts !== undefined && !isDeepStrictEqual(facts, this.#facts);
    const rulesSource = isMoved ? sources.rules : request.rules;
    const shipperSource = isMoved ? sources.shipper : request.shipper;
    const rules = rulesSource === undefined ? undefined : loadRulesBundle(rulesSource, facts);
    if (rules?.ok === false) return rules;
    const shipper =
      shipperSource === undefined
        ? undefined
        : loadShipperBundle(shipperSource, facts, this.#options.allowList);
    if (shipper?.ok === false) return shipper;
    const before = this.#detection;
    const denied = this.#protectionProblem(rules?.value, shipper?.value);
    if (denied !== undefined) return denied;

    if (rules !== undefined) this.#detection = rules.value;
    if (shipper !== undefined && (isMoved || !isDeepStrictEqual(shipper.value, this.#active?.config))) {
      const why = await this.#swap(shipper.value, facts);
      if (why !== undefined) {
        this.#detection = before;
        if (this.#active !== undefined) this.#active.router.detection = before;
        return failure("shipper", "pipeline/cannot-open", why);
      }
      // So that a crash right after the first look does not make the next one the first.
      await this.checkpoint();
    } else if (this.#active !== undefined) this.#active.router.detection = this.#detection;
    this.#sources = sources;
    this.#facts = facts;
    if (this.#active !== undefined) {
      for (const source of unfedSources(this.#active.config, this.#detection)) {
        this.#ports.onProblem(`detect/unfed-${source}`, describeUnfed(source));
      }
    }
    this.#running = {
      ...this.#running,
      ...(rules === undefined ? {} : { rules: rules.digest }),
      ...(shipper === undefined ? {} : { shipper: shipper.digest }),
    };
    return { ok: true, running: this.#running };
  }

  /** Whether what is to run would take from protected rules what those that run have. */
  #protectionProblem(
    rules: Detection | undefined,
    shipper: PipelineConfig | undefined,
  ): ApplyFailure | undefined {
    const guard = this.#options.allowList;
    const running = this.#detection?.rules;
    const lost = rules === undefined ? undefined : rulesProblem(running, rules.rules, guard);
    if (lost !== undefined) return failure("rules", "rules/protected", lost);
    if (shipper === undefined) return undefined;
    const starved = shipperProblem(this.#active?.config, shipper, rules?.rules ?? running, guard);
    return starved === undefined ? undefined : failure("shipper", "shipper/protected", starved);
  }

  /** Makes positions durable, if everything read so far is. One at a time; a second call waits for the first. */
  checkpoint(): Promise<void> {
    this.#checkpointing ??= this.#saveCheckpoint()
      .catch((error: unknown) => {
        const why = `Positions cannot be saved, records may come twice after a crash: ${reasonOf(error)}`;
        this.#ports.onProblem("checkpoint/failed", why);
      })
      .finally(() => {
        this.#checkpointing = undefined;
      });
    return this.#checkpointing;
  }

  stats(): PipelineStats {
    const active = this.#active;
    const source = {
      counters: this.#counters,
      inputCounters: this.#inputCounters.values(),
      active,
      running: this.#running,
      waitingFor: this.#waitingFor,
      isSettled: active === undefined || this.#isSettled(active),
    };
    return pipelineStats(source, Date.now());
  }

  #sum(count: (counters: InputCounters) => number): number {
    let sum = 0;
    for (const counters of this.#inputCounters.values()) sum += count(counters);
    return sum;
  }

  /** Notes positions without syncing anything: see CheckpointFile. */
  #noteQuickly(nowMs: number): void {
    const active = this.#active;
    if (active === undefined || this.#isSwapping || nowMs - this.#notedAt < this.#noteEveryMs) return;
    try {
      if (this.#hasNews && this.#isSettled(active)) {
        const bytes = this.#checkpoints.note(marksOf(active));
        this.#noteEveryMs = Math.max(noteMs, Math.min(bytes / noteBytesPerMs, noteMsMax));
        this.#hasNews = false;
      }
    } catch (error) {
      this.#ports.onProblem("checkpoint/failed", `Positions cannot be noted: ${reasonOf(error)}`);
    }
    this.#notedAt = nowMs;
  }

  /** Whether everything that was read is delivered or in files: only then may positions move. */
  #isSettled(active: Active): boolean {
    return this.#deadLetter.isSettled && active.outputs.every((output) => output.isSettled);
  }

  #isCheckpointDue(nowMs: number): boolean {
    const elapsed = nowMs - this.#checkpointedAt;
    const read = this.#sum((counters) => counters.bytes) - this.#checkpointedBytes;
    return elapsed >= (read >= checkpointBytes ? checkpointMinMs : checkpointMs);
  }

  /** One chunk of each input; whether there may be more at once. */
  #turn(nowMs: number): boolean {
    const active = this.#active;
    if (active === undefined || this.#isSwapping) return false;
    this.#waitingFor = this.#reasonToWait(active, nowMs);
    let worked = false;
    for (const input of active.inputs) {
      try {
        input.poll(nowMs);
        if (this.#waitingFor !== undefined) continue;
        if (input.turn(active.router, nowMs)) worked = true;
        active.router.flush();
        input.commit();
      } catch (error) {
        // Positions did not move: what was read is read again.
        active.router.discard();
        input.rollback();
        this.#ports.onProblem("input/failed", `Input "${input.config.alias}": ${reasonOf(error)}`);
      }
    }
    return worked;
  }

  #reasonToWait(active: Active, nowMs: number): string | undefined {
    if (nowMs - this.#retriedAt >= retryMs) {
      this.#retriedAt = nowMs;
      for (const output of active.outputs) output.retry();
      this.#deadLetter.retry();
    }
    if (active.router.lacksRules) {
      const why = "the shipper config has an output detect, and no rules are applied yet";
      this.#ports.onProblem("detect/no-rules", `Reading waits: ${why}`);
      return why;
    }
    if (!this.#deadLetter.isSettled) return "the dead letter folder cannot be written";
    const full = active.outputs.find((output) => output.isFull);
    return full === undefined ? undefined : `the queue of output "${full.config.alias}" is full`;
  }

  async #saveCheckpoint(): Promise<void> {
    const active = this.#active;
    if (active === undefined) return;
    if (!this.#isSettled(active)) return;
    // What these positions cover is written; it has to be durable before they are.
    const marks = marksOf(active);
    await Promise.all([this.#deadLetter.sync(), ...active.outputs.map((output) => output.sync())]);
    if (!isDeepStrictEqual(marks, this.#savedMarks)) await this.#checkpoints.save(marks);
    this.#savedMarks = marks;
    for (const input of active.inputs) input.saved(marks);
  }

  /** Replaces the running config; says why when that failed, and then the old one runs again. */
  async #swap(config: PipelineConfig, facts: PipelineFacts): Promise<string | undefined> {
    const old = this.#active;
    if (old !== undefined) await this.#close(old, swapGraceMs);
    try {
      await this.#open(config, facts);
      return undefined;
    } catch (error) {
      if (old !== undefined && this.#facts !== undefined) await this.#open(old.config, this.#facts);
      return `The config cannot be started: ${reasonOf(error)}`;
    }
  }

  async #open(config: PipelineConfig, facts: PipelineFacts): Promise<void> {
    const onProblem = this.#ports.onProblem;
    const context = this.#outputContext(config, facts);
    const outputs = await openOutputs(config, context);
    for (const name of orphanSpools(config, this.#options.stateDir)) {
      const why = `Spool ${name} may hold records of an input that is not in the config any more: they are kept`;
      onProblem("input/orphan-spool", `${why}, and read when the input is back under its alias`);
    }
    for (const name of orphanQueues(config, context.queueDir)) {
      const why = `Queue ${name} holds records of an output that is not in the config any more: they are kept`;
      onProblem("output/orphan-queue", `${why}, and delivered when the output is back under its alias`);
    }
    const router = new Router(config, outputs, facts.clusterId, this.#counters, onProblem);
    router.detection = this.#detection;
    try {
      const inputs = await openInputs(config, {
        marks: this.#savedMarks,
        readAll: this.#readAll,
        allowList: this.#options.allowList,
        endsAtEof: this.#options.endsAtEof ?? false,
        deadLetter: this.#deadLetter,
        stateDir: this.#options.stateDir,
        countersOf: (alias) => this.#countersOf(alias),
        nowMs: Date.now(),
        onProblem,
      });
      this.#active = { config, outputs, router, ...inputs };
    } catch (error) {
      await Promise.all(outputs.map((output) => output.close(0)));
      throw error;
    }
    this.#readAll = false;
  }

  #countersOf(alias: string): InputCounters {
    const known = this.#inputCounters.get(alias);
    if (known !== undefined) return known;
    const counters = newCounters();
    this.#inputCounters.set(alias, counters);
    return counters;
  }

  /** After it, `#savedMarks` is where to go on; what was held in memory is read again from there. */
  async #close(active: Active, graceMs: number): Promise<void> {
    this.#isSwapping = true;
    try {
      await this.#checkpointing;
      await this.#replay.rest();
      for (const output of active.outputs) output.retry();
      await this.checkpoint();
      // So that the quick note is not behind the checkpoint: it counts first.
      this.#checkpoints.note(this.#savedMarks);
      for (const input of active.inputs) await input.close();
      await Promise.all(active.outputs.map((output) => output.close(Date.now() + graceMs)));
      this.#active = undefined;
    } finally {
      this.#isSwapping = false;
    }
  }

  #outputContext(config: PipelineConfig, facts: PipelineFacts): OutputContext {
    return {
      clusterId: facts.clusterId,
      service: config.service,
      queueDir: join(this.#options.stateDir, "queue"),
      deadLetter: this.#deadLetter,
      onProblem: this.#ports.onProblem,
      onRoom: () => {},
      mayWrite: (folder) => isBelowAny(folder, this.#options.allowList.fileDirectories),
      destinationProblem: (to, tls) => destinationProblem(to, { tls }, this.#options.allowList),
      mayUseSecret: (file) => isBelowAny(file, this.#options.allowList.secretDirectories ?? []),
      deliverAlerts: this.#ports.deliverAlerts,
    };
  }
}
