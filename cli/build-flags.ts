import { Flags } from "./oclif.ts";
import { unreadableLayer } from "#layers";
import type { BuiltLayer } from "#trust";
import { misused, refused } from "./failure.ts";
import { envOf, textFlag } from "./flags.ts";
import { checkBundle } from "./check-bundle.ts";
import {
  buildBundleFromDirectory,
  buildLayerFromDirectory,
  type BuiltFromFiles,
} from "./trust/build-bundle.ts";

/** What a folder does not say about the bundle that is built from it. */
export const buildFlags = {
  kind: Flags.option({
    summary: "What the folder holds.",
    options: ["rules", "shipper", "layer"] as const,
    env: envOf("kind"),
  })(),
  name: textFlag("name", "Name of the bundle, or of the layer; the folder's name if not given.", "NAME"),
  version: textFlag("version", "Version of the bundle; one that is released never changes.", "X.Y.Z"),
  org: Flags.string({
    summary: "Organisation that the bundle is for.",
    helpValue: "NAME",
    env: envOf("org"),
    default: "default",
  }),
  "requires-engine": textFlag("requires-engine", "Oldest engine that can run the rules.", ">=X.Y.Z"),
};

interface BuildFlags {
  readonly kind?: "rules" | "shipper" | "layer" | undefined;
  readonly name?: string | undefined;
  readonly version?: string | undefined;
  readonly org: string;
  readonly "requires-engine"?: string | undefined;
}

/** Builds a release of a layer from a folder of rules. Throws a failure when its files can be read nowhere. */
export function buildLayer(
  directory: string,
  flags: BuildFlags,
): BuiltLayer & { readonly skipped: readonly string[] } {
  if (flags.version === undefined) throw misused("--version is missing", "--version 1.0.0");
  const built = buildLayerFromDirectory(directory, {
    org: flags.org,
    name: flags.name ?? nameOfFolder(directory),
    version: flags.version,
    ...engineOf(flags),
  });
  const problem = unreadableLayer(built.release);
  if (problem === undefined) return built;
  throw refused(`The layer ${built.release.name}@${built.release.version} does not load:\n${problem}`);
}

function engineOf({ "requires-engine": engine }: BuildFlags): { readonly engine?: string } {
  return engine === undefined ? {} : { engine };
}

export interface CheckedBundle extends BuiltFromFiles {
  /** What a person should know of the checks. */
  readonly remarks: readonly string[];
}

/** Builds a bundle from a folder and loads it as an agent would. Throws a failure with what is wrong. */
export async function buildChecked(directory: string, flags: BuildFlags): Promise<CheckedBundle> {
  if (flags.kind === undefined) {
    throw misused(
      `--kind is missing: what does ${directory} hold?`,
      "--kind rules",
      "--kind shipper",
      "--kind layer",
    );
  }
  if (flags.kind === "layer") {
    throw misused(`${directory} is a layer, which is built and pushed by itself`, "fleetctl bundle build");
  }
  if (flags.version === undefined) throw misused("--version is missing", "--version 1.0.0");
  const built = buildBundleFromDirectory(directory, {
    org: flags.org,
    kind: flags.kind,
    name: flags.name ?? nameOfFolder(directory),
    version: flags.version,
    ...engineOf(flags),
  });
  return { ...built, remarks: await checkBundle(built.bundle) };
}

function nameOfFolder(directory: string): string {
  const name = directory.replace(/\/+$/, "").split("/").at(-1) ?? "";
  if (/^[a-z0-9]/.test(name)) return name;
  throw misused(`${directory} does not give the bundle a name`, "--name NAME");
}
