import type {
  Alert,
  AuditRecords,
  Detection as EngineDetection,
  Detector,
  RecordDetector,
  RuleSet,
} from "#engine";
import { compileMatch } from "#shipper";
import type { ResponsePolicy } from "#layers";
import type { DetectConfig, PipelineConfig } from "#shipper";
import { newHistogram, observeSeconds } from "../domain/histogram.ts";
import type { Histogram } from "../domain/histogram.ts";
import type { ResponseCandidate } from "../respond/responder.ts";
import { alertId, isParked, toPipelineAlert, withoutFields } from "./alert.ts";
import type { SourcePosition } from "./alert.ts";
import { Arena } from "./arena.ts";
import { Batch } from "./batch.ts";
import type { PipelineAlert } from "./batch.ts";
import type { EventRing } from "./event-ring.ts";
import { alertTagOf, foreignTag, unknownDigest } from "./elsewhere.ts";
import type { ForeignAlerts } from "./elsewhere.ts";
import { loggedLine, readFalcoAlert } from "./falco-alert.ts";
import { reasonOf } from "./files.ts";
import { FilterChain } from "./filter-chain.ts";
import type { CountedFilter, FilterStats } from "./filter.ts";
import type { Output } from "./output.ts";
import { candidateOf } from "./response-gate.ts";
import { RecordScanner } from "./scan.ts";
import type { Shadow } from "./shadow.ts";

/** The rules that run now. */
export interface Detection {
  readonly detector: Detector;
  /** For rules of source `syscall`, when there are any. */
  readonly calls?: RecordDetector;
  /** The rules themselves, for those that come after them to be compared with. */
  readonly rules: Pick<RuleSet, "compiled">;
  /** Of the rules that are enabled. */
  readonly sources: ReadonlySet<string>;
  readonly digest: string;
  /** What the bundle has agents do about alerts; absent when nothing. */
  readonly responses?: readonly ResponsePolicy[];
}

/** Cumulative since the pipeline began. */
export interface RouterCounters {
  alerts: number;
  detectionMs: number;
  /** Records that the rules could not look at. */
  undetected: number;
  /** From the time of an event to the alert about it. */
  readonly detectionDelay: Histogram;
}

export function newRouterCounters(): RouterCounters {
  return { alerts: 0, detectionMs: 0, undetected: 0, detectionDelay: newHistogram() };
}

/** What records are looked at with. One object for all routers of a pipeline: a swap of rules reaches each of them. */
export interface RulesInUse {
  detection: Detection | undefined;
  /** A candidate that is evaluated beside it. */
  shadow: Shadow | undefined;
  /** Set when another program runs the rules. */
  readonly elsewhere?: ForeignAlerts;
  /** What rules look at is kept there. */
  readonly ring: EventRing | undefined;
  /** Told of alerts that responses are about; absent where nobody responds. */
  readonly respond?: ((candidate: ResponseCandidate) => void) | undefined;
}

export interface RouterOptions {
  readonly config: PipelineConfig;
  /** Those that records may get to; outputs of the config that are not among them are left out. */
  readonly outputs: readonly Output[];
  readonly clusterId: string;
  readonly rules: RulesInUse;
  readonly counters: RouterCounters;
  readonly filters: readonly CountedFilter[];
  readonly onProblem: (code: string, message: string) => void;
  /** The records were routed before, to others: rules look again only at what gives alerts for these outputs. */
  readonly isSecond: boolean;
}

interface Route {
  readonly chain: FilterChain;
  readonly outputs: readonly Output[];
  readonly detects: readonly DetectConfig[];
}

/** Where a line lies in the arena, its newline included. */
interface Line {
  readonly from: number;
  readonly to: number;
}

const routesMax = 10_000;

/**
 * Takes records through filters to outputs. Which filters and outputs a tag meets is worked out once per tag. Alerts come
 * back as records under their own tag and meet everything but `detect`; `fleet` takes alerts and nothing else.
 */
export class Router {
  readonly #config: PipelineConfig;
  readonly #outputs: ReadonlyMap<string, Output>;
  readonly #clusterId: string;
  readonly #rules: RulesInUse;
  readonly #isSecond: boolean;
  readonly #counters: RouterCounters;
  readonly #onProblem: (code: string, message: string) => void;
  readonly #filters: readonly CountedFilter[];
  readonly #routes = new Map<string, Route>();
  readonly #arena = new Arena();
  readonly #alertScanner = new RecordScanner();
  readonly #batches = new Map<Output, Map<string, Batch>>();
  /** When the turn got its first record; 0 where another program runs the rules, and reads. */
  #readAtMs = 0;

  constructor(options: RouterOptions) {
    this.#config = options.config;
    this.#filters = options.filters;
    this.#outputs = new Map(options.outputs.map((output) => [output.config.alias, output]));
    this.#clusterId = options.clusterId;
    this.#rules = options.rules;
    this.#isSecond = options.isSecond;
    this.#counters = options.counters;
    this.#onProblem = options.onProblem;
  }

  /** Whether records of a tag need rules that are not there: reading has to wait, or they would pass undetected. */
  lacksRules(tag: string): boolean {
    return this.#rules.detection === undefined && this.#route(tag, false).detects.length > 0;
  }

  /** All outputs that records of a tag may get to, those that take the alerts about them included. */
  reach(tag: string): readonly Output[] {
    if (tag === foreignTag) return this.#route(alertTagOf(this.#config), true).outputs;
    const { outputs, detects } = this.#route(tag, false);
    return [...outputs, ...detects.flatMap(({ alertTag }) => this.#route(alertTag, true).outputs)];
  }

  /**
   * Whether rules of source `syscall` look at records of a tag, or a candidate does, or they are kept for one: whoever reads the
   * Linux audit log decodes it only then.
   */
  looksAtSyscalls(tag: string): boolean {
    const { detection, shadow, ring } = this.#rules;
    if (detection === undefined) return false;
    const isTried = !this.#isSecond && (shadow?.wantsCalls === true || ring?.isOn === true);
    return (detection.calls !== undefined || isTried) && this.#route(tag, false).detects.length > 0;
  }

  /** Routes one record. `shape` has to have scanned exactly these bytes. */
  record(
    tag: string,
    bytes: Buffer,
    start: number,
    end: number,
    shape: RecordScanner,
    timeMs: number,
    position: SourcePosition,
  ): void {
    if (tag === foreignTag) return this.#foreign(bytes, start, end, shape, timeMs, position);
    const route = this.#route(tag, false);
    const from = this.#arena.length;
    if (from === 0 && this.#rules.elsewhere === undefined) this.#readAtMs = Date.now();
    if (!route.chain.apply(bytes, start, end, shape, this.#arena)) return;
    const to = this.#arena.length;
    for (const output of route.outputs) this.#batch(output, tag, timeMs).add(from, to, position);
    if (route.detects.length === 0) return;
    const shown: Line = { from, to };
    const seen = route.chain.isMasked ? this.#clear(route.chain) : shown;
    for (const detect of route.detects) {
      this.#detect(detect, seen, shown, bytes.subarray(start, end), timeMs, position);
    }
  }

  /** A line of another program that runs the rules: an alert, or something that goes where alerts go and is none. */
  #foreign(
    bytes: Buffer,
    start: number,
    end: number,
    shape: RecordScanner,
    timeMs: number,
    position: SourcePosition,
  ): void {
    const tag = alertTagOf(this.#config);
    const logged = loggedLine(bytes, start);
    const alert =
      logged === undefined ? readFalcoAlert(bytes, start, end) : readFalcoAlert(logged, 0, logged.length);
    if (alert !== undefined) {
      const id = alertId(this.#clusterId, position, alert.rule, 0, bytes.subarray(start, end));
      const digest = this.#rules.elsewhere?.digest ?? unknownDigest;
      return this.#alert(alert, id, position, tag, Date.parse(alert.time), digest);
    }
    // What else a container logs is nothing that anybody sent here.
    if (logged !== undefined) return;
    const route = this.#route(tag, true);
    const from = this.#arena.length;
    if (!route.chain.apply(bytes, start, end, shape, this.#arena)) return;
    for (const output of route.outputs) {
      if (output.config.plugin === "fleet") continue;
      this.#batch(output, tag, timeMs).add(from, this.#arena.length, position);
    }
  }

  filterStats(): readonly FilterStats[] {
    return this.#filters.map((filter) => filter.stats());
  }

  /** Hands every output what the turn has for it, and says which ones got something. Nothing of the turn is kept. */
  flush(): readonly Output[] {
    const taking = [...this.#batches.keys()];
    for (const [output, byTag] of this.#batches) for (const batch of byTag.values()) output.take(batch);
    this.discard();
    return taking;
  }

  /** Forgets the turn: its records will be read again. */
  discard(): void {
    this.#batches.clear();
    this.#arena.reset();
  }

  /** The record once more, without its masks: for the rules, and for nobody else. */
  #clear(chain: FilterChain): Line {
    const from = this.#arena.length;
    chain.putClear(this.#arena);
    return { from, to: this.#arena.length };
  }

  #detect(
    detect: DetectConfig,
    seen: Line,
    shown: Line,
    raw: Buffer,
    timeMs: number,
    position: SourcePosition,
  ): void {
    if (this.#rules.detection === undefined) return;
    const begun = performance.now();
    let alerts: readonly Alert[] = [];
    const { shadow: candidate } = this.#rules;
    const shadow = this.#isSecond || candidate?.isOver === true ? undefined : candidate;
    shadow?.begin(!this.#route(detect.alertTag, true).chain.isEmpty);
    try {
      const { detector, calls } = this.#rules.detection;
      const { syscalls } = position;
      const hidden = seen === shown ? undefined : { start: shown.from, end: shown.to - 1 };
      const found =
        syscalls === undefined || calls === undefined
          ? detector.detectBytes(this.#arena.bytes, seen.from, seen.to - 1, hidden)
          : evaluateCalls(calls, syscalls, hidden !== undefined, shadow);
      // Rules that run and do not look at calls see the record as they would without a candidate.
      if (calls === undefined) {
        for (const event of syscalls?.events ?? []) shadow?.lookAtCall(event, [], hidden !== undefined);
      }
      alerts = found.alerts;
      const [problem] = found.problems;
      if (problem !== undefined) this.#undetected(position, problem);
    } catch (error) {
      this.#undetected(position, reasonOf(error));
    }
    this.#counters.detectionMs += performance.now() - begun - (shadow?.spentMs ?? 0);
    this.#keep(detect, seen, shown, timeMs, position);
    const counts = new Map<string, number>();
    for (const alert of alerts) {
      const nth = counts.get(alert.rule) ?? 0;
      counts.set(alert.rule, nth + 1);
      const id = alertId(this.#clusterId, position, alert.rule, nth, raw);
      // Alerts of one rule over one line may read the same, and are still several.
      const place = nth === 0 ? position : { ...position, origin: `${position.origin} ${nth}` };
      this.#alert(alert, id, place, detect.alertTag, timeMs, this.#rules.detection.digest);
      this.#respond(alert, id, position, this.#rules.detection);
    }
  }

  #respond(alert: Alert, id: string, position: SourcePosition, { responses, digest }: Detection): void {
    if (responses === undefined || this.#isSecond || this.#rules.respond === undefined) return;
    if (isParked(position)) return;
    const candidate = candidateOf(alert, id, responses, digest);
    if (candidate !== undefined) this.#rules.respond(candidate);
  }

  #keep(detect: DetectConfig, seen: Line, shown: Line, timeMs: number, { syscalls }: SourcePosition): void {
    const { ring } = this.#rules;
    if (this.#isSecond || ring?.isOn !== true) return;
    const hidesValues = !this.#route(detect.alertTag, true).chain.isEmpty;
    const isHidden = seen !== shown;
    if (syscalls !== undefined) {
      const { events } = syscalls;
      if (events.length > 0) ring.add({ kind: "calls", timeMs, hidesValues, events, isHidden });
      return;
    }
    const of = ({ from, to }: Line) => this.#arena.bytes.subarray(from, to - 1);
    const masked = isHidden ? { shown: of(shown) } : {};
    ring.add({ kind: "line", timeMs, hidesValues, seen: of(seen), ...masked });
  }

  #alert(
    alert: Alert,
    id: string,
    position: SourcePosition,
    tag: string,
    timeMs: number,
    digest: string,
  ): void {
    this.#counters.alerts++;
    // Alerts are few: events are not looked at with a clock for this.
    observeSeconds(this.#counters.detectionDelay, (Date.now() - timeMs) / 1000);
    const route = this.#route(tag, true);
    const body = Buffer.from(alert.body);
    if (!this.#alertScanner.scan(body, 0, body.length)) {
      throw new Error(`The engine made an alert that is no JSON object: ${this.#alertScanner.why}`);
    }
    const from = this.#arena.length;
    if (!route.chain.apply(body, 0, body.length, this.#alertScanner, this.#arena)) return;
    const to = this.#arena.length;
    let travelling: PipelineAlert | undefined;
    for (const output of route.outputs) {
      const batch = this.#batch(output, tag, timeMs);
      batch.add(from, to, position);
      if (output.config.plugin !== "fleet") continue;
      const text = this.#arena.bytes.toString("utf8", from, to - 1);
      travelling ??= toPipelineAlert(alert, id, text, digest, this.#readAtMs);
      batch.alerts.push(travelling);
    }
  }

  #undetected(position: SourcePosition, why: string): void {
    this.#counters.undetected++;
    const where = `the record at byte ${position.offset} of inode ${position.inode}`;
    this.#onProblem("detect/failed", `The rules could not look at ${where}: ${why.slice(0, 500)}`);
  }

  #batch(output: Output, tag: string, timeMs: number): Batch {
    let byTag = this.#batches.get(output);
    if (byTag === undefined) this.#batches.set(output, (byTag = new Map()));
    let batch = byTag.get(tag);
    if (batch === undefined) byTag.set(tag, (batch = new Batch(tag, timeMs, this.#arena)));
    return batch;
  }

  #route(tag: string, isAlert: boolean): Route {
    const key = isAlert ? `alert ${tag}` : tag;
    let route = this.#routes.get(key);
    if (route === undefined) {
      if (this.#routes.size >= routesMax) this.#routes.clear();
      this.#routes.set(key, (route = this.#newRoute(tag, isAlert)));
    }
    return route;
  }

  #newRoute(tag: string, isAlert: boolean): Route {
    const filters = this.#filters.filter(({ filter }) => compileMatch(filter.config.match)(tag));
    const taken = this.#config.outputs.filter((output) => compileMatch(output.match)(tag));
    const outputs = taken.flatMap((config) => {
      const output = this.#outputs.get(config.alias);
      const isFitting = isAlert ? config.plugin !== "detect" : config.plugin !== "fleet";
      return output !== undefined && isFitting ? [output] : [];
    });
    const detects = taken.filter((config) => config.plugin === "detect");
    const isElsewhere = this.#rules.elsewhere !== undefined;
    return {
      chain: new FilterChain(filters),
      outputs,
      detects: isAlert || isElsewhere ? [] : detects.filter((config) => this.#hasUse(config)),
    };
  }

  /** Whether anybody waits for what rules say. */
  #hasUse({ alertTag }: DetectConfig): boolean {
    return !this.#isSecond || this.#route(alertTag, true).outputs.length > 0;
  }
}

/** What rules of source `syscall` find in events, and a candidate beside them. */
export function evaluateCalls(
  calls: RecordDetector,
  { events, problems }: AuditRecords,
  isHidden: boolean,
  shadow: Shadow | undefined,
): Pick<EngineDetection, "alerts" | "problems"> {
  const found = events.flatMap((event) => {
    const one = calls.detectRecord(event);
    const alerts = isHidden ? one.alerts.map(withoutFields) : one.alerts;
    shadow?.lookAtCall(event, alerts, isHidden);
    return { ...one, alerts };
  });
  return {
    alerts: found.flatMap(({ alerts }) => alerts),
    problems: [...problems, ...found.flatMap((one) => one.problems)],
  };
}
