import type { ResponseAction } from "#trust";

/** Where a connection may go: a DNS name or an IP address, IPv6 without brackets. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** How agents come into the fleet: by a secret of the fleet, or by the word of their cluster. */
export type JoinKind = "token" | "kubernetes";

export type Join =
  | {
      readonly kind: "token";
      /** Secret. Undefined when every agent is enrolled: the Secret of before then stays as it is. */
      readonly joinString: string | undefined;
    }
  | {
      readonly kind: "kubernetes";
      /** A join string without a token. */
      readonly address: string;
      /** What the service-account token is for. */
      readonly audience: string;
    };

/** What agents may do about alerts, and where. */
export interface ResponseGrant {
  readonly actions: readonly ResponseAction[];
  readonly namespaces: readonly string[];
  /** How often within an hour one agent may. */
  readonly perHour: number;
}

/** Everything that decides how the agent's objects in a cluster look. The same settings give the same objects. */
export interface Settings {
  /** The cluster's name in the fleet. */
  readonly cluster: string;
  /** The UID of the namespace `kube-system`. */
  readonly clusterUid: string;
  /** What `fleetctl` did not make it does not take over or remove. */
  readonly managedBy: "fleetctl" | "Helm" | "kustomize";
  readonly namespace: string;
  /** False when somebody else made the namespace: then it is left as it is, also when the cluster leaves the fleet. */
  readonly ownsNamespace: boolean;
  readonly image: string;
  readonly join: Join;
  readonly server: Endpoint;
  /** Where agents may reach the server; empty for a name, which may be any address: see `serverPeers()`. */
  readonly serverNetworks: readonly string[];
  /** The file on the nodes that kube-apiserver writes. */
  readonly auditLog: string;
  readonly controlPlaneNodes: number;
  /** Outputs that signed shipper configs may send to, over TLS. */
  readonly destinations: readonly Endpoint[];
  /** The namespace that Prometheus scrapes from; undefined when the cluster knows no ServiceMonitor. */
  readonly monitoringNamespace: string | undefined;
  /** Whether Service and ServiceMonitor are left to somebody else, because whoever onboards may make none. */
  readonly leavesMonitor?: boolean;
  /** What agents may do about alerts; undefined when nothing, and then they are given no way to kube-apiserver. */
  readonly responses: ResponseGrant | undefined;
  /** Undefined means root without any capability: audit logs belong to root and nobody else may read them. */
  readonly runAsUser: number | undefined;
  /** A Secret whose files shipper configs may name; whose it is, and whether it is there yet, is not ours to say. */
  readonly outputSecret?: string | undefined;
  /** What the next run goes on from: `fleetctl` alone notes it. */
  readonly noted?: string;
  /** The Falcos that run the rules; without it the agents do. */
  readonly falco?: ProgramPlace;
  /** Where `detect` sends records for Falco's rules; without it Falco sees what it sees by itself. */
  readonly falcoRecords?: string | undefined;
  /** The Fluent Bits that ship records, where Falco runs the rules; without it the agents do. */
  readonly fluentBit?: FluentBitTarget;
  /** Where something was made for programs before, so that it is found again when the cluster leaves the fleet. */
  readonly before?: PlacesBefore;
}

/** What runs bundles: the agents, Falco the rules, or Falco the rules and Fluent Bit the shipper config. */
export type DriverKind = "builtin" | "falco" | "fluent-bit";

/** A DaemonSet of a program that runs bundles. */
export interface ProgramPlace {
  readonly namespace: string;
  readonly daemonSet: string;
  /** The labels that select its pods; those of the program's own chart if not given. */
  readonly selector?: Readonly<Record<string, string>>;
}

/** Where bundles ran once, the last one first. */
export interface PlacesBefore {
  readonly falco: readonly ProgramPlace[];
  readonly fluentBit: readonly ProgramPlace[];
}

/** The Fluent Bits of a DaemonSet, and what its pods call things. */
export interface FluentBitTarget {
  readonly place: ProgramPlace;
  /** The file that they are started with. */
  readonly config: string;
  /** Where they keep positions and chunks. */
  readonly dataDir: string;
  /** The audit log; as on the nodes if not given. */
  readonly auditLog?: string;
}

/** The port at which an agent serves metrics when its shipper config turns them on; Fluent Bit's. */
export const metricsPort = 2020;

/** Where things are in the agent's container; on the node the state has the same path. */
export const places = {
  state: "/var/lib/falconry",
  audit: "/var/log/falconry-audit",
  join: "/etc/falconry/join",
  config: "/etc/falconry/config",
  temporary: "/tmp",
  kube: "/etc/falconry/kube",
  secrets: "/etc/falconry/secrets",
  program: "/opt/falconry/agent/main.js",
} as const;

/** The audit log as whoever reads it calls it: the agent, or the Fluent Bit that ships for it. */
export function auditLogRead({ auditLog, fluentBit }: Settings): string {
  if (fluentBit !== undefined) return fluentBit.auditLog ?? auditLog;
  return `${places.audit}${auditLog.slice(auditLog.lastIndexOf("/"))}`;
}

/** Who writes these objects, as server-side apply knows it. */
export const fieldManager = "fleetctl";

/** The names of the objects; one agent per cluster and namespace. */
export const objectNames = {
  agent: "falconry-agent",
  join: "falconry-join",
  config: "falconry-agent",
  response: "falconry-response",
} as const;

/** Marks what `fleetctl` made; never part of a selector, except to find it again. */
export const ownLabels = labelsBy("fleetctl");

/** The labels of objects that are the agent's, and who keeps them. */
export function labelsBy(manager: Settings["managedBy"]): Readonly<Record<string, string>> {
  return { "app.kubernetes.io/managed-by": manager, "app.kubernetes.io/part-of": "falconry" };
}

/** What selects the agent's pods. Must never change: a DaemonSet's selector cannot. */
export const podLabels = { "app.kubernetes.io/name": objectNames.agent } as const;

/** Says which cluster of the fleet an object was made for. */
export const clusterAnnotation = "falconry/cluster";

/** The flags that a later run goes on from, on the DaemonSet. */
export const settingsAnnotation = "falconry/settings";

/** Where agents reach the server, as HOST:PORT, so that a later run need not make a token to know it. */
export const serverAnnotation = "falconry/server";

/** A host with a port, as URLs have it. */
export function endpointText({ host, port }: Endpoint): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Where a URL leads. */
export function endpointOf(url: string): Endpoint {
  const { hostname, port, protocol } = new URL(url);
  const usual = protocol === "http:" ? 80 : 443;
  return { host: hostname.replace(/^\[|\]$/g, ""), port: port === "" ? usual : Number(port) };
}

/** Reads HOST:PORT; an IPv6 address stands in brackets. Undefined for anything else. */
export function parseEndpoint(text: string): Endpoint | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9.-]{1,253})):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}
