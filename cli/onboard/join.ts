import { parseJoinAddress, parseJoinString } from "#trust";
import { refused } from "../failure.ts";
import type { Steps } from "../local/steps.ts";
import { findIssuer, issuerText, readIssuer, trust, type Trusted } from "./issuer.ts";
import type { OnboardOptions, Ports } from "./onboard.ts";
import type { Endpoint, Join } from "./plan/settings.ts";
import type { Identity } from "./standing.ts";

/** How agents will come into the fleet. */
export interface Joining {
  readonly join: Join;
  /** Where agents reach the server, as the server says; undefined when it was not asked. */
  readonly server: Endpoint | undefined;
  /** Undoes it when it did not get to the cluster, and says so; undefined when nothing is to be undone. */
  readonly takeBack: (() => Promise<string>) | undefined;
}

const tokenSeconds = 3600;
const sameVersion = "Use a fleetctl of the same version as the server";
const placeholder = "the join string comes here";

/** A token for the agents that have to enrol, or none when all of them are. */
export async function joinByToken(
  options: OnboardOptions,
  ports: Ports,
  identity: Identity,
  toEnrol: readonly string[],
  steps: Steps,
): Promise<Joining> {
  const without = { server: undefined, takeBack: undefined };
  if (toEnrol.length === 0) return { join: { kind: "token", joinString: undefined }, ...without };
  if (options.dryRun) return { join: { kind: "token", joinString: placeholder }, ...without };
  let joining: Joining | undefined;
  await steps.run("join token", async () => {
    const { token, joinString } = await ports.tokens.createJoinToken({
      labels: { ...options.labels },
      clusterName: options.cluster,
      clusterUid: identity.uid,
      ttlSeconds: tokenSeconds,
      uses: toEnrol.length,
    });
    const join = parseJoinString(joinString);
    if (!join.ok) {
      throw refused(
        `The server made a join string that cannot be read: ${join.refusal.message}`,
        sameVersion,
      );
    }
    const id = token?.id ?? "";
    joining = {
      join: { kind: "token", joinString },
      server: { host: join.value.host, port: join.value.port },
      takeBack: () => revoke(ports, id),
    };
    return `${id}: for an hour, ${toEnrol.length} of ${identity.nodes.length} agents, this name and UID alone`;
  });
  if (joining === undefined) throw new Error("The step ended without a token");
  return joining;
}

/** A token that did not get to the cluster is of use to nobody good. */
async function revoke({ tokens }: Ports, id: string): Promise<string> {
  return tokens.revokeJoinToken({ id }).then(
    () => `Token ${id} was revoked.`,
    () => `Token ${id} could not be revoked: fleetctl token revoke ${id}`,
  );
}

/** The cluster's own word, by keys that are read here and registered with the fleet. Nothing secret goes anywhere. */
export async function joinByCluster(
  options: OnboardOptions,
  ports: Ports,
  identity: Identity,
  toEnrol: readonly string[],
  steps: Steps,
): Promise<Joining> {
  const { cluster: clusterName, labels, namespace } = options;
  let trusted: Trusted | undefined;
  await steps.run("issuer trusted", async () => {
    const { issuer, jwks } = await readIssuer(ports.kube);
    const wanted = { clusterName, clusterUid: identity.uid, labels, namespace, issuer, jwks };
    const known = await findIssuer(ports.issuers, wanted);
    // Anew when somebody has to enrol: a revoked agent comes back only by an issuer that was trusted afterwards.
    const isDone = known !== undefined && toEnrol.length === 0;
    if (options.dryRun && !isDone) return `${issuer} will be`;
    trusted = isDone ? known : await trust(ports.issuers, wanted);
    return issuerText(trusted);
  });
  if (trusted === undefined) {
    const join: Join = { kind: "kubernetes", address: placeholder, audience: "falconry" };
    return { join, server: undefined, takeBack: undefined };
  }
  const { joinAddress: address, audience } = trusted;
  const join = parseJoinAddress(address);
  if (!join.ok) {
    throw refused(`The server made a join address that cannot be read: ${join.refusal.message}`, sameVersion);
  }
  const server = { host: join.value.host, port: join.value.port };
  return { join: { kind: "kubernetes", address, audience }, server, takeBack: undefined };
}
