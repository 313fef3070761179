import { checkEngine } from "#trust";
import { Growths } from "../../domain/growth.ts";
import type { Counted } from "../../domain/growth.ts";
import type { ApplyFailure } from "../../pipeline/pipeline.ts";
import { whyNot } from "../bounded-fetch.ts";
import type { DriverRequest } from "../driver.ts";
import { FileDriver } from "../file-driver.ts";
import type { DriverFigures, FileDriverPorts, Made, Reason } from "../file-driver.ts";
import { firstOf, Turns } from "../kubernetes/over-pods.ts";
import type { Place } from "../place.ts";
import { oldestEngine, versionsOf } from "./falcos.ts";
import { reloadFalco } from "./reload.ts";
import { rulesText, sha256Of } from "./rules-text.ts";
import type { FalcoSeen, FalcosSeen, LookAtFalcos } from "./seen.ts";
import { rulesFileName } from "./settings.ts";
import type { FalcoSettings } from "./settings.ts";
import { validateRules } from "./validate.ts";

/** How often a text is put in place within the time that Falco has to show it. */
const putsMax = 4;

/** Where the text goes, and what says that it was loaded. */
export interface FalcoWorld {
  readonly place: Place;
  readonly look: LookAtFalcos;
}

/** Runs rules in the Falco beside the agent, or in those of all nodes. Each proves them by the hash of the file that it loaded. */
export class Falco extends FileDriver<FalcosSeen> {
  readonly kind = "rules";
  readonly name = "falco";
  readonly #settings: FalcoSettings;
  readonly #place: Place;
  readonly #look: LookAtFalcos;
  readonly #turns = new Turns<FalcoSeen>(({ startNs }) => startNs);
  readonly #drops = new Growths(Date.now());
  #engine: string | undefined;
  /** When the text was put in place, or put there anew. */
  #toldMs = 0;
  #notes: ReadonlyMap<string, string> = new Map();

  constructor(settings: FalcoSettings, { place, look }: FalcoWorld, ports: FileDriverPorts) {
    super(place, settings, ports);
    this.#settings = settings;
    this.#place = place;
    this.#look = look;
  }

  protected async make({ source, facts }: DriverRequest): Promise<Made | ApplyFailure> {
    const running = this.running === undefined ? {} : { running: this.running };
    const rendered = await this.ports.render({ kind: "rules", source, ...running }, facts);
    if (!rendered.ok) return rendered;
    const { digest, parts, needs } = rendered;
    const made = rulesText(rendered.files, digest);
    if (!made.ok) {
      const detail = `${made.file} begins with a YAML directive: leave it out`;
      return { ok: false, kind: "rules", reason: "falco/directive", detail };
    }
    const { text, sha256: mark } = made;
    const more = { ...(parts === undefined ? {} : { parts }), ...(needs === undefined ? {} : { needs }) };
    return { ok: true, digest, text, mark, ...more };
  }

  /** A Falco of before the bundle would load a part of its rules, or none, and say so only in its log. */
  protected override unfit(seen: FalcosSeen, { needs }: Made): Reason | undefined {
    const required = needs?.requires?.engine;
    if (needs === undefined || required === undefined) return undefined;
    const what = `Bundle ${needs.name}@${needs.version} requires engine ${required}`;
    const reason = "falco/engine-too-old";
    const [engine, version] = [oldestEngine(seen), versionsOf(seen)];
    if (engine === undefined) {
      return { reason, detail: `${what}, and Falco ${version} does not say which one it has` };
    }
    if (checkEngine(needs, engine).ok) return undefined;
    return { reason, detail: `${what}, and Falco ${version} has ${engine}: update Falco first` };
  }

  protected async validate(candidate: string): Promise<Reason | undefined> {
    const { bin, config } = this.#settings;
    if (bin === undefined) return undefined;
    const valid = await validateRules(bin, config, candidate);
    return valid.ok ? undefined : valid;
  }

  protected reload(): Promise<string | undefined> {
    this.#toldMs = performance.now();
    return reloadFalco(this.#settings);
  }

  /** Between reading its files and watching them again, a Falco that starts anew notices nothing. */
  protected override async again(found: FalcosSeen | Reason): Promise<void> {
    const { pods, pidFile, reloadCommand, proofMs } = this.#settings;
    const isWatched = pods === undefined && pidFile === undefined && reloadCommand === undefined;
    if (!isWatched || "reason" in found || performance.now() - this.#toldMs < proofMs / putsMax) return;
    this.#toldMs = performance.now();
    const text = await this.#place.read();
    if (text !== undefined) await this.#place.put(text);
  }

  /** All of them, as far as the settings ask for all. */
  protected async see(): Promise<FalcosSeen | Reason> {
    const found = await this.look();
    if ("reason" in found) return found;
    const { seen, missing, wanted } = found;
    if (seen.size * 100 >= wanted * this.#settings.nodesPercent) return found;
    return {
      reason: "falco/away",
      detail: `Falco answers on ${seen.size} of ${wanted} nodes: ${firstOf(missing)}`,
    };
  }

  /** Any of them. */
  protected override async look(): Promise<FalcosSeen | Reason> {
    const { url, pods } = this.#settings;
    try {
      const found = await this.#look();
      const mute = [...found.seen].find(([, { files }]) => files === undefined);
      if (mute !== undefined) {
        const next = "set metrics.enabled and webserver.prometheus_metrics_enabled in falco.yaml";
        const detail = `Falco at ${mute[0]} does not say which rules it loaded: ${next}`;
        return { reason: "falco/no-proof", detail };
      }
      if (found.seen.size > 0) return found;
      return {
        reason: "falco/away",
        detail: `No Falco answers on ${found.wanted} nodes: ${firstOf(found.missing)}`,
      };
    } catch (error) {
      return {
        reason: "falco/away",
        detail: `Falco does not answer at ${pods?.pods.host ?? url}: ${whyNot(error)}`,
      };
    }
  }

  protected shows({ seen }: FalcosSeen, mark: string): boolean {
    return [...seen.values()].every(({ files }) => showsIn(files, mark));
  }

  protected markOf(text: string): string {
    return sha256Of(text);
  }

  /** No other text has the hash. */
  protected hasReloaded(): boolean {
    return true;
  }

  protected keptOld({ seen }: FalcosSeen): string {
    const said = [...seen].map(([at, { files }]) => {
      const found = [...(files?.get(rulesFileName) ?? [])].join(", ");
      const what = found === "" ? `no file ${rulesFileName}` : `${found} for ${rulesFileName}`;
      return seen.size === 1 ? `it shows ${what}` : `${at} shows ${what}`;
    });
    return firstOf(said);
  }

  protected beganAt(seen: FalcosSeen): number {
    return this.#turns.take(seen);
  }

  protected count(found: FalcosSeen): void {
    this.#engine = oldestEngine(found);
    // Every agent of a cluster sees all Falcos; what they dropped counts once.
    const { seen, missing, wanted } = found;
    const counted = [...seen].map(([at, each]) => [at, countedBy(each)] as const);
    this.#drops.take(new Map(counted), this.#place.isOurs, Date.now());
    const names = new Set([...seen.values()].flatMap(({ files }) => [...(files?.keys() ?? [])]));
    const others = [...names].filter((name) => name !== rulesFileName);
    const what = `Falco ${versionsOf(found)} runs rules that nobody signed here: ${others.slice(0, 10).join(", ")}`;
    const next = "Take them out of its rules_files, or set FALCONRY_FALCO_OTHER_RULES=allow";
    const isTold = others.length > 0 && !this.#settings.mayHaveOthers;
    this.#notes = new Map([
      ...(isTold ? [["driver/other-rules", `${what}. ${next}`] as const] : []),
      ...(missing.length === 0
        ? []
        : [
            [
              "driver/nodes",
              `Falco answers on ${seen.size} of ${wanted} nodes: ${firstOf(missing)}`,
            ] as const,
          ]),
    ]);
  }

  protected figures(): DriverFigures {
    const counters = { events: 0, bytes: 0, dropped: this.#drops.total("drops"), lagMs: 0 };
    const engine = this.#engine === undefined ? {} : { engine: this.#engine };
    return { counters, notes: this.#notes, outputs: [], ...engine };
  }
}

function countedBy({ startNs, drops }: FalcoSeen): Counted {
  return { beganMs: startNs / 1e6, epoch: `${startNs}`, counts: new Map([["drops", drops]]) };
}

function showsIn(files: ReadonlyMap<string, ReadonlySet<string>> | undefined, mark: string): boolean {
  const found = files?.get(rulesFileName);
  return found?.size === 1 && found.has(mark);
}
