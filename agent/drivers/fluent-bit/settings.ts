import { basename, isAbsolute } from "node:path";
import { readPodsWorld } from "../kubernetes/settings.ts";
import type { PodsWorld } from "../kubernetes/settings.ts";
import { secondsOf, textOf, urlOf } from "../read-setting.ts";
import type { Env } from "../read-setting.ts";

/** Where the Fluent Bit is that ships this agent's records. Everything comes from the agent's own environment. */
export interface FluentBitSettings {
  /** The file that Fluent Bit was started with. */
  readonly config: string;
  /** A folder for its positions and chunks; Fluent Bit writes there, not the agent. */
  readonly dataDir: string;
  /** Fluent Bit's HTTP server, without a slash at its end. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** The program, for `--dry-run`; undefined: none is made. */
  readonly bin: string | undefined;
  /** Where Fluent Bits are that run as pods; undefined for the one beside the agent. `config` is where they have it mounted then. */
  readonly pods: PodsWorld | undefined;
  readonly log: string | undefined;
  readonly proofMs: number;
}

const names = {
  config: "FALCONRY_FLUENT_BIT_CONFIG",
  dataDir: "FALCONRY_FLUENT_BIT_DATA_DIR",
  url: "FALCONRY_FLUENT_BIT_URL",
  bin: "FALCONRY_FLUENT_BIT_BIN",
  log: "FALCONRY_FLUENT_BIT_LOG",
  proofSeconds: "FALCONRY_FLUENT_BIT_PROOF_SECONDS",
} as const;

const podsNames = {
  object: "FALCONRY_FLUENT_BIT_SECRET",
  pods: "FALCONRY_FLUENT_BIT_PODS",
  daemonSet: "FALCONRY_FLUENT_BIT_DAEMONSET",
} as const;

/** What lies beside the config, and never changes. */
export const parsersFileName = "falconry_parsers.conf";

/** Reads the settings, and adds everything that is wrong with them. */
export function readFluentBitSettings(env: Env, problems: string[]): FluentBitSettings {
  const path = (name: string, need: string | undefined): string | undefined => {
    const value = textOf(env, name);
    if (value === undefined && need !== undefined) problems.push(`${name} is not set: give ${need}`);
    if (value === undefined || (isAbsolute(value) && !/\s/.test(value))) return value;
    problems.push(`${name} is "${value}": give an absolute path without blanks`);
    return undefined;
  };
  const config = path(names.config, "the file that Fluent Bit is started with") ?? "/";
  const usual = { kind: "Secret", key: basename(config), port: 2020, name: "fluent-bit" } as const;
  const pods = readPodsWorld(env, podsNames, usual, problems);
  const url = urlOf(env, names.url, problems) ?? new URL("http://127.0.0.1:2020");
  if (url.protocol !== "http:") {
    problems.push(`${names.url} is "${url.href}": Fluent Bit serves http://`);
  }
  return {
    config,
    dataDir: path(names.dataDir, "a folder that Fluent Bit may write to") ?? "/",
    url: url.href.replace(/\/+$/, ""),
    host: pods === undefined ? url.hostname.replace(/^\[|\]$/g, "") : "0.0.0.0",
    port: pods?.pods.port ?? Number(url.port || 80),
    pods,
    bin: path(names.bin, undefined),
    log: path(names.log, undefined),
    proofMs: secondsOf(env, names.proofSeconds, pods === undefined ? 60 : 180, problems),
  };
}
