import type {
  KubernetesObject,
  V1DaemonSet,
  V1EnvVar,
  V1Service,
  V1Volume,
  V1VolumeMount,
} from "@kubernetes/client-node";
import { fluentBitNote, fluentBitProgram } from "./fluent-bit.ts";
import { metaOf } from "./meta.ts";
import { placesText, programObjects, readPlaces, settingOf, type Program } from "./program.ts";
import { objectNames, podLabels } from "./settings.ts";
import type { ProgramPlace, Settings } from "./settings.ts";

/** Where Falco serves its metrics, and where agents take its alerts. */
export const falcoPorts = { web: 8765, alerts: 2801 } as const;

/** Names of what is made in Falco's namespace; the agent's role has the agent's name. */
export const falcoNames = {
  rules: "falconry-falco-rules",
  service: "falconry-falco",
  alerts: "falconry-alerts",
} as const;

/** Says where Falco is and was, on what is removed last. */
const falcoAnnotation = "falconry/falco";
const apiVolume = "api";
const apiPath = "/var/run/secrets/kubernetes.io/serviceaccount";
const rulesSetting = "FALCONRY_FALCO_CONFIGMAP";
const daemonSetSetting = "FALCONRY_FALCO_DAEMONSET";
const recordsSetting = "FALCONRY_FALCO_RECORDS_URL";

export function falcoProgram(place: ProgramPlace): Program {
  return {
    place,
    holds: { kind: "ConfigMap", resource: "configmaps" },
    object: falcoNames.rules,
    role: objectNames.agent,
    service: falcoNames.service,
    port: falcoPorts.web,
    usualLabels: { "app.kubernetes.io/name": "falco" },
  };
}

/** What lets the agents write rules for the Falcos of a DaemonSet, look at them, and take their alerts. */
export function falcoObjects(settings: Settings): readonly KubernetesObject[] {
  const { falco, fluentBit } = settings;
  if (falco === undefined) return [];
  return [
    ...programObjects(settings, falcoProgram(falco)),
    ...(fluentBit === undefined ? [] : programObjects(settings, fluentBitProgram(fluentBit.place))),
    alertsService(settings, falco),
  ];
}

function alertsService(settings: Settings, falco: ProgramPlace): V1Service {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: metaOf(settings, falcoNames.alerts, {
      [falcoAnnotation]: placesText(falco, settings.before?.falco ?? []),
      ...fluentBitNote(settings),
    }),
    spec: {
      selector: { ...podLabels },
      ports: [{ name: "alerts", port: falcoPorts.alerts, protocol: "TCP", targetPort: falcoPorts.alerts }],
    },
  };
}

/** What the agents' environment says about Falco. */
export function falcoEnv({ falco, falcoRecords }: Settings): readonly V1EnvVar[] {
  if (falco === undefined) return [];
  return [
    { name: "FALCONRY_RULES_DRIVER", value: "falco" },
    { name: rulesSetting, value: `${falco.namespace}/${falcoNames.rules}` },
    { name: daemonSetSetting, value: falco.daemonSet },
    { name: "FALCONRY_FALCO_ALERTS_LISTEN", value: `0.0.0.0:${falcoPorts.alerts}` },
    ...(falcoRecords === undefined ? [] : [{ name: recordsSetting, value: falcoRecords }]),
  ];
}

/** The token of kube-apiserver, which only agents with a Role are given. */
export function falcoVolumes({ falco }: Settings): {
  readonly mounts: readonly V1VolumeMount[];
  readonly volumes: readonly V1Volume[];
} {
  if (falco === undefined) return { mounts: [], volumes: [] };
  const sources = [
    { serviceAccountToken: { expirationSeconds: 3600, path: "token" } },
    { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
  ];
  return {
    mounts: [{ name: apiVolume, mountPath: apiPath, readOnly: true }],
    volumes: [{ name: apiVolume, projected: { defaultMode: 0o440, sources } }],
  };
}

/** The Falcos that onboarding made something for, the last first, as what is removed last says. */
export function falcosNoted({ metadata }: V1Service): readonly ProgramPlace[] {
  return readPlaces(metadata?.annotations?.[falcoAnnotation]);
}

/** Where the agents that are there have records sent for Falco's rules. */
export function falcoRecordsOf(daemonSet: V1DaemonSet): string | undefined {
  return settingOf(daemonSet, recordsSetting);
}

/** The Falco of the agents that are there; undefined when they run rules themselves. */
export function falcoOf(daemonSet: V1DaemonSet): ProgramPlace | undefined {
  const namespace = settingOf(daemonSet, rulesSetting)?.split("/")[0];
  const named = settingOf(daemonSet, daemonSetSetting);
  return namespace === undefined || named === undefined ? undefined : { namespace, daemonSet: named };
}
