/**
 * Stands for Fluent Bit 5.1 as a process: `--dry-run`, hot reload that answers before it is done, metrics that begin anew with
 * each reload, and as much of tail and http as makes them flow. A file that FAKE_FLUENT_BIT_MOODS names says, one word a line,
 * what goes wrong; it is read when it matters, so that a test can change it while the process runs.
 */
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { parseArgs } from "node:util";
import { readClassic } from "./classic.ts";
import type { Section } from "./classic.ts";

const moodsFile = process.env["FAKE_FLUENT_BIT_MOODS"];
const moods = (): readonly string[] =>
  moodsFile !== undefined && existsSync(moodsFile) ? readFileSync(moodsFile, "utf8").split(/\s+/) : [];
const say = (text: string): void => void process.stderr.write(`[${new Date().toISOString()}] ${text}\n`);

const { values: flags } = parseArgs({
  options: {
    config: { type: "string", short: "c", default: "" },
    "dry-run": { type: "boolean", default: false },
    "enable-hot-reload": { type: "boolean", short: "Y", default: false },
  },
});
const beganS = Math.floor(Date.now() / 1000);
const turnMs = 100;
const reloadMs = 50;

interface Counts {
  records: number;
  bytes: number;
  errors: number;
  retries: number;
}

class Pipeline {
  readonly sections: readonly Section[];
  readonly counts = new Map<Section, Counts>();
  readonly #offsets = new Map<Section, number>();
  readonly #waiting = new Map<Section, string[]>();
  #isBusy = false;

  constructor(sections: readonly Section[]) {
    this.sections = sections;
    for (const section of this.of("input", "output")) {
      this.counts.set(section, { records: 0, bytes: 0, errors: 0, retries: 0 });
    }
  }

  of(...kinds: readonly string[]): readonly Section[] {
    return this.sections.filter(({ kind }) => kinds.includes(kind));
  }

  async turn(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    for (const input of this.of("input")) this.#read(input);
    for (const output of this.of("output")) await this.#send(output);
    this.#isBusy = false;
  }

  #read(input: Section): void {
    const path = input.values.get("path") ?? "";
    if (input.values.get("name") !== "tail" || !existsSync(path)) return;
    const from = this.#offsets.get(input) ?? 0;
    const text = readFileSync(path, "utf8");
    const end = text.lastIndexOf("\n") + 1;
    if (end <= from) return;
    const lines = text.slice(from, end).trimEnd().split("\n");
    this.#offsets.set(input, end);
    add(this.counts.get(input), { records: lines.length, bytes: end - from });
    const tag = input.values.get("tag") ?? "";
    for (const output of this.of("output")) {
      const pattern = (output.values.get("match") ?? "")
        .split("*")
        .map((part) => part.replaceAll(".", "\\."));
      if (!new RegExp(`^${pattern.join(".*")}$`).test(tag)) continue;
      this.#waiting.set(output, [...(this.#waiting.get(output) ?? []), ...lines]);
    }
  }

  async #send(output: Section): Promise<void> {
    const lines = this.#waiting.get(output) ?? [];
    if (lines.length === 0) return;
    const body = `[${lines.join(",")}]`;
    const { values } = output;
    if (values.get("name") === "http") {
      const url = `http://${values.get("host")}:${values.get("port")}${values.get("uri") ?? "/"}`;
      const headers = { "content-type": "application/json" };
      const answer = await fetch(url, { method: "POST", headers, body }).catch(() => undefined);
      if (answer?.ok !== true) return add(this.counts.get(output), { errors: 1, retries: 1 });
    }
    this.#waiting.delete(output);
    add(this.counts.get(output), { records: lines.length, bytes: body.length });
  }
}

function add(counts: Counts | undefined, more: Partial<Counts>): void {
  if (counts === undefined) return;
  for (const [key, value] of Object.entries(more)) counts[key as keyof Counts] += value;
}

class FakeFluentBit {
  #pipeline: Pipeline;
  /** What the metrics show, which may be behind. */
  #shown: Pipeline;
  #reloads = 0;
  #isReloading = false;
  #server: Server | undefined;

  constructor(sections: readonly Section[]) {
    this.#pipeline = this.#shown = new Pipeline(sections);
    this.#listen();
    setInterval(() => void this.#pipeline.turn(), turnMs);
  }

  #listen(): void {
    const [service] = this.#pipeline.of("service");
    const server = createServer((request, response) => this.#answer(request, response));
    server.listen(
      Number(service?.values.get("http_port") ?? 2020),
      process.env["FAKE_FLUENT_BIT_LISTEN"] ?? service?.values.get("http_listen"),
    );
    this.#server = server;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const json = (status: number, value: object) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
    const { method = "", url } = request;
    if (url === "/api/v2/metrics/prometheus") response.writeHead(200).end(this.#metrics());
    else if (url !== "/api/v2/reload") response.writeHead(404).end();
    else if (method === "GET") json(200, { hot_reload_count: this.#reloads });
    else if (!["POST", "PUT"].includes(method)) response.writeHead(405).end();
    else if (this.#isReloading) json(200, { reload: "in progress", status: -2 });
    else {
      json(200, { reload: "done", status: 0 });
      this.reload();
    }
  }

  /** After it was answered; a config that is wrong leaves what runs. */
  reload(): void {
    if (moods().includes("keep-old")) return;
    this.#isReloading = true;
    if (moods().includes("hang")) return say("[reload] waiting for tasks");
    setTimeout(() => {
      this.#isReloading = false;
      if (moods().includes("die-on-reload")) {
        say("[engine] caught signal (SIGSEGV)");
        process.exit(139);
      }
      try {
        this.#pipeline = new Pipeline(readClassic(flags.config));
      } catch (error) {
        return say(`[error] [reload] check properties and reload config: ${(error as Error).message}`);
      }
      if (!moods().includes("stale-metrics")) this.#shown = this.#pipeline;
      this.#reloads++;
      this.#server?.close();
      this.#server?.closeAllConnections();
      this.#server?.once("close", () => this.#listen());
    }, reloadMs);
  }

  #metrics(): string {
    const lines = [
      `fluentbit_process_start_time_seconds ${beganS}`,
      `fluentbit_hot_reloaded_times ${this.#reloads}`,
    ];
    for (const [{ kind, values }, counts] of this.#shown.counts) {
      const label = `{name="${values.get("alias") ?? values.get("name")}"}`;
      const metrics: Readonly<Record<string, number>> =
        kind === "input"
          ? { input_records: counts.records, input_bytes: counts.bytes }
          : {
              output_proc_records: counts.records,
              output_proc_bytes: counts.bytes,
              output_errors: counts.errors,
              output_retries: counts.retries,
              output_dropped_records: 0,
            };
      for (const [name, value] of Object.entries(metrics)) {
        lines.push(`fluentbit_${name}_total${label} ${value}`);
      }
    }
    return `${lines.join("\n")}\n`;
  }
}

try {
  const sections = readClassic(flags.config);
  if (flags["dry-run"]) process.stdout.write("configuration test is successful\n");
  else {
    const fake = new FakeFluentBit(sections);
    process.on("SIGHUP", () => fake.reload());
  }
} catch (error) {
  say(`[error] ${(error as Error).message}`);
  process.exit(1);
}
