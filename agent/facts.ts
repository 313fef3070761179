import { hostname } from "node:os";
import type { Identity } from "./identity/identity.ts";
import type { PipelineFacts } from "./pipeline/pipeline.ts";

/**
 * What the pipeline may know of the cluster. `${REGION}`, `${TEAM}`, ... in a shipper config stand for the cluster's
 * labels; a label that the cluster does not have is an empty text, because one config serves the whole fleet.
 */
export function factsOf(
  identity: Identity,
  labels: Readonly<Record<string, string>>,
  variables: Readonly<Record<string, string>>,
): PipelineFacts {
  const fromLabels = Object.fromEntries(wellKnown.map((label) => [label.toUpperCase(), labels[label] ?? ""]));
  return {
    clusterId: identity.clusterId,
    agentId: identity.agentId,
    labels: { ...labels, cluster: identity.clusterName },
    // Local variables come last: they name places on this machine, which nobody else can know.
    variables: { ...fromLabels, CLUSTER: identity.clusterName, NODE: identity.agentName, ...variables },
    hostname: hostname(),
  };
}

const wellKnown = ["region", "environment", "team", "tribe", "project"] as const;
