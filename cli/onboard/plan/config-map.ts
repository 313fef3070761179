import type { V1ConfigMap } from "@kubernetes/client-node";
import { metaOf } from "./meta.ts";
import { auditLogRead, metricsPort, objectNames, places, type Settings } from "./settings.ts";

/** What no signature can widen: which files a shipper config may read on the nodes, and where it may send. */
export function configMapOf(settings: Settings): V1ConfigMap {
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: metaOf(settings, objectNames.config),
    data: { "allow.json": `${allowListText(settings)}\n` },
  };
}

/** The agent's allow-list as its file holds it. */
export function allowListText(settings: Settings): string {
  const { destinations, monitoringNamespace, outputSecret, responses } = settings;
  const read = auditLogRead(settings);
  return JSON.stringify({
    tailDirectories: [read.slice(0, read.lastIndexOf("/"))],
    destinations: destinations.map(({ host, port }) => ({ host, port, tls: "required" })),
    listen: monitoringNamespace === undefined ? [] : [{ host: "0.0.0.0", port: metricsPort }],
    ...(outputSecret === undefined ? {} : { secretDirectories: [places.secrets] }),
    ...(responses === undefined ? {} : { responses }),
  });
}
