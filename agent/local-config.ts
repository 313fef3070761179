import * as fs from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { allowHere, allowNamed, checkAllowed, parseShipperConfig, renderProblems } from "#shipper";
import type { AllowList, PipelineConfig } from "#shipper";
import { buildBundle } from "#trust";
import type { BuiltBundle, BundleKind } from "#trust";
import { AgentError } from "./agent-error.ts";
import { readAllowList } from "./allow-list.ts";
import type { ApplyRequest, BundleSource, PipelineFacts } from "./pipeline/pipeline.ts";

/** A file, by the name under which a person knows it. */
export interface LocalFile {
  readonly name: string;
  readonly content: string;
}

/** A config that a person runs on this machine, without a fleet. */
export interface LocalOptions {
  /** In the order in which they apply. */
  readonly files: readonly LocalFile[];
  readonly rules: readonly LocalFile[];
  readonly labels: Readonly<Record<string, string>>;
  readonly variables: Readonly<Record<string, string>>;
  /** `here`: the current folder and this machine. `named`: whatever the config names. Otherwise a file says it. */
  readonly allow: "here" | "named" | { readonly file: string };
}

export interface LocalConfig {
  readonly shipper: BuiltBundle;
  readonly rules: BuiltBundle | undefined;
  readonly facts: PipelineFacts;
  readonly allowList: AllowList;
  readonly warnings: readonly string[];
}

/** Checks and packs a config for the pipeline. Throws an AgentError that says everything that is wrong. */
export function loadLocalConfig(options: LocalOptions): LocalConfig {
  const facts = factsOf(options.labels, options.variables);
  const parsed = parseShipperConfig(options.files, facts.variables);
  if (!parsed.ok) throw new AgentError("shipper/invalid", renderProblems(parsed.problems));
  if (options.rules.length === 0 && parsed.config.outputs.some(({ plugin }) => plugin === "detect")) {
    const next = "give the rules with --rules, or take the output out";
    throw new AgentError("run/no-rules", `The config has an output "detect", which needs rules: ${next}`);
  }
  return {
    shipper: pack("shipper", options.files),
    rules: options.rules.length === 0 ? undefined : pack("rules", options.rules),
    facts,
    allowList: chooseAllowList(options.allow, parsed.config),
    warnings: parsed.warnings.map(oneLine),
  };
}

/** Puts the bundles where the pipeline reads them. */
export function writeBundles(dir: string, { shipper, rules }: LocalConfig): ApplyRequest {
  fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
  const write = (name: string, { bytes, digest }: BuiltBundle): BundleSource => {
    const path = join(dir, `${name}.json`);
    fs.writeFileSync(path, bytes, { mode: 0o600 });
    return { path, digest };
  };
  const request = { shipper: write("shipper", shipper) };
  return rules === undefined ? request : { ...request, rules: write("rules", rules) };
}

function oneLine(problem: Parameters<typeof renderProblems>[0][number]): string {
  return renderProblems([problem]);
}

/** What the agent of a cluster gets from its labels and its environment: here from the command line. */
function factsOf(labels: LocalOptions["labels"], variables: LocalOptions["variables"]): PipelineFacts {
  const none = { REGION: "", ENVIRONMENT: "", TEAM: "", TRIBE: "", PROJECT: "" };
  return {
    clusterId: "local",
    agentId: "local",
    labels,
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

function pack(kind: BundleKind, sources: readonly LocalFile[]): BuiltBundle {
  const names = bundleNames(sources);
  const files = sources.map(({ content }, index) => ({ path: names[index] ?? "", content }));
  const built = buildBundle({ org: "local", kind, name: "local", version: "0.0.0", files, layers: [] });
  if (!built.ok) throw new AgentError(built.refusal.code, built.refusal.message);
  return built.value;
}

/** Bundles hold plain relative names. Folders stay, because files include one another by them. */
function bundleNames(sources: readonly LocalFile[]): string[] {
  const names = sources.map(({ name }) => {
    const parts = name.split("/").filter((part) => part !== "" && part !== "." && part !== "..");
    const plain = parts.map((part) => part.replaceAll(/[^A-Za-z0-9._-]/g, "_").replace(/^[._]/, "x"));
    return plain.join("/").replace(/^layers\//, "layered/");
  });
  return names.map((name, index) => (names.indexOf(name) === index ? name : `${index}/${name}`));
}
