import type { RequestKind } from "./coverage.ts";

const read = "get list watch";
const write = "create update patch delete deletecollection";
const all = `${read} ${write}`;
const status = "get update patch";

/** What the Kubernetes API serves, as "resource[/subresource] verbs"; those of add-ons come from the events. */
const served: readonly (readonly [resources: string, verbs: string])[] = [
  ["pods services configmaps secrets serviceaccounts namespaces endpoints events limitranges", all],
  ["resourcequotas replicationcontrollers persistentvolumeclaims persistentvolumes nodes podtemplates", all],
  ["deployments daemonsets statefulsets replicasets controllerrevisions jobs cronjobs", all],
  ["horizontalpodautoscalers poddisruptionbudgets priorityclasses runtimeclasses leases", all],
  ["ingresses ingressclasses networkpolicies endpointslices ipaddresses servicecidrs", all],
  ["roles rolebindings clusterroles clusterrolebindings certificatesigningrequests", all],
  ["storageclasses csidrivers csinodes csistoragecapacities volumeattachments", all],
  ["mutatingwebhookconfigurations validatingwebhookconfigurations", all],
  ["validatingadmissionpolicies validatingadmissionpolicybindings", all],
  ["mutatingadmissionpolicies mutatingadmissionpolicybindings", all],
  ["customresourcedefinitions apiservices flowschemas prioritylevelconfigurations", all],
  ["resourceclaims resourceclaimtemplates deviceclasses resourceslices", all],
  ["pods/status nodes/status namespaces/status services/status deployments/status", status],
  ["pods/exec pods/attach pods/portforward", "get create"],
  ["pods/proxy services/proxy nodes/proxy", "get create update patch delete"],
  ["pods/log", "get"],
  ["pods/ephemeralcontainers pods/resize", "get update patch"],
  ["pods/eviction pods/binding serviceaccounts/token", "create"],
  ["namespaces/finalize", "update"],
  ["certificatesigningrequests/approval certificatesigningrequests/status", status],
  ["deployments/scale statefulsets/scale replicasets/scale", status],
  ["tokenreviews subjectaccessreviews selfsubjectaccessreviews selfsubjectrulesreviews", "create"],
  ["localsubjectaccessreviews selfsubjectreviews", "create"],
];

/** Every kind of request that a Kubernetes API without add-ons answers. */
export function servedRequests(): readonly RequestKind[] {
  return served.flatMap(([resources, verbs]) =>
    resources.split(" ").flatMap((name) => {
      const [resource = "", subresource = ""] = name.split("/");
      return verbs.split(" ").map((verb) => ({ verb, resource, subresource }));
    }),
  );
}
