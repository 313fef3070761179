/**
 * Stands for Falco 0.44 as a process: it takes its options and its configuration, loads rules with the engine in its strict
 * mode, watches its directories, and serves what Falco serves. A file that FAKE_FALCO_MOODS names says, one word a line, what
 * goes wrong; it is read when it matters, so that a test can change it while the process runs.
 */
import { appendFileSync, existsSync, readFileSync, statSync, watch, writeFileSync } from "node:fs";
import type { FSWatcher } from "node:fs";
import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { parseArgs } from "node:util";
import { createDetector } from "#engine";
import { parse } from "yaml";
import { loadFiles, problemOf, rulesFilesIn, validationLine } from "./rules.ts";
import type { LoadedFiles } from "./rules.ts";

interface Settings {
  readonly rules_files: readonly string[];
  readonly watch_config_files?: boolean;
  readonly webserver: {
    readonly listen_address?: string;
    readonly listen_port: number;
    readonly prometheus_metrics_enabled?: boolean;
  };
  readonly metrics?: { readonly enabled?: boolean };
  readonly http_output?: { readonly enabled: boolean; readonly url: string };
  readonly file_output?: { readonly enabled: boolean; readonly filename: string };
  /** Where the plugin k8saudit listens. */
  readonly audit_port?: number;
}

const quietMs = 100;
const moodsFile = process.env["FAKE_FALCO_MOODS"];
const moods = (): readonly string[] =>
  moodsFile !== undefined && existsSync(moodsFile) ? readFileSync(moodsFile, "utf8").split(/\s+/) : [];
/** `lacks=FIELD`: a field of newer versions that this one does not know. */
const lacking = (): string | undefined =>
  moods()
    .find((mood) => mood.startsWith("lacks="))
    ?.slice("lacks=".length);
/** `engine=VERSION`: an older one. */
const engineNow = (): string =>
  moods()
    .find((mood) => mood.startsWith("engine="))
    ?.slice("engine=".length) ?? "0.62.0";
const say = (text: string): void => void process.stderr.write(`${new Date().toISOString()}: ${text}\n`);

function fail(text: string): never {
  say(`Error: ${text}`);
  process.exit(1);
}

const { values } = parseArgs({
  options: {
    config: { type: "string", short: "c" },
    validate: { type: "string", short: "V", multiple: true },
    option: { type: "string", short: "o", multiple: true },
    pidfile: { type: "string", short: "P" },
  },
});

function run(): void {
  const settings = parse(readFileSync(values.config ?? "", "utf8")) as Settings;
  if (values.pidfile !== undefined) writeFileSync(values.pidfile, `${process.pid}\n`);
  const falco = new FakeFalco(settings);
  falco.start();
  process.on("SIGHUP", () => falco.check());
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => process.exit(0));
}

class FakeFalco {
  readonly #settings: Settings;
  #loaded: LoadedFiles | undefined;
  /** What the metrics show, which may be behind. */
  #shown: LoadedFiles | undefined;
  #startNs = 0n;
  #isRestarting = false;
  #servers: Server[] = [];
  #watchers: FSWatcher[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** Loads everything, and dies of what does not load. */
  start(): void {
    const loaded = loadFiles(rulesFilesIn(this.#settings.rules_files));
    const problem = problemOf(loaded, lacking());
    if (problem !== undefined) fail(problem);
    this.#loaded = loaded;
    if (!moods().includes("stale-metrics")) this.#shown = loaded;
    this.#startNs = BigInt(Date.now()) * 1_000_000n;
    const { webserver, audit_port: auditPort } = this.#settings;
    const host = webserver.listen_address;
    this.#listen(webserver.listen_port, (request, response) => this.#web(request, response), host);
    if (auditPort !== undefined) {
      this.#listen(auditPort, (request, response) => this.#audit(request, response));
    }
    if (this.#settings.watch_config_files === false) return;
    for (const path of this.#settings.rules_files) {
      if (existsSync(path) && statSync(path).isDirectory()) {
        this.#watchers.push(watch(path, () => moods().includes("deaf") || this.check()));
      }
    }
  }

  /** Something changed: after a quiet moment a dry run, and a restart when it succeeds. */
  check(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      // One restart after the other: what changed meanwhile is looked at when it is over.
      if (this.#isRestarting) return this.check();
      if (moods().includes("keep-old")) return;
      if (moods().includes("die-on-reload")) fail("something broke while rules were loaded");
      const problem = problemOf(loadFiles(rulesFilesIn(this.#settings.rules_files)), lacking());
      if (problem !== undefined) return say(`Hot restart failed, keeping old state: ${problem}`);
      say("Hot restart");
      void this.#restart();
    }, quietMs);
  }

  async #restart(): Promise<void> {
    this.#isRestarting = true;
    for (const watcher of this.#watchers.splice(0)) watcher.close();
    const closed = this.#servers.splice(0).map(async (server) => {
      const gone = once(server, "close");
      server.close();
      server.closeAllConnections();
      await gone;
    });
    await Promise.all(closed);
    this.#isRestarting = false;
    this.start();
  }

  #listen(
    port: number,
    take: (request: IncomingMessage, response: ServerResponse) => void,
    host: string = "127.0.0.1",
  ): void {
    const server = createServer(take).listen(port, host);
    server.on("error", (error) => fail(error.message));
    this.#servers.push(server);
  }

  #web(request: IncomingMessage, response: ServerResponse): void {
    const json = { "content-type": "application/json" };
    const { webserver, metrics } = this.#settings;
    const isServed = webserver.prometheus_metrics_enabled && metrics?.enabled && !moods().includes("mute");
    if (request.url === "/healthz") response.writeHead(200, json).end('{"status": "ok"}');
    else if (request.url === "/versions") {
      response
        .writeHead(200, json)
        .end(JSON.stringify({ engine_version_semver: engineNow(), falco_version: "0.44.1" }));
    } else if (request.url === "/metrics" && isServed === true) {
      response.writeHead(200, { "content-type": "text/plain; version=0.0.4" }).end(this.#metrics());
    } else response.writeHead(404).end();
  }

  #metrics(): string {
    const lines: string[] = [];
    const add = (name: string, kind: "gauge" | "counter", sample: string) =>
      lines.push(
        `# HELP ${name} https://falco.org/docs/metrics/`,
        `# TYPE ${name} ${kind}`,
        `${name}${sample}`,
      );
    add("falcosecurity_falco_version_info", "gauge", '{version="0.44.1"} 1');
    for (const [name, sha256] of this.#shown?.hashes ?? []) {
      add(
        "falcosecurity_falco_sha256_rules_files_info",
        "gauge",
        `{file_name="${name}",sha256="${sha256}"} 1`,
      );
    }
    add("falcosecurity_falco_outputs_queue_num_drops_total", "counter", " 0");
    add("falcosecurity_falco_start_timestamp_nanoseconds", "gauge", ` ${this.#startNs}`);
    add("falcosecurity_falco_reload_timestamp_nanoseconds", "gauge", ` ${this.#startNs}`);
    add("falcosecurity_scap_n_evts_total", "counter", " 0");
    add("falcosecurity_scap_n_drops_total", "counter", " 0");
    return `${lines.join("\n")}\n`;
  }

  /** The plugin k8saudit: it answers before it looks. */
  #audit(request: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const isTaken =
        request.method === "POST" && request.headers["content-type"]?.includes("application/json");
      response.writeHead(isTaken === true ? 200 : 400).end();
      if (isTaken === true) this.#evaluate(Buffer.concat(chunks).toString());
    });
  }

  #evaluate(body: string): void {
    if (this.#loaded === undefined) return;
    const { alerts } = createDetector(this.#loaded.report.ruleset, { hostname: "node-1" }).detect(body);
    const { http_output: http, file_output: file } = this.#settings;
    for (const alert of alerts) {
      if (file?.enabled === true) appendFileSync(file.filename, `${alert.body}\n`);
      if (http?.enabled !== true) continue;
      const headers = { "content-type": "application/json" };
      // Falco does not try again.
      fetch(http.url, { method: "POST", headers, body: alert.body }).catch((error: Error) =>
        say(`libcurl failed to perform call: ${error.message}`),
      );
    }
  }
}

if (values.validate !== undefined) {
  if (moods().includes("validator-hangs")) setInterval(() => {}, 1000);
  else {
    const loaded = loadFiles(rulesFilesIn(values.validate));
    process.stdout.write(`${validationLine(loaded, lacking())}\n`);
    const problem = problemOf(loaded, lacking());
    if (problem !== undefined) fail(problem);
  }
} else run();
