import type {
  KubernetesObject,
  V1Namespace,
  V1PodDisruptionBudget,
  V1Secret,
  V1ServiceAccount,
} from "@kubernetes/client-node";
import { configMapOf } from "./config-map.ts";
import { daemonSetOf } from "./daemon-set.ts";
import { falcoObjects } from "./falco.ts";
import { metaOf } from "./meta.ts";
import { metricsService, serviceMonitorOf } from "./monitoring.ts";
import { networkPolicyOf } from "./network-policy.ts";
import { responseRoles } from "./response.ts";
import { clusterAnnotation, labelsBy, objectNames, podLabels, type Settings } from "./settings.ts";

/**
 * The objects that make up an agent in a cluster, in the order to apply them: what a pod needs comes before the
 * DaemonSet, and the policy that limits it comes before it runs. There is a Role only where agents write rules for Falco or respond to alerts: else
 * they ask nothing of kube-apiserver and are given no token for it; the one that they may join by is for the fleet, and no good
 * there.
 */
export function manifestsOf(settings: Settings): readonly KubernetesObject[] {
  return [
    ...(settings.ownsNamespace ? [namespaceOf(settings)] : []),
    serviceAccountOf(settings),
    ...secretsOf(settings),
    configMapOf(settings),
    ...falcoObjects(settings),
    ...responseRoles(settings),
    networkPolicyOf(settings),
    daemonSetOf(settings),
    budgetOf(settings),
    ...(settings.monitoringNamespace === undefined || settings.leavesMonitor === true
      ? []
      : [metricsService(settings), serviceMonitorOf(settings)]),
  ];
}

/** Pods here need directories of the node, which Kubernetes' profiles below `privileged` do not let anybody have. */
function namespaceOf(settings: Settings): V1Namespace {
  return {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: {
      name: settings.namespace,
      labels: {
        ...podLabels,
        ...labelsBy(settings.managedBy),
        "pod-security.kubernetes.io/enforce": "privileged",
      },
      annotations: { [clusterAnnotation]: settings.cluster },
    },
  };
}

function serviceAccountOf(settings: Settings): V1ServiceAccount {
  return {
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: metaOf(settings, objectNames.agent),
    automountServiceAccountToken: false,
  };
}

function secretsOf(settings: Settings): readonly V1Secret[] {
  const { join } = settings;
  if (join.kind === "kubernetes" || join.joinString === undefined) return [];
  return [
    {
      apiVersion: "v1",
      kind: "Secret",
      metadata: metaOf(settings, objectNames.join),
      type: "Opaque",
      data: { join: Buffer.from(join.joinString).toString("base64") },
    },
  ];
}

/** All nodes but one; a number, because a budget cannot ask a DaemonSet for its size. */
function budgetOf(settings: Settings): V1PodDisruptionBudget {
  return {
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    metadata: metaOf(settings, objectNames.agent),
    spec: {
      minAvailable: Math.max(1, settings.controlPlaneNodes - 1),
      selector: { matchLabels: { ...podLabels } },
    },
  };
}
