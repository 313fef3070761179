import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { createDetector, createRecordDetector, engineVersion, loadRules, renderFindings } from "#engine";
import { checkAllowed, parseShipperConfig, renderProblems } from "#shipper";
import type { RuleSet } from "#engine";
import { parseResponses } from "#layers";
import type { ResponsePolicy } from "#layers";
import type { PipelineConfig, Variables } from "#shipper";
import { checkBundleFits, checkEngine, effectiveFiles, parseBundle, responseText } from "#trust";
import type { Bundle, BundleKind } from "#trust";
import { compositionIn } from "../composition.ts";
import { reasonOf } from "./files.ts";
import { loadComposition, type RulesParts } from "./load-composition.ts";
import type { WorkerOptions } from "./messages.ts";
import type { RuleGuard } from "./protect.ts";
import type { Detection } from "./router.ts";

/** A bundle file and the digest that the assignment names, "sha256:" and 64 hex digits. */
export interface BundleSource {
  readonly path: string;
  readonly digest: string;
  /** What was signed for, when it is to be started for the first time: whose bundle it has to be, and under which path. */
  readonly released?: { readonly org: string; readonly path: string };
  /** The digest of the layer that is tried: without it there is nothing to load. */
  readonly needs?: string;
}

/** What the agent knows about itself and its cluster. */
export interface PipelineFacts {
  readonly clusterId: string;
  readonly agentId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly variables: Variables;
  readonly hostname: string;
}

export interface ApplyFailure {
  readonly ok: false;
  readonly kind: BundleKind;
  /** A stable code, such as "bundle/digest-mismatch", "rules/invalid", "shipper/not-allowed". */
  readonly reason: string;
  /** For people, at most 4 KiB. */
  readonly detail: string;
}

export type Loaded<T> = { readonly ok: true; readonly value: T; readonly digest: string } | ApplyFailure;

/** A file of a bundle as it is loaded. */
export interface RenderedFile {
  readonly name: string;
  readonly content: string;
}

/** Rules, the files that they were loaded from, and what they are made of when teams put layers on the bundle. */
export type LoadedRules<T> = Loaded<T> & {
  readonly files?: readonly RenderedFile[];
  readonly parts?: RulesParts;
  readonly needs?: EngineNeeds;
  readonly responses?: readonly ResponsePolicy[];
};

/** What a bundle needs of the engine that runs it, and its name for sentences. */
export type EngineNeeds = Pick<Bundle, "name" | "version" | "requires">;

/** What a bundle needs of an engine, and nothing else of it. */
export function needsOf({ name, version, requires }: Bundle): EngineNeeds {
  return { name, version, ...(requires === undefined ? {} : { requires }) };
}

const detailMax = 4000;
const bundleBytesMax = 16 * 1024 * 1024;

/**
 * Loads rules from a bundle file. The digest that comes back is of the bytes that were loaded, computed here: it is the
 * proof of what runs, and never a repetition of what was asked for.
 */
export function loadRulesBundle(
  source: BundleSource,
  facts: PipelineFacts,
  guard: RuleGuard,
): LoadedRules<Detection> {
  const loaded = loadRuleSet(source, facts, guard);
  if (!loaded.ok) return loaded;
  const { value: ruleset, digest, parts, responses = [] } = loaded;
  const options = { hostname: facts.hostname };
  const sources = new Set(ruleset.rules.flatMap((rule) => (rule.enabled ? [rule.source] : [])));
  const value: Detection = {
    rules: { compiled: ruleset.compiled },
    detector: createDetector(ruleset, options),
    ...(sources.has("syscall") ? { calls: createRecordDetector(ruleset, options) } : {}),
    sources,
    // Alerts name the bundle that people released.
    digest: parts?.base ?? digest,
    ...(responses.length === 0 ? {} : { responses }),
  };
  return { ok: true, value, digest, ...(parts === undefined ? {} : { parts }) };
}

/** The rules of a bundle that is fit to run here, without anything that runs them. */
export function loadRuleSet(
  source: BundleSource,
  facts: PipelineFacts,
  guard: RuleGuard,
): LoadedRules<RuleSet> {
  const read = readSource("rules", source);
  if (!read.ok) return read;
  const composition = compositionIn(read.value);
  if (composition !== undefined) return loadComposition(composition, source, facts, guard);
  const bundle = bundleFrom("rules", source, read);
  if (!bundle.ok) return bundle;
  const fits = checkEngine(bundle.value, engineVersion);
  if (!fits.ok) return failure("rules", fits.refusal.code, fits.refusal.message);
  const files = effectiveFiles(bundle.value, facts.labels);
  const report = loadRules(files);
  if (!report.ok) return failure("rules", "rules/invalid", renderFindings(report, files));
  const responses = responsesOf(bundle.value);
  if (!responses.ok) return responses;
  return {
    ok: true,
    value: report.ruleset,
    digest: bundle.digest,
    files,
    needs: needsOf(bundle.value),
    responses: responses.value,
  };
}

/** What a bundle has agents do about alerts. One whose responses cannot be read is not run without them. */
export function responsesOf(
  bundle: Bundle,
): { readonly ok: true; readonly value: readonly ResponsePolicy[] } | ApplyFailure {
  const text = responseText(bundle);
  if (text === undefined) return { ok: true, value: [] };
  const parsed = parseResponses(text);
  if (parsed.ok) return { ok: true, value: parsed.policies };
  return failure("rules", "rules/responses", parsed.problems.map((why) => `response.yaml ${why}`).join("\n"));
}

/** Loads a shipper config, within what this agent allows. */
export function loadShipperBundle(
  source: BundleSource,
  facts: PipelineFacts,
  { allowList, rulesElsewhere }: Pick<WorkerOptions, "allowList" | "rulesElsewhere">,
): Loaded<PipelineConfig> {
  const bundle = readBundle("shipper", source);
  if (!bundle.ok) return bundle;
  const files = effectiveFiles(bundle.value, facts.labels);
  const parsed = parseShipperConfig(files, facts.variables);
  if (!parsed.ok) return failure("shipper", "shipper/invalid", renderProblems(parsed.problems));
  const denied = checkAllowed(parsed.config, allowList);
  if (denied.length > 0) return failure("shipper", "shipper/not-allowed", renderProblems(denied));
  const inputs = [...parsed.config.inputs, ...(rulesElsewhere?.inputs ?? [])];
  return { ok: true, value: { ...parsed.config, inputs }, digest: bundle.digest };
}

export function failure(kind: BundleKind, reason: string, detail: string): ApplyFailure {
  return { ok: false, kind, reason, detail: detail.slice(0, detailMax) };
}

/** The bundle of a kind that a file holds. */
export function readBundle(kind: BundleKind, source: BundleSource): Loaded<Bundle> {
  const read = readSource(kind, source);
  return read.ok ? bundleFrom(kind, source, read) : read;
}

/** The bytes of a file, which have to have the digest. */
export function readSource(kind: BundleKind, source: BundleSource): Loaded<Buffer> {
  let bytes: Buffer;
  try {
    const { size } = fs.statSync(source.path);
    if (size > bundleBytesMax) {
      return failure(
        kind,
        "bundle/too-large",
        `${source.path} has ${size} bytes, more than ${bundleBytesMax}`,
      );
    }
    bytes = fs.readFileSync(source.path);
  } catch (error) {
    return failure(kind, "bundle/unreadable", `Cannot read ${source.path}: ${reasonOf(error)}`);
  }
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  if (digest !== source.digest) {
    return failure(
      kind,
      "bundle/digest-mismatch",
      `${source.path} has digest ${digest}, and ${source.digest} was to be loaded`,
    );
  }
  return { ok: true, value: bytes, digest };
}

function bundleFrom(
  kind: BundleKind,
  source: BundleSource,
  { value: bytes, digest }: Extract<Loaded<Buffer>, { ok: true }>,
): Loaded<Bundle> {
  const bundle = parseBundle(bytes);
  if (!bundle.ok) return failure(kind, bundle.refusal.code, bundle.refusal.message);
  if (bundle.value.kind !== kind) {
    return failure(
      kind,
      "bundle/wrong-kind",
      `${source.path} holds a ${bundle.value.kind} bundle, not ${kind}`,
    );
  }
  if (source.released !== undefined) {
    const { org, path } = source.released;
    const fits = checkBundleFits({ kind, path }, bundle.value, org);
    if (!fits.ok) return failure(kind, fits.refusal.code, fits.refusal.message);
  }
  return { ok: true, value: bundle.value, digest };
}
