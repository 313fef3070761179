import type { Client } from "@connectrpc/connect";
import type { BundleService } from "#proto/fleet/v1/bundle";
import type { ClusterService } from "#proto/fleet/v1/cluster";
import type { OwnedLayer } from "#layers";
import { type Bundle, bundleBytesMax, bundleDigest } from "#trust";
import { present } from "../answer.ts";
import { misused, refused } from "../failure.ts";
import { bundleFrom, isFolder, layerFrom, readFileBounded } from "../load-bundle.ts";
import { delegationsIn } from "../trust/delegations-view.ts";
import { buildBundleFromDirectory } from "../trust/build-bundle.ts";

/** A cluster as it chooses layers. */
export interface RenderedCluster {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Of the rules that it is assigned; empty for none. */
  readonly digest: string;
  /** Digests of the releases of layers that it is assigned. */
  readonly layers: readonly string[];
}

/** A cluster by name or id, with its name as a label, as agents have it. */
export async function clusterOf(
  service: Client<typeof ClusterService>,
  wanted: string,
): Promise<RenderedCluster> {
  const cluster = present((await service.getCluster({ cluster: wanted })).cluster, "cluster");
  return {
    name: cluster.name,
    labels: { ...cluster.labels, cluster: cluster.name },
    digest: cluster.assignment?.rules?.digest ?? "",
    layers: (cluster.assignment?.layers ?? []).map(({ digest }) => digest),
  };
}

/** A rules bundle of the server. Throws a failure when it is another than a digest that was asked for. */
export async function bundleOf(service: Client<typeof BundleService>, wanted: string): Promise<Bundle> {
  const { bundle, content } = await service.getBundle({ bundle: wanted });
  const digest = bundleDigest(content);
  const expected = wanted.startsWith("sha256:") ? wanted : (bundle?.ref?.digest ?? "");
  if (digest !== expected) {
    throw refused(`The server sent a bundle with digest ${digest} for ${expected || wanted}`);
  }
  return asRules(bundleFrom(content, `bundle ${wanted}`), wanted);
}

/** Releases of layers by digest, each with what its delegation lets it say; those that were taken back are left out. */
export async function ownedLayersOf(
  service: Client<typeof BundleService>,
  targets: Uint8Array | undefined,
  digests: readonly string[],
): Promise<readonly OwnedLayer[]> {
  const delegations = delegationsIn(targets);
  const owned: OwnedLayer[] = [];
  for (const wanted of digests) {
    const { content } = await service.getBundle({ bundle: wanted });
    const digest = bundleDigest(content);
    if (digest !== wanted) throw refused(`The server sent a layer with digest ${digest} for ${wanted}`);
    const release = layerFrom(content, `layer ${wanted}`);
    const terms = delegations.get(release.name);
    if (terms !== undefined) owned.push({ release, terms });
  }
  return owned;
}

/** The rules bundle that a folder or file holds. */
export async function bundleAt(path: string): Promise<Bundle> {
  if (await isFolder(path)) {
    const options = { org: "default", kind: "rules", name: "folder", version: "0.0.0" } as const;
    return buildBundleFromDirectory(path, options).bundle;
  }
  return asRules(bundleFrom(await readFileBounded(path, bundleBytesMax), path), path);
}

function asRules(bundle: Bundle, from: string): Bundle {
  if (bundle.kind === "rules") return bundle;
  throw misused(`${from} holds a ${bundle.kind} bundle, not rules`, "fleetctl shipper render shows those.");
}
