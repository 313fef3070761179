import { bundleDigest, effectiveFiles, parseBundle, targetPath, type Bundle } from "#trust";
import { orRefuse } from "./files.ts";

/** Names of what differs. */
export interface NameDiff {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
}

/** A changed file with the number of lines that only one side has. */
export interface ChangedFile {
  readonly name: string;
  readonly linesAdded: number;
  readonly linesRemoved: number;
}

export interface BundleDiff {
  readonly identical: boolean;
  /** Over all layers: `PATH` or `layers/LEVEL-NAME/PATH`. */
  readonly files: {
    readonly added: readonly string[];
    readonly removed: readonly string[];
    readonly changed: readonly ChangedFile[];
  };
  /** Layers whose selector changed, as `LEVEL-NAME`. */
  readonly selectors: readonly string[];
  /** By rule, for two rules bundles when a comparison was given. */
  readonly rules?: NameDiff;
}

type NamedFiles = readonly { readonly name: string; readonly content: string }[];

/** Compares what two sets of rules files load to; the engine's part. */
export type CompareRules = (before: NamedFiles, after: NamedFiles) => NameDiff;

/**
 * What changes from one bundle to another: by file for all layers and, for rules, by rule as a cluster with these labels
 * runs them.
 */
export function diffBundles(
  before: Bundle,
  after: Bundle,
  options: { readonly labels?: Readonly<Record<string, string>>; readonly compareRules?: CompareRules } = {},
): BundleDiff {
  const { labels = {}, compareRules } = options;
  const old = allFiles(before);
  const fresh = allFiles(after);
  const changed = [...fresh].flatMap(([name, content]): readonly ChangedFile[] => {
    const was = old.get(name);
    return was === undefined || was === content ? [] : [{ name, ...countLines(was, content) }];
  });
  const added = [...fresh.keys()].filter((name) => !old.has(name));
  const removed = [...old.keys()].filter((name) => !fresh.has(name));
  const selectors = changedSelectors(before, after);
  const bothRules = before.kind === "rules" && after.kind === "rules";
  const rules =
    bothRules && compareRules !== undefined
      ? { rules: compareRules(effectiveFiles(before, labels), effectiveFiles(after, labels)) }
      : {};
  const identical = added.length + removed.length + changed.length + selectors.length === 0;
  return { identical, files: { added, removed, changed }, selectors, ...rules };
}

function allFiles(bundle: Bundle): ReadonlyMap<string, string> {
  const layered = bundle.layers.flatMap((layer) =>
    layer.files.map((file) => [`layers/${layer.level}-${layer.name}/${file.path}`, file.content] as const),
  );
  return new Map([...bundle.files.map((file) => [file.path, file.content] as const), ...layered]);
}

function changedSelectors(before: Bundle, after: Bundle): readonly string[] {
  const textOf = (bundle: Bundle) =>
    new Map(
      bundle.layers.map((layer) => [
        `${layer.level}-${layer.name}`,
        JSON.stringify(Object.entries(layer.selector).sort(([a], [b]) => (a < b ? -1 : 1))),
      ]),
    );
  const old = textOf(before);
  return [...textOf(after)].filter(([id, text]) => old.has(id) && old.get(id) !== text).map(([id]) => id);
}

function countLines(before: string, after: string): Omit<ChangedFile, "name"> {
  const balance = new Map<string, number>();
  for (const line of after.split("\n")) balance.set(line, (balance.get(line) ?? 0) + 1);
  for (const line of before.split("\n")) balance.set(line, (balance.get(line) ?? 0) - 1);
  const counts = [...balance.values()];
  const sum = (numbers: readonly number[]) => numbers.reduce((total, n) => total + n, 0);
  return {
    linesAdded: sum(counts.filter((n) => n > 0)),
    linesRemoved: -sum(counts.filter((n) => n < 0)),
  };
}

/** What a bundle file holds, without its contents. */
export interface BundleSummary {
  readonly digest: string;
  readonly length: number;
  readonly path: string;
  readonly org: string;
  readonly requires: string;
  readonly files: readonly string[];
  readonly layers: readonly {
    readonly id: string;
    readonly selector: Readonly<Record<string, string>>;
    readonly files: readonly string[];
  }[];
}

/** Reads a bundle file and says what is in it. */
export function inspectBundle(bytes: Uint8Array): BundleSummary {
  const bundle = orRefuse(parseBundle(bytes), "fleetctl bundle build makes a bundle from a folder.");
  return {
    digest: bundleDigest(bytes),
    length: bytes.length,
    path: targetPath(bundle),
    org: bundle.org,
    requires: bundle.requires?.engine ?? "",
    files: bundle.files.map((file) => file.path),
    layers: bundle.layers.map(({ level, name, selector, files }) => ({
      id: `${level}-${name}`,
      selector,
      files: files.map((file) => file.path),
    })),
  };
}
