import type { KubernetesObject, V1Service } from "@kubernetes/client-node";
import { metaOf } from "./meta.ts";
import { metricsPort, objectNames, podLabels, type Settings } from "./settings.ts";

/** What Prometheus Operator scrapes, as far as we use it; its CRD brings no types of its own. */
export interface ServiceMonitor extends KubernetesObject {
  readonly spec: {
    readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
    readonly endpoints: readonly {
      readonly port: string;
      readonly path: string;
      readonly interval: string;
    }[];
  };
}

/** A Service without an address, because a ServiceMonitor finds pods by one. */
export function metricsService(settings: Settings): V1Service {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: metaOf(settings, objectNames.agent),
    spec: {
      clusterIP: "None",
      selector: { ...podLabels },
      // An agent that is not enrolled yet has metrics too.
      publishNotReadyAddresses: true,
      ports: [{ name: "metrics", port: metricsPort, protocol: "TCP", targetPort: "metrics" }],
    },
  };
}

/** Only for clusters that know the kind. */
export function serviceMonitorOf(settings: Settings): ServiceMonitor {
  return {
    apiVersion: "monitoring.coreos.com/v1",
    kind: "ServiceMonitor",
    metadata: metaOf(settings, objectNames.agent),
    spec: {
      selector: { matchLabels: { ...podLabels } },
      endpoints: [{ port: "metrics", path: "/api/v2/metrics/prometheus", interval: "30s" }],
    },
  };
}
