import type { Cluster } from "#proto/fleet/v1/cluster";

/** Who a cluster is to be in the fleet. */
export interface Identity {
  readonly name: string;
  readonly uid: string;
  /** Always holds `region`. */
  readonly labels: Readonly<Record<string, string>>;
  /** Names of the control-plane nodes, which their agents go by. */
  readonly nodes: readonly string[];
}

/** How a cluster stands in the fleet before it is onboarded. */
export type Standing =
  | {
      readonly kind: "may-join";
      /** Nodes whose agents have to enrol, for the first time or anew. */
      readonly toEnrol: readonly string[];
      /** What will not become as asked, because labels of a known cluster are changed by another command. */
      readonly warnings: readonly string[];
    }
  | { readonly kind: "refused"; readonly why: string; readonly next: readonly string[] };

/** Judges what the fleet knows under the name. An agent that is not connected has to enrol anew: its identity may be lost. */
export function standingOf(known: Cluster | undefined, wanted: Identity): Standing {
  if (known === undefined) return { kind: "may-join", toEnrol: wanted.nodes, warnings: [] };
  const { name } = wanted;
  if (known.retiredAt !== undefined) {
    return {
      kind: "refused",
      why: `Cluster "${name}" was retired, and neither its name nor its UID comes back`,
      next: ["Choose another name; a cluster with the same kube-system namespace has to be built anew"],
    };
  }
  if (known.uid !== wanted.uid) {
    return {
      kind: "refused",
      why: `"${name}" is another cluster: the fleet knows it by UID ${known.uid}, and this one has ${wanted.uid}`,
      next: [`fleetctl cluster show ${name}`, "Choose another name, or another --context"],
    };
  }
  const differing = Object.entries(wanted.labels).filter(([key, value]) => known.labels[key] !== value);
  const region = differing.find(([key]) => key === "region");
  if (region !== undefined) {
    return {
      kind: "refused",
      why: `"${name}" is in region ${known.labels["region"]}, not in ${region[1]}`,
      next: [
        `--region ${known.labels["region"]}   if it stays there`,
        `fleetctl cluster label ${name} region=${region[1]}   if it moves`,
      ],
    };
  }
  const connected = new Set(
    known.agents.filter(({ transport }) => transport !== "").map((agent) => agent.name),
  );
  return {
    kind: "may-join",
    toEnrol: wanted.nodes.filter((node) => !connected.has(node)),
    warnings: differing.map(
      ([key, value]) =>
        `label ${key} stays ${known.labels[key] ?? "unset"}: fleetctl cluster label ${name} ${key}=${value}`,
    ),
  };
}
