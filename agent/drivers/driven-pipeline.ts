import { kinds } from "../domain/apply-plan.ts";
import type { Kind } from "../domain/apply-plan.ts";
import { Lasting } from "../domain/growth.ts";
import type { KeptPipeline } from "../keep-pipeline.ts";
import type {
  ApplyRequest,
  ApplyResult,
  BundleSource,
  PipelineFacts,
  PipelineStats,
  Running,
} from "../pipeline/pipeline.ts";
import type { Driver, DriverResult } from "./driver.ts";

/** The programs beside the agent that run a kind of bundle; what has none runs in the pipeline. */
export type Drivers = { readonly [K in Kind]?: Driver };

export interface DrivenOptions {
  readonly drivers: Drivers;
  /** What the pipeline runs where no shipper config is for it: alerts still have to get to the server. */
  readonly alertsOnly: BundleSource;
  /** Inputs whose records are none of the cluster. */
  readonly uncounted: ReadonlySet<string>;
}

/** A pipeline of which parts are other programs: to whoever applies bundles and asks for figures it is one. */
export function driveWith(pipeline: KeptPipeline, options: DrivenOptions): KeptPipeline {
  const driven = new DrivenPipeline(pipeline, options);
  return {
    ...pipeline,
    apply: (request, facts) => driven.apply(request, facts),
    stats: () => driven.stats(),
    async stop() {
      for (const kind of kinds) options.drivers[kind]?.stop();
      await pipeline.stop();
    },
  };
}

interface Proved {
  readonly source: BundleSource;
  readonly facts: PipelineFacts;
}

type ProvedSet = { readonly [K in Kind]?: Proved };
type Taken = Exclude<DriverResult, { readonly ok: false }>;

class DrivenPipeline {
  readonly #pipeline: KeptPipeline;
  readonly #options: DrivenOptions;
  #proved: ProvedSet = {};
  readonly #counts = new Lasting(["events", "bytes", "alerts", "dropped", "detectionUs"]);
  #hasOwnShipper = false;

  constructor(pipeline: KeptPipeline, options: DrivenOptions) {
    this.#pipeline = pipeline;
    this.#options = options;
  }

  async apply(request: ApplyRequest, facts: PipelineFacts): Promise<ApplyResult> {
    const before = this.#proved;
    const rules = await this.#drive("rules", request, facts);
    if (rules?.ok === false) return rules;
    if (rules?.ok === true) this.#pipeline.runsElsewhere(rules.parts?.base ?? rules.digest);
    const own = await this.#pipeline.apply(this.#ownOf(request), facts);
    if (!own.ok) return this.#goBack(before, own);
    const shipper = await this.#drive("shipper", request, facts);
    if (shipper?.ok === false) return this.#goBack(before, shipper);
    const parts = rules?.ok === true && rules.parts !== undefined ? { parts: rules.parts } : {};
    const lacking = [...awayOf("rules", rules), ...awayOf("shipper", shipper)];
    const away = lacking.length === 0 ? {} : { away: lacking };
    return { ok: true, running: { ...this.#runningOf(own.running), ...parts }, ...away };
  }

  async stats(): Promise<PipelineStats | undefined> {
    const stats = await this.#pipeline.stats();
    if (stats === undefined) return undefined;
    const { drivers, uncounted } = this.#options;
    const reports = kinds.flatMap((kind) => drivers[kind]?.report() ?? []);
    const alerts = stats.inputs.filter(({ alias }) => uncounted.has(alias));
    const sum = (key: "events" | "bytes" | "dropped") =>
      reports.reduce((total, { counters }) => total + counters[key], 0);
    const alertsRead = (key: "records" | "bytes") => alerts.reduce((total, input) => total + input[key], 0);
    // Its worker may begin anew, and the programs go on: a sum that falls would be taken for an end of both.
    const own = this.#counts.take({
      events: stats.events - alertsRead("records"),
      bytes: stats.bytes - alertsRead("bytes"),
      alerts: stats.alerts,
      dropped: stats.dropped,
      detectionUs: stats.detectionUs,
    });
    return {
      ...stats,
      ...own,
      events: own.events + sum("events"),
      bytes: own.bytes + sum("bytes"),
      dropped: own.dropped + sum("dropped"),
      lagMs: Math.max(stats.lagMs, ...reports.map(({ counters }) => counters.lagMs)),
      running: this.#runningOf(stats.running),
      outputs: [...stats.outputs, ...reports.flatMap(({ outputs }) => outputs)],
      drivers: reports,
    };
  }

  async #drive(kind: Kind, request: ApplyRequest, facts: PipelineFacts): Promise<DriverResult | undefined> {
    const source = request[kind];
    if (source === undefined) return undefined;
    const isKnown = source.released === undefined;
    const result = await this.#options.drivers[kind]?.apply({ source, facts, isKnown });
    if (result?.ok === true) this.#proved = { ...this.#proved, [kind]: { source: bare(source), facts } };
    return result;
  }

  /** All or nothing: what came together with something that is refused goes back. */
  async #goBack<T>(before: ProvedSet, refusal: T): Promise<T> {
    for (const kind of kinds) {
      const was = before[kind];
      if (was === undefined || was === this.#proved[kind]) continue;
      await this.#options.drivers[kind]?.apply({ ...was, isKnown: true });
    }
    this.#proved = before;
    return refusal;
  }

  /** What the worker is to run of a request. */
  #ownOf(request: ApplyRequest): ApplyRequest {
    const { drivers, alertsOnly } = this.#options;
    if (drivers.shipper === undefined && request.shipper !== undefined) this.#hasOwnShipper = true;
    const shipper = this.#hasOwnShipper ? request.shipper : alertsOnly;
    const rules = drivers.rules === undefined ? request.rules : undefined;
    return {
      ...(rules === undefined ? {} : { rules }),
      ...(shipper === undefined ? {} : { shipper }),
    };
  }

  #runningOf(own: Running): Running {
    const { drivers, alertsOnly } = this.#options;
    const shown = (kind: Kind) => {
      const driver = drivers[kind];
      if (driver !== undefined) return shownBy(driver);
      return own[kind] === alertsOnly.digest ? undefined : own[kind];
    };
    const [rules, shipper] = [shown("rules"), shown("shipper")];
    return {
      ...(rules === undefined ? {} : { rules }),
      ...(shipper === undefined ? {} : { shipper }),
      ...(own.parts === undefined || drivers.rules !== undefined ? {} : { parts: own.parts }),
    };
  }
}

function awayOf(kind: Kind, result: Taken | undefined) {
  return result?.ok === "away" ? [{ kind, reason: result.reason, detail: result.detail }] : [];
}

/** A source that runs is not to be started for the first time again. */
function bare({ path, digest }: BundleSource): BundleSource {
  return { path, digest };
}

/** What a program shows that it runs, right now. */
function shownBy(driver: Driver): string | undefined {
  const { digest, fault } = driver.report();
  return fault === undefined ? digest : undefined;
}

/** Looks of a driver that have to find a fault before what it ran counts as gone: a reload takes some. */
const looksMax = 3;

/** Tells when a program that ran a bundle does not show it any more for a while, and when it is back. */
export function watchDriver(tell: {
  readonly lost: (kind: Kind, because: string) => void;
  readonly back: () => void;
}): (driver: Driver) => void {
  let looks = 0;
  return (driver) => {
    const { kind, fault } = driver.report();
    if (fault !== undefined) {
      looks++;
      if (looks === looksMax) tell.lost(kind, fault);
      return;
    }
    if (looks >= looksMax) tell.back();
    looks = 0;
  };
}
