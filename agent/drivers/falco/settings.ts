import { isAbsolute } from "node:path";
import type { RulesElsewhere } from "../../pipeline/elsewhere.ts";
import { readPodsWorld } from "../kubernetes/settings.ts";
import type { PodsWorld } from "../kubernetes/settings.ts";
import { addressOf, secondsOf, textOf, urlOf } from "../read-setting.ts";
import type { Env } from "../read-setting.ts";

/** The one file that the agent writes for Falco. */
export const rulesFileName = "falconry_rules.yaml";

/** Where the Falco is that runs this agent's rules. Everything comes from the agent's own environment. */
export interface FalcoSettings {
  /** A directory that Falco's `rules_files` names; the agent writes one file there, unless Falco runs as pods. */
  readonly rulesDir: string;
  /** Where Falcos are that run as pods, one on each node; undefined for the one beside the agent. */
  readonly pods: PodsWorld | undefined;
  /** How many of all nodes have to prove rules before they count as running, percent. */
  readonly nodesPercent: number;
  /** Falco's web server, without a slash at its end. */
  readonly url: string;
  /** The program, for `-V`; undefined: Falco's own check when it reloads is the only one. */
  readonly bin: string | undefined;
  /** The configuration for `-V`, so that it knows Falco's plugins. */
  readonly config: string | undefined;
  /** Holds the process to send SIGHUP to; undefined: Falco watches its files. */
  readonly pidFile: string | undefined;
  /** A program that makes Falco reload, started without arguments. */
  readonly reloadCommand: string | undefined;
  /** Falco's log, of which the end goes with a failure. */
  readonly log: string | undefined;
  readonly proofMs: number;
  /** Whether Falco may load rules files that are not the agent's. */
  readonly mayHaveOthers: boolean;
  readonly alerts: {
    readonly listen: Listen | undefined;
    readonly file: string | undefined;
    /** Logs of its containers on this node, as the kubelet keeps them. */
    readonly log: string | undefined;
  };
  /** Where records of `detect` go: Falco's plugin k8saudit. */
  readonly records: RulesElsewhere["records"];
}

interface Listen {
  readonly host: string;
  readonly port: number;
}

const names = {
  rulesDir: "FALCONRY_FALCO_RULES_DIR",
  url: "FALCONRY_FALCO_URL",
  bin: "FALCONRY_FALCO_BIN",
  config: "FALCONRY_FALCO_CONFIG",
  pidFile: "FALCONRY_FALCO_PID_FILE",
  reloadCommand: "FALCONRY_FALCO_RELOAD_COMMAND",
  log: "FALCONRY_FALCO_LOG",
  proofSeconds: "FALCONRY_FALCO_PROOF_SECONDS",
  otherRules: "FALCONRY_FALCO_OTHER_RULES",
  listen: "FALCONRY_FALCO_ALERTS_LISTEN",
  alertsFile: "FALCONRY_FALCO_ALERTS_FILE",
  alertsLog: "FALCONRY_FALCO_ALERTS_LOG",
  records: "FALCONRY_FALCO_RECORDS_URL",
  nodesPercent: "FALCONRY_FALCO_NODES_PERCENT",
} as const;

const podsNames = {
  object: "FALCONRY_FALCO_CONFIGMAP",
  pods: "FALCONRY_FALCO_PODS",
  daemonSet: "FALCONRY_FALCO_DAEMONSET",
} as const;
const podsUsual = { kind: "ConfigMap", key: rulesFileName, port: 8765, name: "falco" } as const;

/** Reads the settings, and adds everything that is wrong with them. */
export function readFalcoSettings(env: Env, problems: string[]): FalcoSettings {
  const path = (name: string): string | undefined => {
    const value = textOf(env, name);
    if (value === undefined || isAbsolute(value)) return value;
    problems.push(`${name} is "${value}": give an absolute path`);
    return undefined;
  };
  const pods = readPodsWorld(env, podsNames, podsUsual, problems);
  const rulesDir = path(names.rulesDir);
  const isNamed = textOf(env, names.rulesDir) !== undefined;
  if (isNamed === (pods !== undefined)) {
    const one = `${names.rulesDir} to a directory that Falco's rules_files names, or ${podsNames.object} where it runs as pods`;
    problems.push(isNamed ? `Set ${one}, and not both` : `Set ${one}`);
  }
  const listen = addressOf(env, names.listen, problems, pods !== undefined);
  const file = path(names.alertsFile);
  const alertsLog = path(names.alertsLog);
  if ([names.listen, names.alertsFile, names.alertsLog].every((name) => textOf(env, name) === undefined)) {
    problems.push(
      `Alerts of Falco have no way in: set ${names.listen} for its http_output, ${names.alertsFile} for its file_output, or ${names.alertsLog} for the logs of its containers`,
    );
  }
  const records = urlOf(env, names.records, problems);
  if (records !== undefined && records.protocol !== "http:") {
    problems.push(
      `${names.records} is "${records.href}": Falco's plugin k8saudit is reached by http:// here`,
    );
  }
  const url = urlOf(env, names.url, problems)?.href ?? "http://127.0.0.1:8765";
  return {
    rulesDir: rulesDir ?? "/",
    pods,
    nodesPercent: percentOf(env, problems),
    url: url.replace(/\/+$/, ""),
    bin: path(names.bin),
    config: path(names.config),
    pidFile: path(names.pidFile),
    reloadCommand: path(names.reloadCommand),
    log: path(names.log),
    // A kubelet brings a changed ConfigMap to its pods within a minute or so.
    proofMs: secondsOf(env, names.proofSeconds, pods === undefined ? 60 : 180, problems),
    mayHaveOthers: readOthers(env, problems),
    alerts: { listen, file, log: alertsLog },
    records: records && {
      host: records.hostname.replace(/^\[|\]$/g, ""),
      port: Number(records.port || 80),
      uri: `${records.pathname}${records.search}`,
    },
  };
}

function percentOf(env: Env, problems: string[]): number {
  const text = textOf(env, names.nodesPercent) ?? "100";
  if (/^\d{1,3}$/.test(text) && Number(text) >= 1 && Number(text) <= 100) return Number(text);
  problems.push(`${names.nodesPercent} is "${text}": use 1 to 100`);
  return 100;
}

function readOthers(env: Env, problems: string[]): boolean {
  const text = textOf(env, names.otherRules) ?? "tell";
  if (text !== "tell" && text !== "allow") {
    problems.push(`${names.otherRules} is "${text}": use tell or allow`);
  }
  return text === "allow";
}
