import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { freePort } from "../free-ports.ts";
import { testProgram } from "../../../agent/pipeline/testing/test-program.ts";
import { until } from "../../../agent/pipeline/testing/until.ts";
import { bareEnv } from "../bare-env.ts";
import { programOf } from "../restartable.ts";

/** The real Falco, when there is one to test against. */
export const realFalco: string | undefined = process.env["FALCO_BIN"];

/** A Falco on this machine, with what an agent's settings say about it. */
export interface FalcoProcess {
  readonly rulesDir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly url: string;
  /** Holds what goes wrong with the fake. */
  readonly moodsFile: string;
  log(): string;
  /** Words of the fake: what goes wrong from now on. */
  moods(...words: readonly string[]): void;
  start(): Promise<void>;
  kill(): Promise<void>;
  isRunning(): boolean;
}

export interface FalcoOptions {
  readonly alertsPort?: number;
  readonly auditPort?: number;
  readonly alertsFile?: string;
  /** False: only SIGHUP makes it reload. */
  readonly watches?: boolean;
  /** Where its web server is; on loopback at any port, if not given. */
  readonly web?: { readonly host: string; readonly port: number };
}

/** Starts a Falco that watches an empty directory: the real one when FALCO_BIN says where it is, else the fake. */
export async function startFalco(t: TestContext, options: FalcoOptions = {}): Promise<FalcoProcess> {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), "falconry-falco-")));
  const at = (name: string) => join(dir, name);
  mkdirSync(at("rules.d"));
  const web = options.web ?? { host: "127.0.0.1", port: await freePort() };
  const url = `http://${web.host}:${web.port}`;
  writeFileSync(at("falco.yaml"), JSON.stringify(settingsOf(at("rules.d"), web, options)));
  const args = ["-c", at("falco.yaml"), "-P", at("falco.pid")];
  const program = programOf([...commandOf(), ...args], at("falco.log"), {
    ...bareEnv(),
    FAKE_FALCO_MOODS: at("moods"),
  });
  const falco: FalcoProcess = {
    rulesDir: at("rules.d"),
    url,
    moodsFile: at("moods"),
    env: {
      FALCONRY_RULES_DRIVER: "falco",
      FALCONRY_FALCO_RULES_DIR: at("rules.d"),
      FALCONRY_FALCO_URL: url,
      FALCONRY_FALCO_LOG: at("falco.log"),
      FALCONRY_FALCO_ALERTS_LISTEN: `127.0.0.1:${options.alertsPort ?? (await freePort())}`,
      ...(options.watches === false ? { FALCONRY_FALCO_PID_FILE: at("falco.pid") } : {}),
      FALCONRY_FALCO_PROOF_SECONDS: realFalco === undefined ? "3" : "30",
    },
    log: () => readFileSync(at("falco.log"), "utf8"),
    moods: (...words) => writeFileSync(at("moods"), words.join("\n")),
    async start() {
      program.start();
      await until(
        "Falco is up",
        async () => (await fetch(`${url}/healthz`).catch(() => undefined))?.ok === true,
      );
    },
    kill: () => program.kill(),
    isRunning: () => program.isRunning(),
  };
  t.after(async () => {
    await falco.kill();
    rmSync(dir, { recursive: true, force: true });
  });
  await falco.start();
  return falco;
}

/** A program that is to be called as `falco` is, for `-V`. */
export function falcoCommand(dir: string, moodsFile: string): string {
  if (realFalco !== undefined) return realFalco;
  const path = join(dir, "falco");
  const [program = "", ...args] = commandOf();
  const words = [program, ...args].map((word) => `'${word}'`).join(" ");
  writeFileSync(path, `#!/bin/sh\nFAKE_FALCO_MOODS='${moodsFile}' exec ${words} "$@"\n`, { mode: 0o755 });
  return path;
}

function commandOf(): readonly string[] {
  return realFalco === undefined ? [process.execPath, ...testProgram("fake-falco")] : [realFalco];
}

/** Keys of falco.yaml; those that only the fake has, the real one leaves aside. */
function settingsOf(
  rulesDir: string,
  web: { readonly host: string; readonly port: number },
  { alertsPort, auditPort, alertsFile, watches = true }: FalcoOptions,
) {
  const http = { enabled: alertsPort !== undefined, url: `http://127.0.0.1:${alertsPort ?? 0}/` };
  return {
    rules_files: [rulesDir],
    watch_config_files: watches,
    engine: { kind: "nodriver" },
    json_output: true,
    webserver: {
      enabled: true,
      listen_address: web.host,
      listen_port: web.port,
      prometheus_metrics_enabled: true,
    },
    metrics: { enabled: true, interval: "1h" },
    ...(realFalco === undefined || http.enabled ? { http_output: http } : {}),
    ...(alertsFile === undefined
      ? {}
      : { file_output: { enabled: true, keep_alive: false, filename: alertsFile } }),
    ...(realFalco === undefined && auditPort !== undefined ? { audit_port: auditPort } : {}),
  };
}
