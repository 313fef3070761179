import type { App } from "./cast.ts";
import type { Random } from "./random.ts";

/** The pod that a replica set's controller asks for: everything a careful team sets, nothing that reaches the node. */
export function podRequest(app: App): unknown {
  return {
    kind: "Pod",
    apiVersion: "v1",
    metadata: {
      generateName: `${app.name}-${app.hash}-`,
      namespace: app.namespace,
      creationTimestamp: null,
      labels: { app: app.name, "pod-template-hash": app.hash, team: app.namespace },
      ownerReferences: [
        {
          apiVersion: "apps/v1",
          kind: "ReplicaSet",
          name: `${app.name}-${app.hash}`,
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    spec: podSpec(app),
    status: {},
  };
}

/** The pod as the API server stored it. */
export function podResponse(app: App, pod: string, random: Random): unknown {
  const volume = `kube-api-access-${random.hex(5)}`;
  return {
    kind: "Pod",
    apiVersion: "v1",
    metadata: {
      name: pod,
      generateName: `${app.name}-${app.hash}-`,
      namespace: app.namespace,
      uid: random.uuid(),
      resourceVersion: String(100_000 + random.below(900_000)),
      labels: { app: app.name, "pod-template-hash": app.hash, team: app.namespace },
      managedFields: [
        managedFields("kube-controller-manager", ["f:containers", "f:dnsPolicy", "f:restartPolicy"]),
      ],
    },
    spec: {
      ...podSpec(app),
      serviceAccountName: "default",
      serviceAccount: "default",
      volumes: [
        {
          name: volume,
          projected: {
            sources: [
              { serviceAccountToken: { expirationSeconds: 3607, path: "token" } },
              { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
            ],
            defaultMode: 420,
          },
        },
      ],
      tolerations: [
        {
          key: "node.kubernetes.io/not-ready",
          operator: "Exists",
          effect: "NoExecute",
          tolerationSeconds: 300,
        },
        {
          key: "node.kubernetes.io/unreachable",
          operator: "Exists",
          effect: "NoExecute",
          tolerationSeconds: 300,
        },
      ],
      priority: 0,
      preemptionPolicy: "PreemptLowerPriority",
    },
    status: { phase: "Pending", qosClass: "Burstable" },
  };
}

function podSpec(app: App): Readonly<Record<string, unknown>> {
  return {
    containers: [
      {
        name: app.name,
        image: app.image,
        ports: [{ containerPort: 8080, protocol: "TCP" }],
        env: [
          { name: "LOG_LEVEL", value: "info" },
          { name: "DB_HOST", value: `db.${app.namespace}.svc.cluster.local` },
        ],
        resources: { limits: { cpu: "500m", memory: "256Mi" }, requests: { cpu: "50m", memory: "64Mi" } },
        livenessProbe: { httpGet: { path: "/live", port: 8080, scheme: "HTTP" }, periodSeconds: 10 },
        terminationMessagePath: "/dev/termination-log",
        terminationMessagePolicy: "File",
        imagePullPolicy: "IfNotPresent",
        securityContext: {
          capabilities: { drop: ["ALL"] },
          runAsNonRoot: true,
          allowPrivilegeEscalation: false,
          seccompProfile: { type: "RuntimeDefault" },
        },
      },
    ],
    restartPolicy: "Always",
    terminationGracePeriodSeconds: 30,
    dnsPolicy: "ClusterFirst",
    securityContext: {},
    schedulerName: "default-scheduler",
    enableServiceLinks: true,
  };
}

/** Who set which field: the part of a real response that is longer than all the rest. */
function managedFields(manager: string, owned: readonly string[]): unknown {
  const leaves = [
    "f:image",
    "f:imagePullPolicy",
    "f:name",
    "f:ports",
    "f:resources",
    "f:securityContext",
    "f:env",
  ];
  const fields = Object.fromEntries(
    owned.map((field) => [field, Object.fromEntries(leaves.map((leaf) => [leaf, { ".": {} }]))]),
  );
  return {
    manager,
    operation: "Update",
    apiVersion: "v1",
    fieldsType: "FieldsV1",
    fieldsV1: {
      "f:metadata": { "f:generateName": {}, "f:labels": { ".": {}, "f:app": {}, "f:team": {} } },
      "f:spec": fields,
    },
  };
}

/** A config map as argocd reads it all day. It holds settings and no credentials. */
export function settings(app: App, random: Random): unknown {
  return {
    kind: "ConfigMap",
    apiVersion: "v1",
    metadata: {
      name: `${app.name}-settings`,
      namespace: app.namespace,
      uid: random.uuid(),
      resourceVersion: String(100_000 + random.below(900_000)),
      labels: { "argocd.argoproj.io/instance": app.namespace },
      managedFields: [managedFields("argocd-controller", ["f:data", "f:immutable"])],
    },
    data: {
      "application.yaml": `server:\n  port: 8080\nregion: ${random.pick(["eu", "us", "tr"])}\nfeatures:\n  checkout-v2: ${random.chance(0.5)}\n`,
      "log.level": "info",
    },
  };
}

/** Everything for one subject: what the first of the planted threats asks for. */
export function adminBinding(name: string, subject: unknown): unknown {
  return {
    kind: "ClusterRoleBinding",
    apiVersion: "rbac.authorization.k8s.io/v1",
    metadata: { name, creationTimestamp: null },
    subjects: [subject],
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
  };
}
