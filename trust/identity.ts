import { accept, quote, refuse, type Checked } from "./checked.ts";
import { isIdentifier, isName } from "./names.ts";

/** Who an agent is; what its certificate says and nothing else can. */
export interface AgentIdentity {
  readonly org: string;
  readonly clusterId: string;
  readonly agentId: string;
}

const pattern = /^spiffe:\/\/falconry\/([^/]+)\/cluster\/([^/]+)\/agent\/([^/]+)$/;

/**
 * The SPIFFE id of an agent, for its certificate.
 *
 * @throws RangeError when a part holds a character that ids do not have: ids are made by the server.
 */
export function spiffeId(identity: AgentIdentity): string {
  const { org, clusterId, agentId } = identity;
  if (!isName(org) || !isIdentifier(clusterId) || !isIdentifier(agentId)) {
    throw new RangeError(`not an agent identity: ${JSON.stringify(identity)}`);
  }
  return `spiffe://falconry/${org}/cluster/${clusterId}/agent/${agentId}`;
}

export function parseSpiffeId(uri: string): Checked<AgentIdentity> {
  const [, org = "", clusterId = "", agentId = ""] = pattern.exec(uri) ?? [];
  if (isName(org) && isIdentifier(clusterId) && isIdentifier(agentId)) {
    return accept({ org, clusterId, agentId });
  }
  return refuse(
    "trust/malformed",
    `${quote(uri)} is not an agent's identity; expected spiffe://falconry/ORG/cluster/CLUSTER_ID/agent/AGENT_ID`,
  );
}
