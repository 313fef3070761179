import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { BundleService } from "#proto/fleet/v1/bundle";
import { TrustService } from "#proto/fleet/v1/trust";
import type { BuiltBundle, BundleFile, BundleKind } from "#trust";
import { buildBundleFromFiles } from "../trust/build-bundle.ts";
import { signTargets } from "../trust/sign-targets.ts";
import { dataPath } from "../programs.ts";
import { part } from "./fleet.ts";
import type { Fleet } from "./fleet.ts";
import { short } from "./roll-out.ts";

/**
 * Builds and signs two versions of the rules (the starter pack, and the pack with a team's tuning), the shipper config
 * and the rules of a drill, and pushes what the server does not have.
 */
export async function publishBundles(fleet: Fleet): Promise<string> {
  const pack = readRules(dataPath("rules", "starter"));
  const tuned = [...pack, local("tuning.yaml")];
  const { org } = await part(fleet, "connection").client(TrustService).getTrust({});
  const known = await knownBundles(fleet);
  const build = (kind: BundleKind, name: string, version: string, files: readonly BundleFile[]) =>
    buildUnlessTaken({ org, kind, name, version, files }, known);

  const shipper = build("shipper", "local", "1.0.0", [local("shipper.yaml")]);
  const drill = build("rules", "drill", "1.0.0", pack);
  const before = build("rules", "starter", "1.0.0", pack);
  const after = build("rules", "starter", "1.1.0", tuned);
  // The tuned pack last: the newest bundle is what a rollout without --bundle takes.
  const pushed = [
    ...(await push(fleet, [shipper, drill, before], known)),
    ...(await push(fleet, [after], known)),
  ];
  keepCopies(fleet, [shipper, before, after]);
  fleet.bundles = {
    shipper: shipper.digest,
    drill: drill.digest,
    rulesBefore: before.digest,
    rulesAfter: after.digest,
    files: { before: rulesFiles(before), after: rulesFiles(after) },
    names: {
      shipper: nameOf(shipper),
      drill: nameOf(drill),
      rulesBefore: nameOf(before),
      rulesAfter: nameOf(after),
    },
  };
  const there = pushed.length === 0 ? "all there from before: " : "";
  return `${there}${[shipper, before, after].map((b) => `${nameOf(b)} ${short(b.digest)}`).join(", ")}`;
}

/** A bundle of the server: its name, and which bytes have it. */
type Known = ReadonlyMap<string, string>;

async function knownBundles(fleet: Fleet): Promise<Known> {
  const { bundles } = await part(fleet, "connection").client(BundleService).listBundles({});
  return new Map(bundles.map(({ ref }) => [`${ref?.name}@${ref?.version}`, ref?.digest ?? ""]));
}

/** When the name and version belong to other bytes (the checkout has moved on), takes the next free patch version. */
function buildUnlessTaken(
  wanted: { org: string; kind: BundleKind; name: string; version: string; files: readonly BundleFile[] },
  known: Known,
): BuiltBundle {
  const { files, ...options } = wanted;
  const [major, minor, patch] = wanted.version.split(".").map(Number);
  for (let next = patch ?? 0; ; next += 1) {
    const built = buildBundleFromFiles(files, [], { ...options, version: `${major}.${minor}.${next}` });
    const taken = known.get(nameOf(built));
    if (taken === undefined || taken === built.digest) return built;
  }
}

async function push(
  fleet: Fleet,
  bundles: readonly BuiltBundle[],
  known: Known,
): Promise<readonly BuiltBundle[]> {
  const missing = bundles.filter((b) => known.get(nameOf(b)) === undefined);
  if (missing.length === 0) return [];
  const previousTargets = await currentTargets(fleet);
  const signed = await signTargets({
    dir: fleet.layout.trust,
    bundles: missing,
    previousTargets,
    passphrase: undefined,
    now: new Date(),
  });
  await part(fleet, "connection")
    .client(BundleService)
    .pushBundles({
      bundles: missing.map((b) => Uint8Array.from(b.bytes)),
      targets: Uint8Array.from(signed.targets),
    });
  return missing;
}

async function currentTargets(fleet: Fleet): Promise<Uint8Array | undefined> {
  try {
    const { metadata } = await part(fleet, "connection")
      .client(TrustService)
      .getMetadata({ role: "targets" });
    return metadata;
  } catch (error) {
    if (error instanceof ConnectError && error.code === Code.NotFound) return undefined;
    throw error;
  }
}

/** The bundles as files, so that a user can look at them and try `fleetctl bundle` commands. */
function keepCopies(fleet: Fleet, bundles: readonly BuiltBundle[]): void {
  mkdirSync(fleet.layout.bundles, { recursive: true });
  for (const built of bundles) {
    writeFileSync(join(fleet.layout.bundles, `${nameOf(built)}.json`), built.bytes);
  }
}

function readRules(dir: string): readonly BundleFile[] {
  const names = readdirSync(dir)
    .filter((name) => name.endsWith(".yaml"))
    .sort();
  return names.map((path) => ({ path, content: readFileSync(join(dir, path), "utf8") }));
}

function local(path: string): BundleFile {
  return { path, content: readFileSync(dataPath("deploy", "local", path), "utf8") };
}

function rulesFiles({ bundle }: BuiltBundle): readonly { name: string; content: string }[] {
  return bundle.files.map(({ path, content }) => ({ name: path, content }));
}

function nameOf({ bundle }: BuiltBundle): string {
  return `${bundle.name}@${bundle.version}`;
}
