import type { CoreV1Event, V1Pod } from "@kubernetes/client-node";

/** What keeps an agent's pod from running. */
export interface PodTrouble {
  readonly pod: string;
  readonly node: string;
  /** In the words of Kubernetes. */
  readonly reason: string;
  readonly message: string;
  readonly next: string;
}

interface Place {
  readonly pod: string;
  readonly node: string;
  /** kubectl, led to the cluster and the namespace. */
  readonly kubectl: string;
}

const again = "then run the same command again";
const image = () => "Check the name of the image, and that the nodes may pull it: --image NAME@sha256:DIGEST";
const runtime = ({ node }: Place) =>
  `The container runtime of ${node} refused the container, in the words above: mend there what they name, ${again}`;
/** Reasons that do not pass by waiting a little longer. */
const final: Readonly<Record<string, (place: Place) => string>> = {
  ImagePullBackOff: image,
  InvalidImageName: image,
  ErrImageNeverPull: image,
  CreateContainerConfigError: ({ kubectl, pod }) =>
    `${kubectl} describe pod ${pod}   shows which object is missing; run the same command again to apply it`,
  CreateContainerError: runtime,
  RunContainerError: runtime,
  CrashLoopBackOff: ({ kubectl, pod }) =>
    `${kubectl} logs ${pod} --previous   is all that the agent said; its last line begins with a code that docs/errors.md explains`,
};

/** The trouble of a pod that waiting will not mend; undefined while there is hope. */
export function troubleOf(pod: V1Pod, kubectl: string): PodTrouble | undefined {
  const place = { pod: pod.metadata?.name ?? "", node: pod.spec?.nodeName ?? "no node" };
  for (const { state, lastState } of pod.status?.containerStatuses ?? []) {
    const { reason = "", message = "" } = state?.waiting ?? {};
    const next = final[reason]?.({ ...place, kubectl });
    const exit = lastState?.terminated?.exitCode;
    const ended = exit === undefined ? "" : ` (its last run ended with code ${exit})`;
    if (next !== undefined) return { ...place, reason, message: `${message}${ended}`, next };
  }
  return undefined;
}

/** The last refusal to make pods at all, of the events of their DaemonSet. */
export function refusedPods(events: readonly CoreV1Event[]): CoreV1Event | undefined {
  return events.findLast(({ reason }) => reason === "FailedCreate");
}

/** One line for each pod, for waiting people. */
export function podStanding(pods: readonly V1Pod[], wanted: number): string {
  if (pods.length === 0) return `no pod of ${wanted} yet`;
  const words = pods.map(({ metadata, spec, status }) => {
    const waiting = status?.containerStatuses?.find(({ state }) => state?.waiting !== undefined)?.state
      ?.waiting;
    return `${spec?.nodeName ?? metadata?.name}: ${waiting?.reason ?? status?.phase ?? "unknown"}`;
  });
  return words.join(", ");
}

/** Whether a pod's containers run. Ready comes later: it means enrolled. */
export function runs(pod: V1Pod): boolean {
  const statuses = pod.status?.containerStatuses ?? [];
  return statuses.length > 0 && statuses.every(({ state }) => state?.running !== undefined);
}

/** Events as lines; what is repeated is told once, with how often. */
export function eventLines(events: readonly CoreV1Event[]): string[] {
  return events.slice(-8).map(({ type, reason, message, count }) => {
    const times = (count ?? 1) > 1 ? ` (${count} times)` : "";
    return `${type} ${reason}: ${message}${times}`;
  });
}
