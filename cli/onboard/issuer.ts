import { isDeepStrictEqual } from "node:util";
import type { Client } from "@connectrpc/connect";
import { readIssuerKeys, type IssuerKeys } from "#trust";
import type { Issuer, IssuerService } from "#proto/fleet/v1/issuer";
import { refused } from "../failure.ts";
import { countOf } from "../output/text.ts";
import type { Kube } from "./kube.ts";

/** Who signs a cluster's service-account tokens, as an operator registers it. */
export interface ClusterIssuer {
  readonly clusterName: string;
  readonly clusterUid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly namespace: string;
  readonly issuer: string;
  readonly jwks: string;
}

/** What agents need to join by it. */
export interface Trusted {
  readonly issuer: Issuer;
  readonly joinAddress: string;
  readonly audience: string;
  /** False when the fleet knew it already. */
  readonly isNew: boolean;
}

/** Reads the issuer through the kubeconfig, and looks at its keys before they are sent anywhere. */
export async function readIssuer(kube: Pick<Kube, "issuer" | "context">) {
  const found = await kube.issuer();
  return { ...found, keys: keysIn(found.jwks, `The cluster of context "${kube.context}"`) };
}

/** The keys, or a failure that says whose are no good. */
export function keysIn(jwks: string, whose: string): IssuerKeys {
  const keys = readIssuerKeys(jwks);
  if (keys.ok) return keys.value;
  throw refused(`${whose} has keys that agents cannot join by: ${keys.refusal.message}`);
}

/** Whether the fleet trusts just this issuer for a cluster. */
export async function findIssuer(
  issuers: Client<typeof IssuerService>,
  wanted: ClusterIssuer,
): Promise<Trusted | undefined> {
  const { clusterName } = wanted;
  const { issuers: known, joinAddress, audience } = await issuers.listIssuers({ clusterName });
  const { digest } = keysIn(wanted.jwks, `Cluster "${clusterName}"`);
  const same = known.find(
    (each) =>
      each.clusterUid === wanted.clusterUid &&
      each.issuer === wanted.issuer &&
      each.keysDigest === digest &&
      each.subject.split(":")[2] === wanted.namespace &&
      isDeepStrictEqual({ ...each.labels }, { ...wanted.labels }),
  );
  return same === undefined ? undefined : { issuer: same, joinAddress, audience, isNew: false };
}

/** Has the fleet trust an issuer from now on. */
export async function trust(issuers: Client<typeof IssuerService>, wanted: ClusterIssuer): Promise<Trusted> {
  const { issuer, joinAddress, audience } = await issuers.trustIssuer({
    ...wanted,
    labels: { ...wanted.labels },
  });
  if (issuer === undefined) {
    throw refused(
      "The server answered without an issuer, because it is of another version",
      "Use a fleetctl of the same version as the server",
    );
  }
  return { issuer, joinAddress, audience, isNew: true };
}

/** One line about what is trusted. */
export function issuerText({ issuer: { id, issuer, keyIds }, isNew }: Trusted): string {
  const how = isNew ? "this name and UID alone" : "as it was registered";
  return `${id}: ${issuer}, ${countOf(keyIds.length, "key")}, ${how}`;
}
