import * as fs from "node:fs";
import { join } from "node:path";
import { setImmediate as yieldTurn, setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { PipelineConfig } from "#shipper";
import { openInputs, openLeftovers, openOutputs, openTailAgain, tellOrphans } from "./active.ts";
import type { Active, InputOptions } from "./active.ts";
import { backtestSource } from "./backtest-source.ts";
import type { PipelineAlert } from "./batch.ts";
import { DeadLetter } from "./dead-letter.ts";
import { createDetectionTime } from "./detection-time.ts";
import { reasonOf } from "./files.ts";
import { describeUnfed } from "./describe-unfed.ts";
import { unknownDigest } from "./elsewhere.ts";
import { EventRing, ringFolder } from "./event-ring.ts";
import { newFilterCounters } from "./filter.ts";
import type { FilterCounters } from "./filter.ts";
import { runningAfter, withoutLayers } from "./load-composition.ts";
import { failure, loadRulesBundle, loadRuleSet, loadShipperBundle } from "./load-bundle.ts";
import type { ApplyFailure, PipelineFacts } from "./load-bundle.ts";
import { bytesIn, countersIn, newCounters } from "./input.ts";
import type { InputCounters } from "./input.ts";
import type { Feed, Wait } from "./feed.ts";
import { Feeds } from "./feeds.ts";
import type {
  ApplyRequest,
  ApplyResult,
  BacktestSourceResult,
  PipelineStats,
  Running,
  ShadowRequest,
  ShadowResult,
  WorkerOptions,
} from "./messages.ts";
import { outputContext } from "./output-context.ts";
import { keepDropped, pipelineStats } from "./pipeline-stats.ts";
import { noteMs, PositionKeeper } from "./position-keeper.ts";
import { rulesProblem, shipperProblem } from "./protect.ts";
import { BundleRenderer } from "./render-bundle.ts";
import { Replay } from "./replay.ts";
import { routersOf } from "./routers.ts";
import { newRouterCounters } from "./router.ts";
import type { Detection, RulesInUse } from "./router.ts";
import { Shadow } from "./shadow.ts";
import { steadyNow } from "./steady-now.ts";
import type { ShadowFigures } from "./shadow-counts.ts";
import { unfedSources } from "./unfed-sources.ts";

export interface RunnerPorts {
  readonly onProblem: (code: string, message: string) => void;
  readonly deliverAlerts: (alerts: readonly PipelineAlert[], signal: AbortSignal) => Promise<void>;
  /** An output lost what it could not sync: `reopen` is to be called, when no `apply` is going on. */
  readonly onLost: () => void;
  readonly respond?: RulesInUse["respond"];
  /** How many bytes all inputs have read since the start, after each turn. */
  readonly onRead?: (bytes: number) => void;
}

const idleMs = 100;
const retryMs = 1000;
/** A disk that fails again and again costs records that come twice each time. */
const reopenMs = 30_000;
/** How long requests in flight may take to end when a config is swapped; later they are repeated. */
const swapGraceMs = 2000;

/**
 * The pipeline itself: turns of reading, filtering, detecting and handing over, with a checkpoint now and then. Whatever
 * happens to it, records that were not delivered or queued durably are read again.
 */
export class Runner {
  readonly #options: WorkerOptions;
  readonly #ports: RunnerPorts;
  /** For what another program runs. */
  readonly renderer: BundleRenderer;
  readonly #deadLetter: DeadLetter;
  readonly #replay: Replay;
  readonly #positions: PositionKeeper;
  readonly #ring: EventRing;
  readonly #inputCounters = new Map<string, InputCounters>();
  readonly #filterCounters = new Map<string, FilterCounters>();
  readonly #counters = { ...newRouterCounters(), dropped: 0 };
  readonly #detectionTime = createDetectionTime();
  #active: Active | undefined;
  readonly #rules: RulesInUse;
  #running: Running = {};
  #sources: ApplyRequest = {};
  #facts: PipelineFacts | undefined;
  #readAll: boolean;
  #isSwapping = false;
  #isStopping = false;
  #retriedAt = 0;
  #reopenedAt = Number.NEGATIVE_INFINITY;

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
    this.#positions = new PositionKeeper({ path, deadLetter: this.#deadLetter, onProblem: ports.onProblem });
    this.#readAll = this.#positions.isDamaged;
    this.#ring = new EventRing(join(ringFolder(options.stateDir), "1"), ports.onProblem);
    const elsewhere = options.rulesElsewhere && { elsewhere: { digest: unknownDigest } };
    const { respond } = ports;
    this.#rules = { detection: undefined, shadow: undefined, ring: this.#ring, respond, ...elsewhere };
    this.renderer = new BundleRenderer({ allowList: options.allowList });
  }

  /** Runs until `stop`. */
  async run(): Promise<void> {
    while (!this.#isStopping) {
      const worked = this.#turn(steadyNow());
      if (worked) this.#positions.hasNews = true;
      const active = this.#isSwapping ? undefined : this.#active;
      if (active !== undefined) {
        this.#replay.poll(active, steadyNow());
        this.#positions.noteQuickly(active, steadyNow());
        this.#askToReopen(active);
        const bytes = bytesIn(this.#inputCounters.values());
        this.#ports.onRead?.(bytes);
        if (this.#positions.isCheckpointDue(steadyNow(), bytes)) void this.#positions.checkpoint(active);
      }
      await (worked ? yieldTurn() : sleep(this.#positions.hasNews ? noteMs : idleMs));
    }
  }

  /** Delivers what it can within the grace time of the config, then saves positions and closes everything. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    if (this.#active !== undefined) await this.#close(this.#active, this.#active.config.service.graceMs);
    this.#active = undefined;
    this.#positions.close();
    this.#deadLetter.close();
    await this.#ring.close();
  }

  /**
   * Loads what is asked for and swaps it in, all or nothing. What is not named goes on as it is, except that other facts
   * load everything again. Swapping rules does not interrupt reading.
   */
  async apply(request: ApplyRequest, facts: PipelineFacts): Promise<ApplyResult> {
    const begunAt = steadyNow();
    const sources: ApplyRequest = { ...this.#sources, ...request };
    const isMoved = this.#facts !== undefined && !isDeepStrictEqual(facts, this.#facts);
    // What runs already is not loaded again: other rules would end a shadow, although they are the same.
    const isNew = (kind: "rules" | "shipper") =>
      request[kind]?.released !== undefined || request[kind]?.digest !== this.#running[kind];
    const rulesSource = isMoved ? sources.rules : isNew("rules") ? request.rules : undefined;
    const shipperSource = isMoved ? sources.shipper : isNew("shipper") ? request.shipper : undefined;
    const rules =
      rulesSource === undefined ? undefined : loadRulesBundle(rulesSource, facts, this.#options.allowList);
    if (rules?.ok === false) return rules;
    const shipper =
      shipperSource === undefined ? undefined : loadShipperBundle(shipperSource, facts, this.#options);
    if (shipper?.ok === false) return shipper;
    const before = this.#rules.detection;
    const denied = this.#protectionProblem(rules?.value, shipper?.value);
    if (denied !== undefined) return denied;
    const validatedMs = steadyNow() - begunAt;
    if (rules !== undefined) this.#rules.detection = rules.value;
    if (shipper !== undefined && (isMoved || !isDeepStrictEqual(shipper.value, this.#active?.config))) {
      const why = await this.#swap(shipper.value, facts);
      if (why !== undefined) {
        this.#rules.detection = before;
        return failure("shipper", "pipeline/cannot-open", why);
      }
      // So that a crash right after the first look does not make the next one the first.
      await this.#positions.checkpoint(this.#active);
    }
    if (rules !== undefined) this.#rules.shadow?.stop("shadow/rules-changed", "Other rules run here since");
    this.#sources = sources;
    this.#facts = facts;
    if (this.#active !== undefined) {
      for (const source of unfedSources(this.#active.config, this.#rules.detection)) {
        this.#ports.onProblem(`detect/unfed-${source}`, describeUnfed(source));
      }
    }
    this.#running = runningAfter(this.#running, rules, shipper);
    return { ok: true, running: this.#running, validatedMs };
  }

  /** Whether what is to run would take from protected rules what those that run have. */
  #protectionProblem(
    rules: Detection | undefined,
    shipper: PipelineConfig | undefined,
  ): ApplyFailure | undefined {
    const guard = this.#options.allowList;
    const running = this.#rules.detection?.rules ?? this.renderer.rules;
    const lost = rules === undefined ? undefined : rulesProblem(running, rules.rules, guard);
    if (lost !== undefined) return failure("rules", "rules/protected", lost);
    if (shipper === undefined) return undefined;
    const starved = shipperProblem(this.#active?.config, shipper, rules?.rules ?? running, guard);
    return starved === undefined ? undefined : failure("shipper", "shipper/protected", starved);
  }

  #askToReopen(active: Active): void {
    const isLost = active.outputs.some((output) => !output.isDurable);
    if (!isLost || steadyNow() - this.#reopenedAt < reopenMs) return;
    this.#reopenedAt = steadyNow();
    this.#ports.onLost();
  }

  /** Opens everything anew after a sync that failed: what is not durable is read again, into files of its own. */
  async reopen(): Promise<void> {
    const active = this.#active;
    if (active === undefined || this.#facts === undefined) return;
    const why = await this.#swap(active.config, this.#facts);
    if (why !== undefined) this.#ports.onProblem("pipeline/cannot-reopen", why);
  }

  /** Evaluates a candidate beside what runs, if it could run here at all. Nothing else changes, whatever it does. */
  beginShadow({ rules, untilMs }: ShadowRequest): ShadowResult {
    const running = this.#rules.detection;
    if (running === undefined || this.#facts === undefined) {
      return failure("rules", "shadow/nothing-runs", "No rules run here that it could be compared with");
    }
    const loaded = loadRuleSet(rules, this.#facts, this.#options.allowList);
    if (!loaded.ok) return loaded;
    const lost = rulesProblem(running.rules, loaded.value, this.#options.allowList);
    if (lost !== undefined) return failure("rules", "rules/protected", lost);
    this.endShadow();
    const { hostname } = this.#facts;
    const clocks = { now: () => Date.now(), steady: steadyNow };
    const note = withoutLayers(loaded.parts);
    this.#rules.shadow = new Shadow(loaded.value, running.detector, { hostname, untilMs, note, ...clocks });
    return { ok: true };
  }

  /** Notes which bundle another program was proved to run: alerts name it. */
  runsElsewhere(digest: string): void {
    if (this.#rules.elsewhere !== undefined) this.#rules.elsewhere.digest = digest;
  }

  endShadow(): void {
    this.#rules.shadow?.stop("shadow/ended", "The server ended it");
    this.#rules.shadow = undefined;
  }

  shadowFigures(): ShadowFigures | undefined {
    return this.#rules.shadow?.figures();
  }

  /** What a backtest replays now. */
  backtestSource(): Promise<BacktestSourceResult> {
    const folder = ringFolder(this.#options.stateDir);
    return backtestSource(this.#ring, folder, this.#sources.rules, this.#facts);
  }

  stats(): PipelineStats {
    const active = this.#active;
    const source = {
      detectionUs: this.#detectionTime.read(this.#counters.detectionMs),
      ring: this.#ring.stats(),
      detection: this.#rules.detection,
      counters: this.#counters,
      inputCounters: this.#inputCounters.values(),
      active,
      running: this.#running,
      isSettled: active === undefined || this.#isSettled(active),
    };
    return pipelineStats(source, Date.now());
  }

  /** Whether everything that was read is delivered or in files. */
  #isSettled(active: Active): boolean {
    return this.#deadLetter.isSettled && active.outputs.every((output) => output.isSettled);
  }

  /** One chunk of each input; whether there may be more at once. */
  #turn(nowMs: number): boolean {
    const active = this.#active;
    if (active === undefined || this.#isSwapping) return false;
    this.#retryHeld(active, nowMs);
    let worked = false;
    for (const feed of active.feeds.all) {
      const { alias } = feed.input.config;
      try {
        feed.input.poll(nowMs);
        const wait = this.#reasonToWait(feed);
        const isSplit = wait?.code === "input/waiting" && active.feeds.split(feed);
        feed.waitingFor = isSplit ? undefined : wait?.why;
        if (wait === undefined) worked = feed.turn(nowMs, Date.now()) || worked;
        else if (isSplit) worked = true;
        else if (feed.behind === undefined) {
          this.#ports.onProblem(wait.code, `Input "${alias}" waits: ${wait.why}`);
        }
      } catch (error) {
        // Positions did not move: what was read is read again.
        feed.rollback();
        this.#ports.onProblem("input/failed", `Input "${alias}": ${reasonOf(error)}`);
      }
    }
    active.feeds.rejoin();
    return worked;
  }

  #retryHeld(active: Active, nowMs: number): void {
    if (nowMs - this.#retriedAt < retryMs) return;
    this.#retriedAt = nowMs;
    for (const output of active.outputs) output.retry();
    this.#deadLetter.retry();
  }

  #reasonToWait(feed: Feed): Wait | undefined {
    if (!this.#deadLetter.isSettled) {
      return { code: "input/waiting", why: "the dead letter folder cannot be written" };
    }
    return feed.reasonToWait();
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
    const { onProblem, deliverAlerts } = this.#ports;
    const ports = { deadLetter: this.#deadLetter, deliverAlerts, onProblem };
    const context = outputContext(config, facts, this.#options, ports);
    const outputs = await openOutputs(config, context);
    const all = [...outputs];
    tellOrphans(config, { stateDir: this.#options.stateDir, queueDir: context.queueDir }, onProblem);
    const routerTo = routersOf(config, {
      clusterId: facts.clusterId,
      rules: this.#rules,
      counters: this.#counters,
      filterCountersOf: ({ plugin, alias }) =>
        countersIn(this.#filterCounters, `${plugin} ${alias}`, newFilterCounters),
      now: steadyNow,
      onProblem,
    });
    const inputs = (): InputOptions => ({
      marks: this.#positions.saved,
      readAll: this.#readAll,
      allowList: this.#options.allowList,
      endsAtEof: this.#options.endsAtEof ?? false,
      deadLetter: this.#deadLetter,
      stateDir: this.#options.stateDir,
      countersOf: (alias) => countersIn(this.#inputCounters, alias, newCounters),
      nowMs: steadyNow(),
      onProblem,
    });
    const feeds = new Feeds(outputs, {
      routerTo,
      openAgain: (input, marks, first) => openTailAgain(input, marks, first, inputs()),
      onProblem,
    });
    try {
      all.push(...openLeftovers(config, context));
      const otherMarks = await openInputs(config, feeds, inputs());
      this.#active = { config, outputs: all, router: routerTo(outputs, false), feeds, otherMarks };
    } catch (error) {
      await Promise.all(all.map((output) => output.close(0)));
      throw error;
    }
    this.#readAll = false;
    this.#ring.use(config.service.ringBytesMax);
  }

  /** After it, `#positions.saved` is where to go on; what was held in memory is read again from there. */
  async #close(active: Active, graceMs: number): Promise<void> {
    this.#isSwapping = true;
    try {
      await this.#positions.rest();
      await this.#replay.rest();
      for (const output of active.outputs) output.retry();
      await this.#positions.checkpoint(active);
      this.#positions.noteSaved();
      for (const { input } of active.feeds.all) await input.close();
      await Promise.all(active.outputs.map((output) => output.close(Date.now() + graceMs)));
      keepDropped(this.#counters, active.outputs);
      this.#active = undefined;
    } finally {
      this.#isSwapping = false;
    }
  }
}
