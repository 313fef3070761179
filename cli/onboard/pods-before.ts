import type { CoreV1Event, V1DaemonSet, V1Pod } from "@kubernetes/client-node";
import type { Kube } from "./kube.ts";
import { refusedPods } from "./plan/pod-trouble.ts";
import { objectNames, podLabels } from "./plan/settings.ts";

const podsMax = 100;

/** The agents' pods of a namespace. */
export function agentPods(kube: Kube, namespace: string): Promise<readonly V1Pod[]> {
  const [[key, value] = ["", ""]] = Object.entries(podLabels);
  return kube.pods(`${key}=${value}`, podsMax, namespace);
}

/** What the cluster tells of an object; without the permission there is just nothing. */
export async function eventsOf(kube: Kube, namespace: string, name: string): Promise<readonly CoreV1Event[]> {
  return kube.events(namespace, name).catch(() => []);
}

/** The pods that were there before anything was applied, and how often nodes had failed to start them. */
export interface PodsBefore {
  /** Which of some pods are of the DaemonSet as it is now: when it was changed, those of before are about to go. */
  ofNow(pods: readonly V1Pod[]): Promise<readonly V1Pod[]>;
  /** Whether a pod's trouble is from before, and its node has not tried again since. */
  isOld(pod: V1Pod): Promise<boolean>;
  /** Why some pods may still be those of before; undefined when the cluster has replaced all of them. */
  rollout(): Promise<string | undefined>;
  /** Whether the DaemonSet was changed, now or by a run that was interrupted, so that every pod of it is another. */
  wereReplaced(): Promise<boolean>;
  /** The last refusal to make a pod at all, and whether it is from before; undefined when there is none. */
  refusal(): Promise<{ readonly message: string; readonly isOld: boolean } | undefined>;
}

/** Remembers the pods that are there, so that a failure of yesterday is not taken for an answer of today. */
export async function rememberPods(kube: Kube, namespace: string): Promise<PodsBefore> {
  const failures = async (pod: V1Pod) => {
    const events = await eventsOf(kube, namespace, pod.metadata?.name ?? "");
    // What a kubelet says while it waits is "BackOff"; each try that comes to nothing is "Failed".
    const failed = events.filter(({ reason }) => reason === "Failed");
    const tries = failed.map(timesOf);
    const restarts = pod.status?.containerStatuses?.map(({ restartCount }) => restartCount) ?? [];
    return [...tries, ...restarts].join(", ");
  };
  const find = () => kube.find<V1DaemonSet>("apps/v1", "DaemonSet", objectNames.agent, namespace);
  const generationOf = async () => (await find())?.metadata?.generation;
  const lastRefusal = async () => refusedPods(await eventsOf(kube, namespace, objectNames.agent));
  const there = await find();
  const generation = there?.metadata?.generation;
  const wasUnfinished = there !== undefined && rolloutStanding(there) !== undefined;
  const refusal = await lastRefusal();
  const known = new Map<string, string>();
  for (const pod of await agentPods(kube, namespace)) known.set(uidOf(pod), await failures(pod));
  return {
    ofNow: async (pods) =>
      (await generationOf()) === generation ? pods : pods.filter((pod) => !known.has(uidOf(pod))),
    isOld: async (pod) => {
      const before = known.get(uidOf(pod));
      return before !== undefined && before === (await failures(pod));
    },
    rollout: async () => {
      const now = await find();
      return now === undefined ? undefined : rolloutStanding(now);
    },
    wereReplaced: async () => wasUnfinished || (await generationOf()) !== generation,
    refusal: async () => {
      const now = await lastRefusal();
      if (now === undefined) return undefined;
      // A controller that was refused tries again later and later: until then nothing changes.
      const isOld =
        refusal !== undefined && refusal.message === now.message && timesOf(refusal) === timesOf(now);
      return { message: now.message ?? "", isOld };
    },
  };
}

/** How far the cluster is with replacing the pods of a DaemonSet; undefined when it is through. */
export function rolloutStanding({ metadata, status }: V1DaemonSet): string | undefined {
  const { observedGeneration = 0, updatedNumberScheduled = 0, desiredNumberScheduled = 0 } = status ?? {};
  if (observedGeneration < (metadata?.generation ?? 0)) return "the cluster has not seen the change yet";
  if (updatedNumberScheduled >= desiredNumberScheduled) return undefined;
  return `pods replaced: ${updatedNumberScheduled} of ${desiredNumberScheduled}`;
}

/** When something was told last, and how often. */
function timesOf({ lastTimestamp, count }: CoreV1Event): string {
  return `${lastTimestamp?.toISOString()} ${count}`;
}

function uidOf({ metadata }: V1Pod): string {
  return metadata?.uid ?? "";
}
