import type {
  V1Container,
  V1ContainerPort,
  V1DaemonSet,
  V1EnvVar,
  V1NodeAffinity,
  V1PodSpec,
  V1SecurityContext,
  V1Toleration,
  V1Volume,
  V1VolumeMount,
} from "@kubernetes/client-node";
import { allowListText } from "./config-map.ts";
import { falcoEnv, falcoPorts, falcoVolumes } from "./falco.ts";
import { fluentBitEnv } from "./fluent-bit.ts";
import { metaOf } from "./meta.ts";
import { asksKube, kubeVolume, kubeVolumeOf } from "./response.ts";
import {
  auditLogRead,
  clusterAnnotation,
  metricsPort,
  objectNames,
  labelsBy,
  places,
  podLabels,
  settingsAnnotation,
} from "./settings.ts";
import type { JoinKind, Settings } from "./settings.ts";

/** Labels by which distributions mark their control-plane nodes; the second one until Kubernetes 1.23. */
export const controlPlaneLabels = [
  "node-role.kubernetes.io/control-plane",
  "node-role.kubernetes.io/master",
] as const;

/** A restart of pods is needed when this changes: agents read their allow-list once. */
const allowListAnnotation = "falconry/allow-list";

const joinVolume = "join";
const secretsVolume = "secrets";
const tokenFile = "token";
/** The least that Kubernetes makes: a token that is copied is of use for no longer. The kubelet renews it in time. */
const tokenSeconds = 600;

/** As far as it decides on which nodes agents run. */
export const agentPlacement: V1DaemonSet = {
  spec: { selector: {}, template: { spec: { ...placement(), containers: [] } } },
};

/** One agent on each control-plane node. */
export function daemonSetOf(settings: Settings): V1DaemonSet {
  return {
    apiVersion: "apps/v1",
    kind: "DaemonSet",
    metadata: metaOf(
      settings,
      objectNames.agent,
      settings.noted === undefined ? {} : { [settingsAnnotation]: settings.noted },
    ),
    spec: {
      selector: { matchLabels: { ...podLabels } },
      // Never two agents on one node: they would share a state directory.
      updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } },
      template: {
        metadata: {
          labels: { ...podLabels, ...labelsBy(settings.managedBy) },
          annotations: {
            [clusterAnnotation]: settings.cluster,
            [allowListAnnotation]: allowListText(settings),
          },
        },
        spec: podSpecOf(settings),
      },
    },
  };
}

function podSpecOf(settings: Settings): V1PodSpec {
  return {
    serviceAccountName: objectNames.agent,
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    priorityClassName: "system-node-critical",
    // On SIGTERM an agent delivers what it can; the rest stays on its disk.
    terminationGracePeriodSeconds: 60,
    ...placement(),
    securityContext: {
      seccompProfile: { type: "RuntimeDefault" },
      // Lets another user than root read the join string; directories of the node stay as they are.
      ...(settings.runAsUser === undefined ? {} : { fsGroup: settings.runAsUser }),
    },
    containers: [containerOf(settings)],
    volumes: volumesOf(settings),
  };
}

function placement(): Pick<V1PodSpec, "affinity" | "tolerations"> {
  return { affinity: { nodeAffinity: onControlPlane() }, tolerations: tolerations() };
}

function onControlPlane(): V1NodeAffinity {
  return {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: controlPlaneLabels.map((key) => ({
        matchExpressions: [{ key, operator: "Exists" }],
      })),
    },
  };
}

function tolerations(): V1Toleration[] {
  return [
    ...controlPlaneLabels.map((key) => ({ key, operator: "Exists", effect: "NoSchedule" })),
    { key: "node-role.kubernetes.io/etcd", operator: "Exists" },
    { key: "CriticalAddonsOnly", operator: "Exists" },
  ];
}

function containerOf(settings: Settings): V1Container {
  return {
    name: "agent",
    image: settings.image,
    imagePullPolicy: "IfNotPresent",
    command: ["node", places.program],
    env: envOf(settings),
    ports: portsOf(settings),
    // No limit on CPU: a throttled agent falls behind, and its rules with it.
    resources: { requests: { cpu: "100m", memory: "384Mi" }, limits: { memory: "1Gi" } },
    securityContext: securityOf(settings),
    volumeMounts: [...mounts(settings), ...falcoVolumes(settings).mounts],
    // Ready means enrolled. There is no liveness probe: see decision 0046.
    readinessProbe: {
      exec: { command: ["test", "-s", `${places.state}/identity/identity.json`] },
      initialDelaySeconds: 2,
      periodSeconds: 10,
      timeoutSeconds: 5,
      failureThreshold: 3,
    },
  };
}

function portsOf({ falco }: Settings): V1ContainerPort[] {
  const alerts: V1ContainerPort = { name: "alerts", containerPort: falcoPorts.alerts, protocol: "TCP" };
  return [
    { name: "metrics", containerPort: metricsPort, protocol: "TCP" },
    ...(falco === undefined ? [] : [alerts]),
  ];
}

/**
 * Root has no power here but to be the owner of root's files, because every capability is dropped: that is what reading
 * an audit log of mode 0600 takes. Another user has to be let at the log and at the state directory by the node.
 */
function securityOf({ runAsUser }: Settings): V1SecurityContext {
  const user =
    runAsUser === undefined ? { runAsUser: 0, runAsGroup: 0 } : { runAsUser, runAsGroup: runAsUser };
  return {
    ...user,
    runAsNonRoot: runAsUser !== undefined,
    privileged: false,
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ["ALL"] },
    seccompProfile: { type: "RuntimeDefault" },
  };
}

function envOf(settings: Settings): V1EnvVar[] {
  return [
    { name: "FALCONRY_STATE_DIR", value: places.state },
    ...joinEnvOf(settings),
    ...(asksKube(settings) ? [{ name: "FALCONRY_KUBE_DIR", value: places.kube }] : []),
    { name: "FALCONRY_ALLOW_FILE", value: `${places.config}/allow.json` },
    { name: "FALCONRY_CLUSTER", value: settings.cluster },
    { name: "FALCONRY_CLUSTER_UID", value: settings.clusterUid },
    { name: "FALCONRY_NODE", valueFrom: { fieldRef: { apiVersion: "v1", fieldPath: "spec.nodeName" } } },
    { name: "FALCONRY_VAR_AUDIT_LOG", value: auditLogRead(settings) },
    ...falcoEnv(settings),
    ...fluentBitEnv(settings),
  ];
}

function joinEnvOf({ join }: Settings): V1EnvVar[] {
  if (join.kind === "token") return [{ name: "FALCONRY_JOIN_FILE", value: `${places.join}/join` }];
  return [
    { name: "FALCONRY_JOIN", value: join.address },
    { name: "FALCONRY_SERVICE_ACCOUNT_TOKEN_FILE", value: `${places.join}/${tokenFile}` },
  ];
}

function mounts(settings: Settings): V1VolumeMount[] {
  return [
    { name: "state", mountPath: places.state },
    { name: "audit", mountPath: places.audit, readOnly: true },
    { name: joinVolume, mountPath: places.join, readOnly: true },
    { name: "config", mountPath: places.config, readOnly: true },
    ...(asksKube(settings) ? [{ name: kubeVolume, mountPath: places.kube, readOnly: true }] : []),
    ...(settings.outputSecret === undefined
      ? []
      : [{ name: secretsVolume, mountPath: places.secrets, readOnly: true }]),
    { name: "temporary", mountPath: places.temporary },
  ];
}

function volumesOf(settings: Settings): V1Volume[] {
  const auditDirectory = settings.auditLog.slice(0, settings.auditLog.lastIndexOf("/"));
  return [
    { name: "state", hostPath: { path: places.state, type: "DirectoryOrCreate" } },
    // The directory and not the file: a log that is rotated is another file under the same name.
    { name: "audit", hostPath: { path: auditDirectory, type: "Directory" } },
    joinVolumeOf(settings),
    { name: "config", configMap: { name: objectNames.config } },
    ...(asksKube(settings) ? [kubeVolumeOf()] : []),
    ...outputSecretOf(settings),
    { name: "temporary", emptyDir: { sizeLimit: "64Mi" } },
    ...falcoVolumes(settings).volumes,
  ];
}

/** Optional: an agent without it reads on and tells which output cannot send, and one that cannot start sees nothing. */
function outputSecretOf({ outputSecret }: Settings): V1Volume[] {
  if (outputSecret === undefined) return [];
  return [{ name: secretsVolume, secret: { secretName: outputSecret, optional: true, defaultMode: 0o440 } }];
}

function joinVolumeOf({ join }: Settings): V1Volume {
  if (join.kind === "token") {
    // Enrolled agents need no join string, and its Secret may have been deleted for good reason.
    return {
      name: joinVolume,
      secret: { secretName: objectNames.join, optional: true, defaultMode: 0o440 },
    };
  }
  const serviceAccountToken = {
    audience: join.audience,
    expirationSeconds: tokenSeconds,
    path: tokenFile,
  };
  return { name: joinVolume, projected: { defaultMode: 0o440, sources: [{ serviceAccountToken }] } };
}

/** How the agents of a DaemonSet join. */
export function joinKindOf(daemonSet: V1DaemonSet): JoinKind {
  const volumes = daemonSet.spec?.template.spec?.volumes ?? [];
  const isProjected = volumes.some(({ name, projected }) => name === joinVolume && projected !== undefined);
  return isProjected ? "kubernetes" : "token";
}
