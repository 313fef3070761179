import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Agent } from "./agent.ts";
import { Sink, idsIn } from "./sink.ts";
import { Writer } from "./writer.ts";
import type { WriterOptions } from "./writer.ts";

/** How large a run is: small in tests, as large as the recorded runs of Fluent Bit in the benchmark. */
export interface Scale {
  readonly records: number;
  readonly recordsPerSecond: number;
  readonly outageMs: number;
  /** Of the service section. */
  readonly backoff: { readonly base: number; readonly cap: number };
}

export interface Scenario {
  /** What goes wrong. */
  readonly name: string;
  /** What Fluent Bit 5.1.1 loses in its usual config, as recorded once; absent where nobody measured it. */
  readonly fluentBit?: string;
  /** Most records that may come twice, when there is a bound that holds. */
  readonly duplicatesMax?: (world: FaultWorld) => number;
  /** Records that have to be set aside. */
  readonly parked?: (world: FaultWorld) => number;
  readonly run: (world: FaultWorld) => Promise<void>;
}

export interface Outcome {
  readonly written: number;
  readonly delivered: number;
  readonly parked: number;
  readonly lost: number;
  /** Records that a destination got more than once. */
  readonly duplicates: number;
  /** Codes of the problems that the agent reported. */
  readonly reported: readonly string[];
  readonly lostIds: readonly string[];
}

/** One agent, one log, two destinations. */
export class FaultWorld {
  readonly scale: Scale;
  readonly dir: string;
  readonly stateDir: string;
  readonly log: string;
  readonly http: Sink;
  readonly es: Sink;
  readonly agent: Agent;
  /** Destinations that have to get every record. */
  sinks: readonly Sink[];
  readonly #writers: Writer[] = [];
  readonly #more: string[] = [];

  constructor(
    dir: string,
    scale: Scale,
    ports: { readonly http: Sink; readonly es: Sink },
    stateDir: string,
  ) {
    this.scale = scale;
    this.dir = dir;
    this.stateDir = stateDir;
    this.log = join(dir, "log", "audit.log");
    this.http = ports.http;
    this.es = ports.es;
    this.sinks = [this.http];
    this.agent = new Agent({ stateDir, dir, ports: [this.http.port, this.es.port] });
  }

  get httpOutput(): string {
    return `{ name: http, alias: web, match: audit, host: 127.0.0.1, port: ${this.http.port}, format: json }`;
  }

  get esOutput(): string {
    return `{ name: es, alias: search, match: audit, host: 127.0.0.1, port: ${this.es.port}, suppress_type_name: on }`;
  }

  /** Tails the log to these outputs; `path` is the log's unless told. */
  config(
    outputs: readonly string[] = [this.httpOutput],
    more: { path?: string; extra?: string } = {},
  ): string {
    const { base, cap } = this.scale.backoff;
    return `service: { scheduler.base: ${base}, scheduler.cap: ${cap} }
pipeline:
  inputs:
    - { name: tail, alias: audit, tag: audit, path: "${more.path ?? this.log}", parser: json, refresh_interval: 1, rotate_wait: 1 }
  filters:
    - { name: modify, match: "*", add: ["x_cluster \${CLUSTER}", "x_extra ${more.extra ?? "none"}"] }
  outputs:
${outputs.map((output) => `    - ${output}\n`).join("")}`;
  }

  write(options: Partial<WriterOptions> = {}): Writer {
    const { recordsPerSecond } = this.scale;
    const writer = new Writer({ log: this.log, recordsPerSecond, rotation: "none", ...options });
    this.#writers.push(writer);
    return writer;
  }

  /** Counts records that a scenario wrote by itself. */
  wrote(ids: readonly string[]): void {
    for (const id of ids) this.#more.push(id);
  }

  /** Half of the records, an outage that `begin` starts and `end` ends, and the other half. */
  async outage(writer: Writer, begin: () => unknown, end: () => unknown): Promise<void> {
    await writer.reached(this.scale.records / 3);
    await begin();
    await sleep(this.scale.outageMs);
    await end();
    await writer.reached(this.scale.records);
  }

  async stopWriters(): Promise<void> {
    await Promise.all(this.#writers.map((writer) => writer.stop()));
  }

  get written(): readonly string[] {
    return [...this.#writers.flatMap((writer) => writer.written), ...this.#more];
  }

  parkedIds(): string[] {
    const folder = join(this.stateDir, "dead-letter");
    if (!fs.existsSync(folder)) return [];
    return fs
      .readdirSync(folder)
      .filter((name) => name.endsWith(".jsonl"))
      .flatMap((name) => fs.readFileSync(join(folder, name), "utf8").split("\n"))
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as { line?: string; file?: string })
      .flatMap(({ line, file }) => (line === undefined ? [file ?? ""] : idsIn(line)));
  }
}

/** Records without news for so long are lost, and for as long as an output may wait until it tries again. */
const patienceMs = 20_000;

/** Plays a scenario, lets everything come to rest, and counts. */
export async function play(
  scenario: Scenario,
  scale: Scale,
): Promise<{ outcome: Outcome; world: FaultWorld }> {
  const dir = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "falconry-fault-")));
  fs.mkdirSync(join(dir, "log"));
  const sinks = { http: new Sink("http"), es: new Sink("es") };
  await Promise.all([sinks.http.listen(), sinks.es.listen()]);
  const world = new FaultWorld(dir, scale, sinks, join(dir, "state"));
  try {
    await scenario.run(world);
    await world.stopWriters();
    await settle(world);
    return { outcome: count(world), world };
  } finally {
    await world.stopWriters();
    await world.agent.end("SIGKILL");
    await Promise.all([sinks.http.close(), sinks.es.close()]);
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

function missing(world: FaultWorld): readonly string[] {
  const parked = new Set(world.parkedIds());
  return world.written.filter((id) => world.sinks.some((sink) => !sink.taken.has(id)) && !parked.has(id));
}

/** Waits until nothing is missing, or nothing has come for a long time. */
async function settle(world: FaultWorld): Promise<void> {
  const longestMs = patienceMs + world.scale.backoff.cap * 1000;
  const takenNow = () => world.sinks.reduce((sum, sink) => sum + sink.taken.size, 0);
  let seen = takenNow();
  let since = performance.now();
  while (missing(world).length > 0 && performance.now() - since < longestMs) {
    await sleep(100);
    if (takenNow() === seen) continue;
    seen = takenNow();
    since = performance.now();
  }
}

function count(world: FaultWorld): Outcome {
  const written = world.written;
  const lostIds = missing(world);
  const parked = new Set(world.parkedIds());
  const taken = world.sinks.map((sink) => sink.taken);
  return {
    written: written.length,
    delivered: Math.min(...taken.map((one) => one.size)),
    parked: parked.size,
    lost: lostIds.length,
    duplicates: Math.max(...taken.map((one) => [...one.values()].filter((times) => times > 1).length)),
    reported: [...new Set(world.agent.problems.map(({ code }) => code))].sort(),
    lostIds: lostIds.slice(0, 10),
  };
}
