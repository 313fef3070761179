import { setTimeout as pause } from "node:timers/promises";
import type { Kind } from "../domain/apply-plan.ts";
import type {
  ApplyFailure,
  BundleSource,
  EngineNeeds,
  PipelineFacts,
  RenderRequest,
  RenderResult,
  RulesParts,
} from "../pipeline/pipeline.ts";
import type { Driver, DriverAway, DriverPorts, DriverReport, DriverRequest, DriverResult } from "./driver.ts";
import { PlaceTrouble } from "./place.ts";
import type { Place } from "./place.ts";
import { logSince, putText, sizeOf } from "./swap-file.ts";

export interface FileDriverPorts extends DriverPorts {
  readonly render: (request: RenderRequest, facts: PipelineFacts) => Promise<RenderResult>;
  /** A file of the agent's own, for a dry run. */
  readonly candidate: string;
}

/** What every driver of a program is told. */
export interface FileDriverSettings {
  readonly log: string | undefined;
  readonly proofMs: number;
}

/** What is a program's own in a report. */
export type DriverFigures = Pick<DriverReport, "counters" | "notes" | "outputs" | "engine">;

/** Why something is not as it should be. */
export type Reason = Pick<DriverAway, "reason" | "detail">;

/** A bundle as the text that the program reads, and the mark by which the program shows that it loaded this text. */
export interface Made {
  readonly ok: true;
  readonly digest: string;
  readonly text: string;
  readonly mark: string;
  readonly parts?: RulesParts;
  /** What it needs of the program's engine. */
  readonly needs?: EngineNeeds;
}

interface Proved {
  readonly digest: string;
  readonly text: string;
  readonly mark: string;
  readonly source: BundleSource;
}

const lookMs = 2_000;
const proofPauseMs = 200;

/**
 * A driver whose program reads one text: a file, or a key of an object that pods have mounted. That it lies there proves nothing,
 * nor does that the program was told to reload: what it shows of what it loaded does.
 */
export abstract class FileDriver<Seen extends object> implements Driver {
  abstract readonly kind: Kind;
  abstract readonly name: string;
  protected readonly ports: FileDriverPorts;
  readonly #settings: FileDriverSettings;
  readonly #place: Place;
  readonly #stopping = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #isBusy = false;
  #proved: Proved | undefined;
  #fault: string | undefined;
  #falls = 0;
  #began = 0;

  constructor(place: Place, settings: FileDriverSettings, ports: FileDriverPorts) {
    this.#place = place;
    this.#settings = settings;
    this.ports = ports;
    this.#timer = setTimeout(() => void this.#watch(), 0).unref();
  }

  protected abstract make(request: DriverRequest): Promise<Made | ApplyFailure>;
  /** Why a program that answers is not fit for a bundle at all: nothing of it gets in its way then. */
  protected unfit(_seen: Seen, _made: Made): Reason | undefined {
    return undefined;
  }
  protected abstract validate(candidate: string): Promise<Reason | undefined>;
  /** Tells the program to load its files; says what went wrong. */
  protected abstract reload(): Promise<string | undefined>;
  /** While it is waited for: tells those again that may have been told too early. */
  protected again(_seen: Seen | Reason, _mark: string): Promise<void> {
    return Promise.resolve();
  }
  /** Looks at the program; why not, when it is not there or cannot prove anything. */
  protected abstract see(): Promise<Seen | Reason>;
  /** The same while a bundle runs: what is missing a little then is told, and no reason to put it in place again. */
  protected look(): Promise<Seen | Reason> {
    return this.see();
  }
  protected abstract shows(seen: Seen, mark: string): boolean;
  /** The mark of a text that lay there. */
  protected abstract markOf(text: string): string;
  /** Whether a program that shows the mark has loaded its files since it was seen before. */
  protected abstract hasReloaded(before: Seen | undefined, seen: Seen): boolean;
  protected abstract keptOld(seen: Seen): string;
  /** When the program began, in whatever unit; 0 when it does not say. */
  protected abstract beganAt(seen: Seen): number;
  protected abstract count(seen: Seen): void;
  protected abstract figures(): DriverFigures;

  /** Whether a bundle is being put in place. */
  protected get isBusy(): boolean {
    return this.#isBusy;
  }

  protected get running(): BundleSource | undefined {
    return this.#proved?.source;
  }

  async apply(request: DriverRequest): Promise<DriverResult> {
    this.#isBusy = true;
    try {
      const made = await this.make(request);
      return made.ok ? await this.#apply(made, request) : made;
    } catch (error) {
      if (!(error instanceof PlaceTrouble)) throw error;
      const { reason, detail } = error.reasonOf(this.name);
      return away(reason, detail);
    } finally {
      this.#isBusy = false;
    }
  }

  report(): DriverReport {
    const { kind, name } = this;
    const own = { kind, name, digest: this.#proved?.digest, fault: this.#fault, falls: this.#falls };
    return { ...own, ...this.figures() };
  }

  stop(): void {
    this.#stopping.abort();
    this.#place.stop();
    clearTimeout(this.#timer);
  }

  async #apply(made: Made, { source, isKnown }: DriverRequest): Promise<DriverResult> {
    const { text, mark } = made;
    const never = this.#place.refuses(text);
    if (never !== undefined) return this.#refused(never.reasonOf(this.name));
    const before = await this.#place.read();
    // The same bundle with other labels, and so other layers, was not proved before.
    const isTried = isKnown && (this.#proved?.digest !== made.digest || this.#proved.mark === mark);
    // What was proved once is believed of those that are there.
    const seen = await (isTried ? this.look() : this.see());
    if (isReason(seen)) {
      // It may be down because of what lies there: what was good is there when it comes up.
      if (isTried && before !== text) await this.#place.put(text);
      return away(seen.reason, seen.detail);
    }
    // What it counts until now it did not do for this bundle.
    this.count(seen);
    if (before === text && this.shows(seen, mark)) return this.#take(made, source, seen);
    const bad = isTried ? undefined : (this.unfit(seen, made) ?? (await this.#validate(text)));
    if (bad !== undefined) return this.#refused(bad);
    return this.#swap(made, source, { before, seen, isTried });
  }

  async #validate(text: string): Promise<Reason | undefined> {
    putText(this.ports.candidate, text, 0o600);
    return this.validate(this.ports.candidate);
  }

  async #swap(
    made: Made,
    source: BundleSource,
    {
      before,
      seen,
      isTried,
    }: { readonly before: string | undefined; readonly seen: Seen; readonly isTried: boolean },
  ): Promise<DriverResult> {
    const { log } = this.#settings;
    const logAt = sizeOf(log);
    await this.#place.put(made.text);
    const proof = await this.#reloadTo(made.mark, seen, isTried);
    if (!isReason(proof)) return this.#take(made, source, proof);
    const said = logSince(log, logAt);
    if (said !== "") this.ports.onProblem(this.#code("log"), said);
    const detail = said === "" ? proof.detail : `${proof.detail}. Its log says:\n${said}`;
    if (isTried) return away(proof.reason, detail);
    await this.#putBack(before, made.text);
    return this.#refused({ reason: proof.reason, detail });
  }

  /** What this agent proved ran before; else what lay there, as far as no other agent had put the refused text there already. */
  async #putBack(lay: string | undefined, refused: string): Promise<void> {
    const before = this.#proved?.text ?? (lay === refused ? undefined : lay);
    // Another agent was faster, and knew more.
    if (before === undefined && (await this.#place.read()) !== refused) return;
    try {
      await this.#place.put(before);
    } catch (error) {
      // The agent that writes there has the same text to refuse, and puts back what it ran.
      if (error instanceof PlaceTrouble && error.code === "other-writer") return;
      throw error;
    }
    if (before === undefined) return void (await this.reload());
    const back = await this.#reloadTo(this.markOf(before), undefined, true);
    if (!isReason(back)) return;
    this.ports.onProblem(back.reason, `After what ran before was put back: ${back.detail}`);
  }

  /** Has the program load its file, and waits until it shows a mark. */
  async #reloadTo(mark: string, before: Seen | undefined, isTried: boolean): Promise<Seen | Reason> {
    const endMs = performance.now() + this.#settings.proofMs;
    const trouble = await this.#tellUntil(endMs);
    if (trouble !== undefined) {
      return {
        reason: this.#code("cannot-reload"),
        detail: `${this.name} cannot be told to reload: ${trouble}`,
      };
    }
    for (;;) {
      const seen = await (isTried ? this.look() : this.see());
      if (!isReason(seen) && this.shows(seen, mark) && this.hasReloaded(before, seen)) return seen;
      if (this.#stopping.signal.aborted) {
        return { reason: this.#code("away"), detail: "The agent is stopping" };
      }
      if (performance.now() >= endMs) return this.#notProved(seen);
      await this.again(seen, mark);
      await pause(proofPauseMs);
    }
  }

  /** One that still loads what came before closes its doors for a moment: it is told again. Returns what the last try met, if none succeeded. */
  async #tellUntil(endMs: number): Promise<string | undefined> {
    for (;;) {
      const trouble = await this.reload();
      if (trouble === undefined || this.#stopping.signal.aborted || performance.now() >= endMs) {
        return trouble;
      }
      await pause(proofPauseMs);
    }
  }

  #notProved(seen: Seen | Reason): Reason {
    const after = `within ${this.#settings.proofMs / 1000} s after it was put in place in ${this.#place.name}`;
    if (!isReason(seen)) {
      const detail = `${this.name} did not show that it loaded the bundle ${after}: ${this.keptOld(seen)}`;
      return { reason: this.#code("kept-old"), detail };
    }
    const reason = seen.reason === this.#code("away") ? this.#code("died") : seen.reason;
    return { reason, detail: `${this.name} did not come back ${after}: ${seen.detail}` };
  }

  #take(
    { digest, text, mark, parts }: Made,
    { path, digest: named }: BundleSource,
    seen: Seen,
  ): DriverResult {
    // A source that runs is not to be started for the first time again.
    this.#proved = { digest, text, mark, source: { path, digest: named } };
    this.#fault = undefined;
    this.#began = this.beganAt(seen);
    this.#place.claim();
    this.count(seen);
    return { ok: true, digest, ...(parts === undefined ? {} : { parts }) };
  }

  async #watch(): Promise<void> {
    if (!this.#isBusy) {
      const seen = await this.look();
      // What was looked at while a bundle came is history.
      if (!this.#isBusy && !this.#stopping.signal.aborted) this.#judge(seen);
    }
    if (this.#stopping.signal.aborted) return;
    this.#timer = setTimeout(() => void this.#watch(), lookMs).unref();
  }

  #judge(seen: Seen | Reason): void {
    const [had, began] = [this.#fault, this.#began];
    if (isReason(seen)) this.#fault = seen.detail;
    else {
      this.#began = this.beganAt(seen);
      this.count(seen);
      const isOther = this.#proved !== undefined && !this.shows(seen, this.#proved.mark);
      const what = `${this.name} does not show bundle ${this.#proved?.digest} any more`;
      this.#fault = isOther ? `${what}: ${this.keptOld(seen)}` : undefined;
    }
    const isAnew = began !== 0 && this.#began !== began;
    if (had === undefined && (this.#fault !== undefined || isAnew)) this.#falls++;
    this.ports.onLook();
  }

  #refused({ reason, detail }: Reason): ApplyFailure {
    return { ok: false, kind: this.kind, reason, detail: detail.slice(0, 4_000) };
  }

  #code(what: string): string {
    return `${this.name}/${what}`;
  }
}

function isReason(seen: object): seen is Reason {
  return "reason" in seen;
}

function away(reason: string, detail: string): DriverAway {
  return { ok: "away", reason, detail };
}
