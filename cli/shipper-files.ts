import { buildBundleFromDirectory } from "./trust/build-bundle.ts";
import { type Bundle, bundleBytesMax, effectiveFiles } from "#trust";
import { misused } from "./failure.ts";
import { bundleFrom, isFolder, readFileBounded } from "./load-bundle.ts";
import { readSources, type Source } from "./sources.ts";

/** Labels that have a variable of their own in shipper configs. */
const variableLabels = ["region", "environment", "team", "tribe", "project", "cluster"] as const;

/**
 * The files of a shipper config as a cluster with these labels reads them: a folder with its layers, a bundle that
 * `bundle build` wrote, or files in their order.
 */
export async function readShipperFiles(
  named: readonly string[],
  labels: Readonly<Record<string, string>>,
): Promise<readonly Source[]> {
  const [only] = named;
  if (named.length !== 1 || only === undefined) return readSources(named);
  if (await isFolder(only)) {
    const options = { org: "default", kind: "shipper", name: "config", version: "0.0.0" } as const;
    return effectiveFiles(buildBundleFromDirectory(only, options).bundle, labels);
  }
  if (!only.endsWith(".json")) return readSources(named);
  const bundle = bundleFrom(await readFileBounded(only, bundleBytesMax), only);
  return effectiveFiles(asShipper(bundle, only), labels);
}

function asShipper(bundle: Bundle, path: string): Bundle {
  if (bundle.kind === "shipper") return bundle;
  throw misused(`${path} holds a ${bundle.kind} bundle, not shipper`);
}

/** What agents of a cluster with these labels know; nothing when no label is given. */
export function variablesOf(labels: Readonly<Record<string, string>>): Record<string, string> {
  if (Object.keys(labels).length === 0) return {};
  return Object.fromEntries(variableLabels.map((label) => [label.toUpperCase(), labels[label] ?? ""]));
}

/** `--set NAME=VALUE` as variables. Throws a failure for one that is none. */
export function variablesFrom(values: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    values.map((value) => {
      const [, name, content] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(value) ?? [];
      if (name === undefined || content === undefined) throw misused(`--set "${value}" is not NAME=VALUE`);
      return [name, content];
    }),
  );
}
