import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { fluentBitParsers, toFluentBit } from "#shipper";
import type { FluentBitPlace } from "#shipper";
import type { ApplyFailure } from "../../pipeline/pipeline.ts";
import { fetchBounded, whyNot } from "../bounded-fetch.ts";
import { runBounded } from "../bounded-run.ts";
import type { DriverRequest } from "../driver.ts";
import { FileDriver } from "../file-driver.ts";
import type { DriverFigures, FileDriverPorts, Made, Reason } from "../file-driver.ts";
import { firstOf, Turns } from "../kubernetes/over-pods.ts";
import { PlaceTrouble } from "../place.ts";
import type { Place } from "../place.ts";
import { putText, readOwn } from "../swap-file.ts";
import { CountWatch } from "./count-watch.ts";
import { markPrefix } from "./seen.ts";
import type { FluentBitSeen, FluentBitsSeen, LookAtFluentBits } from "./seen.ts";
import { parsersFileName } from "./settings.ts";
import type { FluentBitSettings } from "./settings.ts";

export interface FluentBitPorts extends FileDriverPorts {
  /** Where the records of `detect` go. */
  readonly records: FluentBitPlace["records"];
}

/** Where the config goes, and what says that it was loaded. */
export interface FluentBitWorld {
  readonly place: Place;
  readonly look: LookAtFluentBits;
}

/** Owner and group: it may hold secrets, and Fluent Bit has to read it. */
export const mode = 0o640;
/** How often pods are told to reload within the time that they have. */
const tellsMax = 12;
const dryRun = { ms: 30_000, bytes: 64 * 1024 };
/** Takes the place of the mark while there is nothing to make it of. */
const unmarked = `${markPrefix}unmarked`;
const idle = `
[INPUT]
    Name dummy
    Alias ${markPrefix}idle-input
    Tag ${markPrefix}idle
    Samples 1
[OUTPUT]
    Name null
    Alias ${markPrefix}idle-output
    Match ${markPrefix}idle
`;

/**
 * Ships with a Fluent Bit beside the agent. Each config has an output of the agent's own that takes nothing and is named after
 * the text: that its metrics are there, and that Fluent Bit counts another reload or began anew, is the proof. What it answers
 * when it is told to reload says nothing.
 */
export class FluentBit extends FileDriver<FluentBitsSeen> {
  readonly kind = "shipper";
  readonly name = "fluent-bit";
  readonly #settings: FluentBitSettings;
  readonly #place: FluentBitPlace;
  readonly #world: FluentBitWorld;
  readonly #counts: CountWatch;
  readonly #turns = new Turns<FluentBitSeen>(({ beganS }) => beganS);
  #toldMs = 0;
  #missing: readonly string[] = [];
  #placing: Promise<void> | undefined;
  #idleTrouble: string | undefined;

  constructor(settings: FluentBitSettings, world: FluentBitWorld, ports: FluentBitPorts) {
    super(world.place, settings, ports);
    this.#settings = settings;
    this.#world = world;
    this.#counts = new CountWatch(settings.pods !== undefined, Date.now());
    const { host, port, dataDir, config } = settings;
    const parsersFile = join(dirname(config), parsersFileName);
    this.#place = { host, port, dataDir, parsersFile, records: ports.records, marker: unmarked };
    // For pods the first look does it, which comes again where this one fails.
    if (settings.pods !== undefined) return;
    putText(parsersFile, fluentBitParsers, mode);
    // So that Fluent Bit can be started before there is a bundle.
    if (readOwn(config) === undefined) putText(config, this.#idleText(), mode);
  }

  protected async make({ source, facts }: DriverRequest): Promise<Made | ApplyFailure> {
    // What is put there for the time before a bundle must not come after it.
    await this.#placing;
    const request = { kind: "shipper", source, fluentBit: this.#place } as const;
    const rendered = await this.ports.render(request, this.#factsOf(facts));
    if (!rendered.ok) return rendered;
    const [file] = rendered.files;
    const raw = file?.content ?? "";
    const mark = `${markPrefix}${createHash("sha256").update(raw).update(rendered.digest).digest("hex").slice(0, 32)}`;
    const head = `# Written by the Falconry agent: bundle ${rendered.digest}. Changes made here are undone.\n`;
    return { ok: true, digest: rendered.digest, text: head + raw.replaceAll(unmarked, mark), mark };
  }

  protected async validate(candidate: string): Promise<Reason | undefined> {
    const { bin } = this.#settings;
    if (bin === undefined) return undefined;
    const ran = await runBounded(bin, ["--dry-run", "-c", candidate], dryRun);
    if (ran.code === 0) return undefined;
    if (ran.code === undefined) {
      const detail = `${bin} --dry-run did not say whether the config is good: ${ran.why ?? "it ended without a code"}`;
      return { reason: "fluent-bit/cannot-validate", detail };
    }
    const said = `${ran.stderr}\n${ran.stdout}`.trim().slice(-2_000);
    return { reason: "fluent-bit/invalid", detail: `${bin} --dry-run refuses the config:\n${said}` };
  }

  /** Pods are told once their kubelets had time to bring them the config: see `again()`. */
  protected async reload(): Promise<string | undefined> {
    const { pods, url } = this.#settings;
    this.#toldMs = performance.now();
    return pods === undefined ? tellToReload(url) : undefined;
  }

  /** A kubelet says to nobody when it has brought a config: pods that do not show it are told again and again. */
  protected override async again(found: FluentBitsSeen | Reason, mark: string): Promise<void> {
    const { pods, proofMs } = this.#settings;
    if (pods === undefined || "reason" in found) return;
    if (performance.now() - this.#toldMs < proofMs / tellsMax) return;
    this.#toldMs = performance.now();
    const late = [...found.seen].filter(([, { outputs }]) => !outputs.has(mark));
    // Whoever could not be told is seen not to show it.
    await Promise.all(late.map(([url]) => tellToReload(url)));
  }

  protected async see(): Promise<FluentBitsSeen | Reason> {
    const found = await this.look();
    if ("reason" in found || found.seen.size >= found.wanted) return found;
    return { reason: "fluent-bit/away", detail: partlyThere(found) };
  }

  protected override async look(): Promise<FluentBitsSeen | Reason> {
    const found = await this.#lookAtPods();
    if (this.#settings.pods === undefined) return found;
    if (!("reason" in found) && found.seen.size >= found.wanted) return found;
    // Pods that have no file cannot start, and nothing else would bring them one.
    if (!this.isBusy) await (this.#placing ??= this.#placeIdle().finally(() => (this.#placing = undefined)));
    return found;
  }

  async #lookAtPods(): Promise<FluentBitsSeen | Reason> {
    const { url, pods } = this.#settings;
    try {
      const found = await this.#world.look();
      if (found.seen.size > 0) return found;
      return { reason: "fluent-bit/away", detail: partlyThere(found) };
    } catch (error) {
      const at = pods?.pods.host ?? url;
      const detail = `Fluent Bit does not say at ${at} what it runs: ${whyNot(error)}`;
      return { reason: "fluent-bit/away", detail };
    }
  }

  protected shows({ seen }: FluentBitsSeen, mark: string): boolean {
    return [...seen.values()].every(({ outputs }) => outputs.has(mark));
  }

  protected markOf(text: string): string {
    return new RegExp(`${markPrefix}[0-9a-f]{32}`).exec(text)?.[0] ?? `${markPrefix}idle-output`;
  }

  protected hasReloaded(before: FluentBitsSeen | undefined, { seen }: FluentBitsSeen): boolean {
    return [...seen].every(([at, now]) => {
      const was = before?.seen.get(at);
      return was === undefined || now.reloads > was.reloads || now.beganS !== was.beganS;
    });
  }

  protected keptOld({ seen }: FluentBitsSeen): string {
    const said = [...seen].map(([at, { outputs, reloads }]) => {
      const marks = [...outputs.keys()].filter((alias) => alias.startsWith(markPrefix));
      const what = `after ${reloads} reloads it shows ${marks.join(", ") || "no config of the agent's"}`;
      return seen.size === 1 ? what : `${at}: ${what}`;
    });
    return firstOf(said);
  }

  protected beganAt(seen: FluentBitsSeen): number {
    return this.#turns.take(seen);
  }

  protected count(found: FluentBitsSeen): void {
    this.#missing = found.missing;
    // Every agent of a cluster sees all of them; what they read counts once.
    const times = { wallMs: Date.now(), steadyMs: performance.now() };
    this.#counts.take(found, this.#world.place.isOurs, times);
  }

  protected figures(): DriverFigures {
    const { events, bytes, dropped, lagMs } = this.#counts;
    const counters = { events, bytes, dropped, lagMs };
    const isTold = this.#missing.length > 0;
    const notes = new Map(isTold ? [["driver/nodes", `Fluent Bit: ${firstOf(this.#missing)}`] as const] : []);
    return { counters, notes, outputs: this.#counts.reports() };
  }

  /** One text for all nodes: what names one of them cannot be in it, and is refused as a variable that nobody fills in. */
  #factsOf(facts: DriverRequest["facts"]): DriverRequest["facts"] {
    if (this.#settings.pods === undefined) return facts;
    return { ...facts, variables: { ...facts.variables, NODE: "${NODE}" } };
  }

  /** So that pods can start before there is a bundle. What lies there stays. */
  async #placeIdle(): Promise<void> {
    const { place } = this.#world;
    try {
      if ((await place.read()) === undefined) await place.put(this.#idleText());
      this.#idleTrouble = undefined;
    } catch (error) {
      if (!(error instanceof PlaceTrouble)) throw error;
      const { code, message } = error;
      // Another agent does it; what else is wrong is told once, and not at each look.
      if (code !== "other-writer" && code !== this.#idleTrouble) {
        this.ports.onProblem(`fluent-bit/${code}`, message);
      }
      this.#idleTrouble = code;
    }
  }

  #idleText(): string {
    const made = toFluentBit([{ name: "idle.conf", content: "[SERVICE]\n" }], {}, this.#place);
    if (!made.ok) throw new Error(`The config without a bundle is wrong: ${JSON.stringify(made.problems)}`);
    return `# Written by the Falconry agent: no bundle yet.\n${made.text}${idle}`;
  }
}

/** A 200 says only that it was told; and while it loads what came before, that it did not listen. */
async function tellToReload(url: string): Promise<string | undefined> {
  try {
    const { status, body } = await fetchBounded(`${url}/api/v2/reload`, { method: "POST", body: "{}" });
    const isTold = status === 200 && !body.includes('"in progress"');
    return isTold ? undefined : `/api/v2/reload answers ${status}: ${body.slice(0, 200)}`;
  } catch (error) {
    return `/api/v2/reload: ${whyNot(error)}`;
  }
}

function partlyThere({ seen, wanted, missing }: FluentBitsSeen): string {
  return `Fluent Bit answers on ${seen.size} of ${wanted} nodes: ${firstOf(missing)}`;
}
