import * as fs from "node:fs";
import { hostname } from "node:os";
import { basename, join } from "node:path";
import { allowHere, allowNamed, checkAllowed, parseShipperConfig, renderProblems } from "#shipper";
import type { AllowList, PipelineConfig } from "#shipper";
import { buildBundle } from "#trust";
import type { BundleKind } from "#trust";
import { AgentError } from "./agent-error.ts";
import { readAllowList } from "./allow-list.ts";
import type { ApplyRequest, BundleSource, PipelineFacts } from "./pipeline/pipeline.ts";

/** A config that a person runs on this machine, without a fleet. */
export interface LocalOptions {
  /** Paths, in the order in which they apply. */
  readonly files: readonly string[];
  readonly rules: readonly string[];
  readonly variables: Readonly<Record<string, string>>;
  /** `here`: the current folder and this machine. `named`: whatever the config names. Otherwise a file says it. */
  readonly allow: "here" | "named" | { readonly file: string };
}

export interface LocalConfig {
  readonly request: ApplyRequest;
  readonly facts: PipelineFacts;
  readonly allowList: AllowList;
  readonly warnings: readonly string[];
}

const fileBytesMax = 16 * 1024 * 1024;

/** Reads, checks and packs a config for the pipeline. Throws an AgentError that says everything that is wrong. */
export function loadLocalConfig(options: LocalOptions, bundleDir: string): LocalConfig {
  const facts = factsOf(options.variables);
  const files = options.files.map((path) => ({ name: path, content: readText(path) }));
  const parsed = parseShipperConfig(files, facts.variables);
  if (!parsed.ok) throw new AgentError("shipper/invalid", renderProblems(parsed.problems));
  if (options.rules.length === 0 && parsed.config.outputs.some(({ plugin }) => plugin === "detect")) {
    const next = "give the rules with --rules, or take the output out";
    throw new AgentError("run/no-rules", `The config has an output "detect", which needs rules: ${next}`);
  }
  const allowList = chooseAllowList(options.allow, parsed.config);
  fs.mkdirSync(bundleDir, { recursive: true, mode: 0o700 });
  const rules =
    options.rules.length === 0 ? {} : { rules: writeBundle(bundleDir, "rules", options.rules.map(readNamed)) };
  const shipper = writeBundle(bundleDir, "shipper", files);
  return { request: { ...rules, shipper }, facts, allowList, warnings: parsed.warnings.map(oneLine) };
}

function oneLine(problem: Parameters<typeof renderProblems>[0][number]): string {
  return renderProblems([problem]);
}

/** What the agent of a cluster gets from its labels and its environment: here from the command line. */
function factsOf(variables: Readonly<Record<string, string>>): PipelineFacts {
  const none = { REGION: "", ENVIRONMENT: "", TEAM: "", TRIBE: "", PROJECT: "" };
  return {
    clusterId: "local",
    agentId: "local",
    labels: {},
    variables: { ...none, CLUSTER: "local", NODE: hostname(), ...variables },
    hostname: hostname(),
  };
}

function chooseAllowList(allow: LocalOptions["allow"], config: PipelineConfig): AllowList {
  if (allow === "named") return allowNamed(config);
  const folders = [...new Set([process.cwd(), fs.realpathSync(process.cwd())])];
  const allowList = allow === "here" ? allowHere(config, folders) : readAllowList(allow.file);
  const denied = checkAllowed(config, allowList);
  if (denied.length === 0) return allowList;
  const next =
    allow === "here"
      ? "Without a flag a config may read and write below the current folder and send to this machine. If you trust what it names, run it with --allow-named; or say what it may do in a file, with --allow FILE"
      : `Change the config, or ${allow.file}`;
  throw new AgentError("run/not-allowed", `${renderProblems(denied)}\n${next}`);
}

function readNamed(path: string): { name: string; content: string } {
  return { name: path, content: readText(path) };
}

function readText(path: string): string {
  try {
    if (fs.statSync(path).size > fileBytesMax) throw new Error(`it is larger than ${fileBytesMax} bytes`);
    return new TextDecoder("utf-8", { fatal: true }).decode(fs.readFileSync(path));
  } catch (error) {
    throw new AgentError("run/unreadable", `${path} cannot be read: ${(error as Error).message}`);
  }
}

/** Bundles hold plain relative names; places in messages keep the name, and a folder tells equal names apart. */
function writeBundle(
  dir: string,
  kind: BundleKind,
  sources: readonly { readonly name: string; readonly content: string }[],
): BundleSource {
  const names = sources.map(({ name }) => basename(name).replaceAll(/[^A-Za-z0-9._-]/g, "_").replace(/^\./, "_"));
  const isUnique = new Set(names).size === names.length;
  const files = sources.map(({ content }, index) => ({
    path: isUnique ? (names[index] ?? "") : `${index + 1}/${names[index]}`,
    content,
  }));
  const built = buildBundle({ org: "local", kind, name: "local", version: "0.0.0", files, layers: [] });
  if (!built.ok) throw new AgentError(built.refusal.code, built.refusal.message);
  const path = join(dir, `${kind}.json`);
  fs.writeFileSync(path, built.value.bytes, { mode: 0o600 });
  return { path, digest: built.value.digest };
}
