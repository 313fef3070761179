import type { V1ObjectMeta } from "@kubernetes/client-node";
import { clusterAnnotation, labelsBy, podLabels, type Settings } from "./settings.ts";

/** The metadata of a namespaced object of ours. */
export function metaOf(
  settings: Pick<Settings, "cluster" | "managedBy" | "namespace">,
  name: string,
  annotations: Readonly<Record<string, string>> = {},
  namespace: string = settings.namespace,
): V1ObjectMeta {
  return {
    name,
    namespace,
    labels: { ...podLabels, ...labelsBy(settings.managedBy) },
    annotations: { [clusterAnnotation]: settings.cluster, ...annotations },
  };
}
