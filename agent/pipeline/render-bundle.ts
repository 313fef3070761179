import type { RuleSet } from "#engine";
import type { BundleKind } from "#trust";
import { renderProblems, toFluentBit } from "#shipper";
import type { FluentBitPlace, PipelineConfig } from "#shipper";
import { effectiveFiles } from "#trust";
import { failure, loadRuleSet, loadShipperBundle, readBundle } from "./load-bundle.ts";
import type { ApplyFailure, BundleSource, EngineNeeds, PipelineFacts, RenderedFile } from "./load-bundle.ts";
import type { RulesParts } from "./load-composition.ts";
import type { WorkerOptions } from "./messages.ts";
import { rulesProblem, shipperProblem } from "./protect.ts";

/** A bundle that another program is to run. */
export interface RenderRequest {
  readonly kind: BundleKind;
  readonly source: BundleSource;
  /** The rules that it runs now. */
  readonly running?: BundleSource;
  /** A shipper config becomes one for Fluent Bit, here. */
  readonly fluentBit?: FluentBitPlace;
}

/** The files of a bundle as they are to be run, layers and all, and the digest of the bytes that they were read from. */
export type RenderResult =
  | {
      readonly ok: true;
      readonly digest: string;
      readonly files: readonly RenderedFile[];
      readonly parts?: RulesParts;
      /** Of rules: what the program's own engine has to be. */
      readonly needs?: EngineNeeds;
    }
  | ApplyFailure;

type RendererOptions = Pick<WorkerOptions, "allowList">;

interface Known {
  readonly digest: string;
  readonly rules: Pick<RuleSet, "compiled">;
}

/**
 * Checks bundles that another program is to run as those that run here are checked, and gives their files. Rules are loaded, so
 * that what this node protects holds for them as well.
 */
export class BundleRenderer {
  readonly #options: RendererOptions;
  /** The rules that were rendered last: those that run, or are about to. */
  #last: Known | undefined;
  /** The shipper config that was rendered last. */
  #config: PipelineConfig | undefined;

  constructor(options: RendererOptions) {
    this.#options = options;
  }

  /** The rules that a shipper config may not starve. */
  get rules(): Known["rules"] | undefined {
    return this.#last?.rules;
  }

  render(request: RenderRequest, facts: PipelineFacts): RenderResult {
    if (request.kind === "rules") return this.#rules(request, facts);
    return this.#shipper(request, facts);
  }

  #shipper({ source, fluentBit }: RenderRequest, facts: PipelineFacts): RenderResult {
    const loaded = loadShipperBundle(source, facts, this.#options);
    if (!loaded.ok) return loaded;
    const starved = shipperProblem(this.#config, loaded.value, this.rules, this.#options.allowList);
    if (starved !== undefined) return failure("shipper", "shipper/protected", starved);
    const bundle = readBundle("shipper", source);
    if (!bundle.ok) return bundle;
    const files = effectiveFiles(bundle.value, facts.labels);
    if (fluentBit === undefined) return { ok: true, digest: loaded.digest, files };
    const made = toFluentBit(files, facts.variables, fluentBit);
    if (!made.ok) return failure("shipper", "shipper/not-in-fluent-bit", renderProblems(made.problems));
    this.#config = loaded.value;
    return { ok: true, digest: loaded.digest, files: [{ name: "fluent-bit.conf", content: made.text }] };
  }

  #rules({ source, running }: RenderRequest, facts: PipelineFacts): RenderResult {
    const loaded = loadRuleSet(source, facts, this.#options.allowList);
    if (!loaded.ok) return loaded;
    const { value, digest, files = [], parts, needs } = loaded;
    const lost = rulesProblem(this.#running(running, facts), value, this.#options.allowList);
    if (lost !== undefined) return failure("rules", "rules/protected", lost);
    this.#last = { digest, rules: { compiled: value.compiled } };
    const more = { ...(parts === undefined ? {} : { parts }), ...(needs === undefined ? {} : { needs }) };
    return { ok: true, digest, files, ...more };
  }

  #running(source: BundleSource | undefined, facts: PipelineFacts): Known["rules"] | undefined {
    if (source === undefined) return undefined;
    if (this.#last?.digest === source.digest) return this.#last.rules;
    const loaded = loadRuleSet(source, facts, this.#options.allowList);
    return loaded.ok ? loaded.value : undefined;
  }
}
