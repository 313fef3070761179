import type { KubernetesObject } from "@kubernetes/client-node";
import { Failure } from "../failure.ts";
import { countOf } from "../output/text.ts";
import type { Kube } from "./kube.ts";

/** "DaemonSet falconry-agent". */
export function objectText({ kind, metadata }: KubernetesObject): string {
  return `${kind} ${metadata?.name}`;
}

/** Applies the objects one after another. A refusal names the object, and what was applied before it stays. */
export async function applyAll(kube: Kube, manifests: readonly KubernetesObject[]): Promise<string> {
  for (const manifest of manifests) {
    try {
      await kube.apply(manifest);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      throw new Failure(error.exitCode, `${objectText(manifest)}: ${error.message}`, error.next, error);
    }
  }
  return countOf(manifests.length, "object");
}
