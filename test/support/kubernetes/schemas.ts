/** An error of a compiled schema, as ajv gives it. */
export interface ErrorObject {
  readonly instancePath: string;
  readonly keyword: string;
  readonly params: object;
}

type Validate = ((data: unknown) => boolean) & { errors?: readonly ErrorObject[] | null };

/** The schema of a kind: its compiled validator, and the client's model with the same fields. */
export interface Schema {
  readonly load: () => Promise<Validate>;
  /** Undefined for a custom resource. */
  readonly model: string | undefined;
}

const from = (load: () => Promise<unknown>, model: string): Schema => ({
  load: async () => ((await load()) as { validate: Validate }).validate,
  model,
});

/** By `apiVersion/kind`. */
export const schemas: Readonly<Record<string, Schema | undefined>> = {
  "v1/Namespace": from(() => import("kubernetes-models/_schemas/IoK8sApiCoreV1Namespace"), "V1Namespace"),
  "v1/Node": from(() => import("kubernetes-models/_schemas/IoK8sApiCoreV1Node"), "V1Node"),
  "v1/Pod": from(() => import("kubernetes-models/_schemas/IoK8sApiCoreV1Pod"), "V1Pod"),
  "v1/Secret": from(() => import("kubernetes-models/_schemas/IoK8sApiCoreV1Secret"), "V1Secret"),
  "v1/Service": from(() => import("kubernetes-models/_schemas/IoK8sApiCoreV1Service"), "V1Service"),
  "v1/ConfigMap": from(() => import("kubernetes-models/_schemas/IoK8sApiCoreV1ConfigMap"), "V1ConfigMap"),
  "v1/Event": from(() => import("kubernetes-models/_schemas/IoK8sApiCoreV1Event"), "CoreV1Event"),
  "v1/ServiceAccount": from(
    () => import("kubernetes-models/_schemas/IoK8sApiCoreV1ServiceAccount"),
    "V1ServiceAccount",
  ),
  "apps/v1/DaemonSet": from(
    () => import("kubernetes-models/_schemas/IoK8sApiAppsV1DaemonSet"),
    "V1DaemonSet",
  ),
  "apps/v1/StatefulSet": from(
    () => import("kubernetes-models/_schemas/IoK8sApiAppsV1StatefulSet"),
    "V1StatefulSet",
  ),
  "coordination.k8s.io/v1/Lease": from(
    () => import("kubernetes-models/_schemas/IoK8sApiCoordinationV1Lease"),
    "V1Lease",
  ),
  "rbac.authorization.k8s.io/v1/Role": from(
    () => import("kubernetes-models/_schemas/IoK8sApiRbacV1Role"),
    "V1Role",
  ),
  "rbac.authorization.k8s.io/v1/RoleBinding": from(
    () => import("kubernetes-models/_schemas/IoK8sApiRbacV1RoleBinding"),
    "V1RoleBinding",
  ),
  "batch/v1/Job": from(() => import("kubernetes-models/_schemas/IoK8sApiBatchV1Job"), "V1Job"),
  "policy/v1/PodDisruptionBudget": from(
    () => import("kubernetes-models/_schemas/IoK8sApiPolicyV1PodDisruptionBudget"),
    "V1PodDisruptionBudget",
  ),
  "networking.k8s.io/v1/NetworkPolicy": from(
    () => import("kubernetes-models/_schemas/IoK8sApiNetworkingV1NetworkPolicy"),
    "V1NetworkPolicy",
  ),
  "authorization.k8s.io/v1/SelfSubjectAccessReview": from(
    () => import("kubernetes-models/_schemas/IoK8sApiAuthorizationV1SelfSubjectAccessReview"),
    "V1SelfSubjectAccessReview",
  ),
  "authentication.k8s.io/v1/TokenRequest": from(
    () => import("kubernetes-models/_schemas/IoK8sApiAuthenticationV1TokenRequest"),
    "AuthenticationV1TokenRequest",
  ),
  "monitoring.coreos.com/v1/ServiceMonitor": { load: async () => isServiceMonitor, model: undefined },
};

/** What the CRD of Prometheus Operator asks for, as far as anything here has it. */
const isServiceMonitor: Validate = (data) => {
  const { spec } = data as { spec?: { selector?: unknown; endpoints?: unknown } };
  const missing = [
    ...(typeof spec?.selector === "object" ? [] : ["selector"]),
    ...(Array.isArray(spec?.endpoints) ? [] : ["endpoints"]),
  ];
  isServiceMonitor.errors = missing.map((missingProperty) => ({
    instancePath: "/spec",
    keyword: "required",
    params: { missingProperty },
  }));
  return missing.length === 0;
};
