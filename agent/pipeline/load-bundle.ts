import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { createDetector, createRecordDetector, engineVersion, loadRules, renderFindings } from "#engine";
import { checkAllowed, parseShipperConfig, renderProblems } from "#shipper";
import type { RuleSet } from "#engine";
import type { AllowList, PipelineConfig, Variables } from "#shipper";
import { checkBundleFits, checkEngine, effectiveFiles, parseBundle } from "#trust";
import type { Bundle, BundleKind } from "#trust";
import { reasonOf } from "./files.ts";
import type { Detection } from "./router.ts";

/** A bundle file and the digest that the assignment names, "sha256:" and 64 hex digits. */
export interface BundleSource {
  readonly path: string;
  readonly digest: string;
  /** What was signed for, when it is to be started for the first time: whose bundle it has to be, and under which path. */
  readonly released?: { readonly org: string; readonly path: string };
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

const detailMax = 4000;
const bundleBytesMax = 16 * 1024 * 1024;

/**
 * Loads rules from a bundle file. The digest that comes back is of the bytes that were loaded, computed here: it is the
 * proof of what runs, and never a repetition of what was asked for.
 */
export function loadRulesBundle(source: BundleSource, facts: PipelineFacts): Loaded<Detection> {
  const loaded = loadRuleSet(source, facts);
  if (!loaded.ok) return loaded;
  const { value: ruleset, digest } = loaded;
  const options = { hostname: facts.hostname };
  const sources = new Set(ruleset.rules.flatMap((rule) => (rule.enabled ? [rule.source] : [])));
  const value: Detection = {
    rules: { compiled: ruleset.compiled },
    detector: createDetector(ruleset, options),
    ...(sources.has("syscall") ? { calls: createRecordDetector(ruleset, options) } : {}),
    sources,
    digest,
  };
  return { ok: true, value, digest };
}

/** The rules of a bundle that is fit to run here, without anything that runs them. */
export function loadRuleSet(source: BundleSource, facts: PipelineFacts): Loaded<RuleSet> {
  const bundle = readBundle("rules", source);
  if (!bundle.ok) return bundle;
  const fits = checkEngine(bundle.value, engineVersion);
  if (!fits.ok) return failure("rules", fits.refusal.code, fits.refusal.message);
  const files = effectiveFiles(bundle.value, facts.labels);
  const report = loadRules(files);
  if (!report.ok) return failure("rules", "rules/invalid", renderFindings(report, files));
  return { ok: true, value: report.ruleset, digest: bundle.digest };
}

/** Loads a shipper config, within what this agent allows. */
export function loadShipperBundle(
  source: BundleSource,
  facts: PipelineFacts,
  allowList: AllowList,
): Loaded<PipelineConfig> {
  const bundle = readBundle("shipper", source);
  if (!bundle.ok) return bundle;
  const files = effectiveFiles(bundle.value, facts.labels);
  const parsed = parseShipperConfig(files, facts.variables);
  if (!parsed.ok) return failure("shipper", "shipper/invalid", renderProblems(parsed.problems));
  const denied = checkAllowed(parsed.config, allowList);
  if (denied.length > 0) return failure("shipper", "shipper/not-allowed", renderProblems(denied));
  return { ok: true, value: parsed.config, digest: bundle.digest };
}

export function failure(kind: BundleKind, reason: string, detail: string): ApplyFailure {
  return { ok: false, kind, reason, detail: detail.slice(0, detailMax) };
}

function readBundle(kind: BundleKind, source: BundleSource): Loaded<Bundle> {
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
