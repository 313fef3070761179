import type { V1DaemonSet } from "@kubernetes/client-node";
import { Failure, refused } from "../failure.ts";
import type { Kube } from "./kube.ts";
import { givenFrom, type Given, type LastingValues } from "./lasting-flags.ts";
import {
  endpointText,
  objectNames,
  ownLabels,
  settingsAnnotation,
  type Endpoint,
  type ResponseGrant,
} from "./plan/settings.ts";
import { shellWord } from "./plan/shell-word.ts";

/** Where an earlier run noted its flags. */
export interface NotedIn {
  /** Of the kubeconfig. */
  readonly context: string;
  readonly namespace: string;
}

/** What is given for good, after what an earlier run was given: nothing here is open any more. */
export interface Lasting {
  /** Undefined means: what kube-apiserver's pod says. */
  readonly auditLog: string | undefined;
  readonly destinations: readonly Endpoint[];
  readonly outputSecret: string | undefined;
  readonly serverNetworks: readonly string[];
  readonly monitoringNamespace: string;
  /** Where Fluent Bit keeps positions, in its pods; undefined for where it is there, or is called as usual. */
  readonly fluentBitData: string | undefined;
  readonly runAsUser: number | undefined;
  /** All agents together. */
  readonly responses: ResponseGrant | undefined;
}

/** What an earlier run noted: nothing without an agent of ours, unknown when it noted nothing, and not seen by who may not look. */
export type Noted = LastingValues | "none there" | "unknown" | "not seen";

const usual = { monitoringNamespace: "monitoring", responsesPerHour: 10 } as const;

/** Reads what an earlier run noted on the DaemonSet: whoever may change that has the nodes already. */
export async function notedSettings(kube: Kube, namespace: string): Promise<Noted> {
  const agent = await kube.find<V1DaemonSet>("apps/v1", "DaemonSet", objectNames.agent, namespace);
  const { labels = {}, annotations = {} } = agent?.metadata ?? {};
  if (agent === undefined || !Object.entries(ownLabels).every(([key, value]) => labels[key] === value)) {
    return "none there";
  }
  const text = annotations[settingsAnnotation];
  if (text === undefined) return "unknown";
  const values = readValues(text);
  if (values === undefined) {
    throw unreadable({ context: kube.context, namespace }, "it is no JSON object of flags");
  }
  return values;
}

/** What is given for good: what a run asks for, else what was noted, else as usual. Throws a failure for notes that cannot be used. */
export function lastingOf(given: Given, noted: Noted, place: NotedIn): Lasting {
  const kept = keptFrom(noted, place);
  const responses = pick(given.responses, kept.responses);
  const perHour = given.responsesPerHour ?? kept.responsesPerHour ?? usual.responsesPerHour;
  return {
    auditLog: pick(given.auditLog, kept.auditLog),
    destinations: pick(given.destinations, kept.destinations) ?? [],
    outputSecret: pick(given.outputSecret, kept.outputSecret),
    serverNetworks: pick(given.serverNetworks, kept.serverNetworks) ?? [],
    monitoringNamespace: given.monitoringNamespace ?? kept.monitoringNamespace ?? usual.monitoringNamespace,
    fluentBitData: pick(given.fluentBitData, kept.fluentBitData),
    runAsUser: pick(given.runAsUser, kept.runAsUser),
    responses: responses === undefined ? undefined : { ...responses, perHour },
  };
}

function pick<T>(given: T | null | undefined, kept: T | null | undefined): T | undefined {
  return (given === undefined ? kept : given) ?? undefined;
}

function keptFrom(noted: Noted, place: NotedIn): Given {
  try {
    return givenFrom(typeof noted === "string" ? {} : noted, place.namespace);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw unreadable(place, error.message);
  }
}

/** The same as flags, for the next run. */
export function valuesOfLasting(lasting: Lasting): LastingValues {
  const { auditLog, destinations, outputSecret, serverNetworks, monitoringNamespace } = lasting;
  const { fluentBitData, runAsUser, responses } = lasting;
  return {
    ...(auditLog === undefined ? {} : { "audit-log": auditLog }),
    ...(destinations.length === 0 ? {} : { destination: destinations.map(endpointText) }),
    ...(outputSecret === undefined ? {} : { "output-secret": outputSecret }),
    ...(serverNetworks.length === 0 ? {} : { "server-network": [...serverNetworks] }),
    ...(monitoringNamespace === usual.monitoringNamespace
      ? {}
      : { "metrics-namespace": monitoringNamespace }),
    ...(responses === undefined
      ? {}
      : {
          "allow-response": [...responses.actions],
          ...(responses.namespaces.length === 0 ? {} : { "response-namespace": [...responses.namespaces] }),
          "responses-per-hour": responses.perHour,
        }),
    ...(fluentBitData === undefined ? {} : { "fluent-bit-data": fluentBitData }),
    ...(runAsUser === undefined ? {} : { "run-as-user": runAsUser }),
  };
}

/** The flags whose values are as an earlier run had them, because this one did not say. */
export function keptFlags(given: Given, lasting: Lasting, noted: Noted): readonly string[] {
  if (typeof noted === "string") return [];
  const asked: Readonly<Record<string, unknown>> = {
    "audit-log": given.auditLog,
    destination: given.destinations,
    "output-secret": given.outputSecret,
    "server-network": given.serverNetworks,
    "metrics-namespace": given.monitoringNamespace,
    "allow-response": given.responses,
    "response-namespace": given.responses,
    "responses-per-hour": given.responsesPerHour,
    "fluent-bit-data": given.fluentBitData,
    "run-as-user": given.runAsUser,
  };
  return Object.entries(valuesOfLasting(lasting)).flatMap(([flag, value]) =>
    asked[flag] === undefined && flag in noted ? [`--${flag} ${[value].flat().join(",")}`] : [],
  );
}

function unreadable({ context, namespace }: NotedIn, why: string): Failure {
  return refused(
    `The DaemonSet ${objectNames.agent} in namespace ${namespace} has an annotation ${settingsAnnotation} that cannot be used: ${why}`,
    `kubectl --context ${shellWord(context)} -n ${namespace} annotate daemonset ${objectNames.agent} ${settingsAnnotation}-   and give all flags again`,
  );
}

const lists = ["destination", "server-network", "allow-response", "response-namespace"];
const texts = ["audit-log", "output-secret", "metrics-namespace", "fluent-bit-data"];
const numbers = ["responses-per-hour", "run-as-user"];
const listMax = 500;

function readValues(text: string): LastingValues | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) return undefined;
  const isSound = Object.entries(json).every(([flag, value]: [string, unknown]) => {
    if (texts.includes(flag)) return typeof value === "string";
    if (numbers.includes(flag)) return Number.isSafeInteger(value) && Number(value) > 0;
    return (
      lists.includes(flag) &&
      Array.isArray(value) &&
      value.length <= listMax &&
      value.every((each) => typeof each === "string")
    );
  });
  return isSound ? json : undefined;
}
