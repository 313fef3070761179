import type { Decision } from "../domain/response.ts";
import type { KubePort } from "./kube.ts";

/** How an action ended. `skipped`: there was nothing left to do it to. */
export type Ended = { readonly outcome: "done" | "skipped" | "failed"; readonly why: string };

export interface ExecutePorts {
  /** Undefined where the agent was given no way to kube-apiserver. */
  readonly kube: KubePort | undefined;
  /** Sends a webhook; rejects when it was not taken. */
  readonly webhook: (url: string, body: object) => Promise<void>;
  readonly cluster: { readonly id: string; readonly name: string };
}

/** Says which response a pod was marked by. */
export const responseLabel = "falconry/response";
/** Marks the pods that may talk to nobody. */
export const isolatedLabel = ["falconry/isolated", "true"] as const;

/** Does what was decided, once. Never throws: what goes wrong is how it ended. */
export async function execute(decision: Decision, ports: ExecutePorts): Promise<Ended> {
  try {
    return await act(decision, ports);
  } catch (error) {
    const { message, cause } = error as Error;
    const why = cause instanceof Error && cause.message !== "" ? `${message}: ${cause.message}` : message;
    return { outcome: "failed", why: why.slice(0, 500) };
  }
}

async function act(decision: Decision, { kube, webhook, cluster }: ExecutePorts): Promise<Ended> {
  const { action, namespace, pod: name, policy } = decision;
  if (action === "webhook") {
    const { url = "", rule, alertId, rulesDigest } = decision;
    const shown = { response: policy, rule, alertId, namespace, pod: name, rulesDigest };
    await webhook(url, { cluster: cluster.name, clusterId: cluster.id, ...shown });
    return done;
  }
  if (kube === undefined) return { outcome: "failed", why: "the agent has no access to kube-apiserver" };
  const pod = await kube.pod(namespace, name);
  if (pod === undefined) return skipped("the pod is gone");
  // Seconds are all that kube-apiserver tells: a pod of the same second may be the one that the event was about.
  if (pod.createdMs > decision.eventMs) return skipped("the pod of this name was made after the event");
  switch (action) {
    case "label":
      await kube.label(namespace, name, pod.uid, { [responseLabel]: policy });
      return done;
    case "isolate":
      // First the policy: a pod that is marked is closed off from that moment on.
      await kube.closeOff(namespace, isolatedLabel);
      await kube.label(namespace, name, pod.uid, {
        [isolatedLabel[0]]: isolatedLabel[1],
        [responseLabel]: policy,
      });
      return done;
    case "delete-pod":
      if (pod.isMirror) return skipped("a static pod is its node's, and deleting it does nothing");
      await kube.remove(namespace, name, pod.uid);
      return done;
  }
}

const done: Ended = { outcome: "done", why: "" };
const skipped = (why: string): Ended => ({ outcome: "skipped", why });
