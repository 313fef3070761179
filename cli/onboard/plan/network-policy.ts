import type {
  V1NetworkPolicy,
  V1NetworkPolicyEgressRule,
  V1NetworkPolicyIngressRule,
  V1NetworkPolicyPeer,
} from "@kubernetes/client-node";
import { falcoPorts, falcoProgram } from "./falco.ts";
import { fluentBitProgram } from "./fluent-bit.ts";
import { metaOf } from "./meta.ts";
import { askRule } from "./program.ts";
import { asksKube } from "./response.ts";
import {
  endpointOf,
  endpointText,
  metricsPort,
  objectNames,
  podLabels,
  serverAnnotation,
} from "./settings.ts";
import type { Endpoint, Settings } from "./settings.ts";

/** Clouds answer with credentials of the node there. */
const linkLocal = { v4: "169.254.0.0/16", v6: "fe80::/10" } as const;
/** Where NodeLocal DNSCache listens. */
const nodeLocalDns = "169.254.20.10/32";

/**
 * Nobody may open a connection to the agent, except Prometheus, and the agent may open some to the cluster's DNS, to
 * the server and to the outputs it was allowed. It asks nothing of kube-apiserver, so that is closed as well, unless it responds to alerts or writes
 * rules for Falco: then Falco's namespace may send it alerts, and it may look at Falco.
 */
export function networkPolicyOf(settings: Settings): V1NetworkPolicy {
  const { monitoringNamespace, falco, fluentBit } = settings;
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: metaOf(settings, objectNames.agent, { [serverAnnotation]: endpointText(settings.server) }),
    spec: {
      podSelector: { matchLabels: { ...podLabels } },
      policyTypes: ["Ingress", "Egress"],
      ingress: [
        ...(monitoringNamespace === undefined ? [] : [fromNamespace(monitoringNamespace, metricsPort)]),
        ...(falco === undefined ? [] : [fromNamespace(falco.namespace, falcoPorts.alerts)]),
      ],
      egress: [
        dnsRule(),
        { to: serverPeers(settings), ports: [{ protocol: "TCP", port: settings.server.port }] },
        ...settings.destinations.map(destinationRule),
        ...(falco === undefined ? [] : [askRule(falcoProgram(falco))]),
        ...recordsRules(settings),
        ...(fluentBit === undefined ? [] : [askRule(fluentBitProgram(fluentBit.place))]),
        ...(asksKube(settings) || falco !== undefined ? [kubeRule()] : []),
      ],
    },
  };
}

function fromNamespace(name: string, port: number): V1NetworkPolicyIngressRule {
  return { _from: [namespaceCalled(name)], ports: [{ protocol: "TCP", port }] };
}

function dnsRule(): V1NetworkPolicyEgressRule {
  return {
    to: [namespaceCalled("kube-system"), { ipBlock: { cidr: nodeLocalDns } }],
    ports: [
      { protocol: "UDP", port: 53 },
      { protocol: "TCP", port: 53 },
    ],
  };
}

/** kube-apiserver, whose address behind its service a policy cannot name: any, at the ports that it has. */
function kubeRule(): V1NetworkPolicyEgressRule {
  return {
    to: peersOf("kubernetes.default.svc"),
    ports: [443, 6443].map((port) => ({ protocol: "TCP", port })),
  };
}

function destinationRule(destination: Endpoint): V1NetworkPolicyEgressRule {
  return { to: peersOf(destination.host), ports: [{ protocol: "TCP", port: destination.port }] };
}

/** Where Fluent Bit ships, it sends records to Falco, too. */
function recordsRules({ falco, falcoRecords, fluentBit }: Settings): V1NetworkPolicyEgressRule[] {
  const areSent = falco !== undefined && fluentBit === undefined && falcoRecords !== undefined;
  return areSent ? [destinationRule(endpointOf(falcoRecords))] : [];
}

/** The networks that were given, else the server's own address, else any: a policy knows no names. */
export function serverPeers(settings: Pick<Settings, "server" | "serverNetworks">): V1NetworkPolicyPeer[] {
  if (settings.serverNetworks.length > 0) {
    return settings.serverNetworks.map((cidr) => ({ ipBlock: { cidr } }));
  }
  return peersOf(settings.server.host);
}

function peersOf(host: string): V1NetworkPolicyPeer[] {
  if (host.includes(":")) return [{ ipBlock: { cidr: `${host}/128` } }];
  if (/^\d+\.\d+\.\d+\.\d+$/.test(host)) return [{ ipBlock: { cidr: `${host}/32` } }];
  return [
    { ipBlock: { cidr: "0.0.0.0/0", except: [linkLocal.v4] } },
    { ipBlock: { cidr: "::/0", except: [linkLocal.v6] } },
  ];
}

function namespaceCalled(name: string): V1NetworkPolicyPeer {
  return { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": name } } };
}
