import type { Random } from "./random.ts";

/** Somebody who sends requests. */
export interface Account {
  readonly username: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly credential: string;
  readonly agent: string;
  readonly ip: string;
}

/** Something a team runs: one deployment with its current replica set. */
export interface App {
  readonly namespace: string;
  readonly name: string;
  readonly image: string;
  readonly hash: string;
  readonly pods: readonly string[];
}

/** Everybody and everything in one generated cluster. */
export interface Cast {
  readonly cluster: string;
  readonly apiserver: Account;
  readonly controllerManager: Account;
  readonly scheduler: Account;
  readonly controller: (name: string) => Account;
  readonly nodes: readonly Account[];
  readonly argocd: Account;
  readonly externalSecrets: Account;
  readonly prometheus: Account;
  readonly stateMetrics: Account;
  readonly cainjector: Account;
  readonly runner: Account;
  readonly probe: Account;
  readonly developers: readonly Account[];
  readonly intruder: Account;
  readonly apps: readonly App[];
}

const teams = ["payments", "search", "checkout", "catalog", "delivery"] as const;
const services = ["api", "web", "worker", "gateway"] as const;
const names = ["deniz", "ayse", "joao", "mira", "tomas", "lena"] as const;
const kubectl = "kubectl/v1.33.1 (linux/amd64) kubernetes/8adc0f0";

/** The same dice make the same cluster. */
export function castCluster(cluster: string, random: Random): Cast {
  const release = "v1.36.2 (linux/amd64) kubernetes/98b3519";
  const manager = `kube-controller-manager/${release}`;
  const control = (username: string, agent: string): Account => ({
    username,
    groups: ["system:authenticated"],
    credential: `X509SHA256=${random.hex(64)}`,
    agent,
    ip: "10.0.0.10",
  });
  const controllers = new Map<string, Account>();
  const controller = (name: string): Account => {
    const known = controllers.get(name);
    if (known !== undefined) return known;
    const agent = `${manager}/system:serviceaccount:kube-system:${name}`;
    const made = serviceAccount(random, "kube-system", name, agent, "10.0.0.10");
    controllers.set(name, made);
    return made;
  };
  const workload = (namespace: string, name: string, agent: string): Account =>
    serviceAccount(random, namespace, name, agent, podIp(random));
  return {
    cluster,
    apiserver: {
      ...control("system:apiserver", `kube-apiserver/${release}`),
      groups: ["system:authenticated", "system:masters"],
    },
    controllerManager: control("system:kube-controller-manager", `${manager}/leader-election`),
    scheduler: control("system:kube-scheduler", `kube-scheduler/${release}/scheduler`),
    controller,
    nodes: [1, 2, 3, 4].map((index) => ({
      ...control(`system:node:${cluster}-node-${index}`, `kubelet/${release}`),
      groups: ["system:nodes", "system:authenticated"],
      ip: `10.0.1.${10 + index}`,
    })),
    argocd: workload("argocd", "argocd-application-controller", "argocd-application-controller/v3.1.8"),
    externalSecrets: workload("external-secrets", "external-secrets", "external-secrets/v0.20.1"),
    prometheus: workload("monitoring", "prometheus", "Prometheus/3.5.0"),
    stateMetrics: workload("monitoring", "kube-state-metrics", "kube-state-metrics/v2.17.0"),
    cainjector: workload("cert-manager", "cert-manager-cainjector", "cainjector/v1.18.2"),
    runner: workload("ci", "github-runner", kubectl),
    probe: {
      username: "system:anonymous",
      groups: ["system:unauthenticated"],
      credential: "",
      agent: "kube-probe/1.36",
      ip: "10.0.0.2",
    },
    developers: names.map((name, index) =>
      person(random, name, `${teams[index % teams.length]}-devs`, index),
    ),
    intruder: person(random, "contractor-7", "contractors", 66),
    apps: teams.flatMap((team) => services.map((service) => app(random, team, service))),
  };
}

function serviceAccount(random: Random, namespace: string, name: string, agent: string, ip: string): Account {
  return {
    username: `system:serviceaccount:${namespace}:${name}`,
    uid: random.uuid(),
    groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"],
    credential: `JTI=${random.uuid()}`,
    agent,
    ip,
  };
}

function person(random: Random, username: string, group: string, index: number): Account {
  return {
    username,
    groups: [group, "system:authenticated"],
    credential: `X509SHA256=${random.hex(64)}`,
    agent: kubectl,
    ip: `10.20.0.${10 + index}`,
  };
}

function app(random: Random, namespace: string, name: string): App {
  const hash = random.hex(9);
  const pods = [1, 2, 3].map(() => `${name}-${hash}-${random.hex(5)}`);
  return {
    namespace,
    name,
    hash,
    pods,
    image: `registry.example.com/${namespace}/${name}:2.${random.below(40)}`,
  };
}

function podIp(random: Random): string {
  return `10.244.${random.below(4)}.${2 + random.below(250)}`;
}
