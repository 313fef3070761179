import type { V1Container, V1PodSpec } from "@kubernetes/client-node";

const volumeKinds = [
  "configMap",
  "csi",
  "downwardAPI",
  "emptyDir",
  "ephemeral",
  "persistentVolumeClaim",
  "projected",
  "secret",
];

/**
 * What a pod does that the pod security standard `restricted` forbids, in its words: kubernetes.io/docs/concepts/security/
 * pod-security-standards. Controls of what this project never uses (Windows, SELinux users, sysctls, AppArmor) say so when
 * they are used at all.
 */
export function restrictedViolations(spec: V1PodSpec): readonly string[] {
  const containers = [
    ...spec.containers,
    ...(spec.initContainers ?? []),
    ...((spec.ephemeralContainers ?? []) as V1Container[]),
  ];
  return [...podViolations(spec), ...containers.flatMap((each) => containerViolations(each, spec))].sort();
}

function podViolations(spec: V1PodSpec): string[] {
  const volumes = (spec.volumes ?? []).flatMap(({ name, ...source }) => {
    const kind = Object.keys(source)[0] ?? "none";
    return volumeKinds.includes(kind) ? [] : [`volume ${name}: ${kind}`];
  });
  const { sysctls, seLinuxOptions, windowsOptions, appArmorProfile } = spec.securityContext ?? {};
  return [
    ...volumes,
    ...(spec.hostNetwork === true ? ["hostNetwork"] : []),
    ...(spec.hostPID === true ? ["hostPID"] : []),
    ...(spec.hostIPC === true ? ["hostIPC"] : []),
    ...([sysctls, seLinuxOptions, windowsOptions, appArmorProfile].some((each) => each !== undefined)
      ? ["a field that is not judged here"]
      : []),
  ];
}

function containerViolations(container: V1Container, pod: V1PodSpec): string[] {
  const own = container.securityContext ?? {};
  const isNonRoot = own.runAsNonRoot ?? pod.securityContext?.runAsNonRoot ?? false;
  const user = own.runAsUser ?? pod.securityContext?.runAsUser;
  const seccomp = (own.seccompProfile ?? pod.securityContext?.seccompProfile)?.type;
  const added = (own.capabilities?.add ?? []).filter((name) => name !== "NET_BIND_SERVICE");
  const found = {
    privileged: own.privileged === true,
    "allowPrivilegeEscalation is not false": own.allowPrivilegeEscalation !== false,
    "runAsNonRoot is not true": !isNonRoot,
    "runAsUser 0": user === 0,
    "seccompProfile is neither RuntimeDefault nor Localhost":
      seccomp !== "RuntimeDefault" && seccomp !== "Localhost",
    "capabilities are not dropped": !(own.capabilities?.drop ?? []).includes("ALL"),
    "capabilities are added": added.length > 0,
    procMount: own.procMount !== undefined && own.procMount !== "Default",
    hostPort: (container.ports ?? []).some(({ hostPort }) => (hostPort ?? 0) !== 0),
  };
  return Object.entries(found).flatMap(([what, is]) => (is ? [`container ${container.name}: ${what}`] : []));
}
