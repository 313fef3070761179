import type { V1DaemonSet, V1Node, V1Pod } from "@kubernetes/client-node";
import { auditLogOf } from "./audit-log.ts";
import { agentPlacement } from "./daemon-set.ts";
import { finding, listed, type Finding } from "./finding.ts";
import { awayFrom, judgeFalco, judgeFluentBit, judgeRecords } from "./judge-programs.ts";
import { permissionText, type Permission } from "./permissions.ts";
import { asksKube } from "./response.ts";
import type { JoinKind, PlacesBefore, ProgramPlace, ResponseGrant } from "./settings.ts";
import { shellWord } from "./shell-word.ts";

/** What was read from a cluster before anything is changed in it. */
export interface Facts {
  readonly context: string;
  /** As kube-apiserver says it: "v1.34.2", "v1.33.5-eks-a1b2c3". */
  readonly version: string;
  readonly clusterUid: string;
  readonly denied: readonly Permission[];
  /** Names of the nodes with a control-plane label. */
  readonly controlPlane: readonly string[];
  /** The same, as the API shows them. */
  readonly nodes: readonly V1Node[];
  /** The cloud's name for any one node; empty where there is none. */
  readonly providerId: string;
  /** Static pods of kube-apiserver that the API shows. */
  readonly apiServers: readonly V1Pod[];
  readonly namespace: NamespaceFacts | undefined;
  /** Where the agents that are there may respond to alerts. */
  readonly granted: readonly string[];
  /** Of the namespaces in which agents shall respond, those that are not there or are being deleted. */
  readonly lostNamespaces: readonly string[];
  /** Others that read audit logs, as "falco in namespace falco". */
  readonly neighbours: readonly string[];
  /** Whether the cluster knows ServiceMonitors, whether or not the user may make one. */
  readonly hasServiceMonitors: boolean;
  /** What the user may not, where the cluster knows them. */
  readonly unmonitored: readonly Permission[];
  /** As asked for, else as the agents that are there do, else by a token. */
  readonly join: JoinKind;
  /** As asked for, else as the agents that are there do. */
  readonly falco?: ProgramFacts;
  readonly fluentBit?: ProgramFacts;
  /** Where records go for Falco's rules: as asked for, else as the agents that are there do. */
  readonly falcoRecords?: string | undefined;
  /** Where Fluent Bit keeps positions: as asked for, else as for the agents that are there, else where its pods may write. */
  readonly fluentBitData?: string | undefined;
  /** What something was made for until now. */
  readonly before: PlacesBefore;
}

/** The pods of a DaemonSet that are to run what agents give them. */
export interface ProgramFacts {
  readonly place: ProgramPlace;
  /** Undefined when there is none; not looked for when the user may not. */
  readonly daemonSet: V1DaemonSet | undefined | "not looked for";
}

export interface NamespaceFacts {
  readonly isOurs: boolean;
  /** Whether it is being deleted. */
  readonly isEnding: boolean;
  /** The cluster of the fleet that it was made for; undefined when it is not ours. */
  readonly cluster: string | undefined;
  /** What `pod-security.kubernetes.io/enforce` says. */
  readonly enforces: string | undefined;
  /** The cluster that an agent in it was made for. */
  readonly agentOf: string | undefined;
  /** How that agent joins. */
  readonly joinsBy: JoinKind | undefined;
  /** Where its rules run, if not in the agent. */
  readonly falco?: ProgramPlace;
  /** Who ships, if not the agent. */
  readonly fluentBit?: ProgramPlace;
  /** Where it has records sent for Falco's rules. */
  readonly falcoRecords?: string;
  /** Where Fluent Bit keeps positions for it. */
  readonly fluentBitData?: string;
}

export interface Wanted {
  readonly cluster: string;
  readonly namespace: string;
  readonly image: string;
  /** Undefined means: see what kube-apiserver says. */
  readonly auditLog: string | undefined;
  readonly responses?: ResponseGrant | undefined;
  /** What this run was told, and not what is kept of an earlier one. */
  readonly given?: { readonly fluentBitData: string | null | undefined };
}

export interface Preflight {
  readonly findings: readonly Finding[];
  /** The audit log's file on the nodes; undefined when a finding stops. */
  readonly auditLog: string | undefined;
}

const oldestMinor = 25;

/** Judges what was read, everything at once, so that a person mends all of it before the next try. */
export function judge(facts: Facts, wanted: Wanted): Preflight {
  const audit = judgeAudit(facts, wanted);
  return {
    findings: [
      judgeVersion(facts),
      judgePermissions(facts),
      judgeControlPlane(facts),
      ...judgeNodes(facts),
      audit.finding,
      judgeNamespace(facts, wanted),
      judgeImage(wanted),
      ...judgeResponses(facts, wanted),
      ...(facts.falco === undefined
        ? [judgeNeighbours(facts)]
        : [judgeFalco(facts.falco, facts), judgeRecords(facts)]),
      ...(facts.fluentBit === undefined
        ? judgeNoFluentBit(wanted)
        : [judgeFluentBit(facts.fluentBit, facts, audit.path)]),
    ],
    auditLog: audit.path,
  };
}

function judgeVersion({ version, context }: Facts): Finding {
  const minor = Number(/^v1\.(\d+)/.exec(version)?.[1] ?? Number.NaN);
  const where = `${version}, context "${context}"`;
  if (minor >= oldestMinor) return finding("API reached", "ok", where);
  return finding(
    "API reached",
    "stop",
    `Kubernetes ${where} is older than v1.${oldestMinor}, from which on everything that is applied here exists`,
    "Upgrade the cluster, or run the agent by hand: docs/operations.md",
  );
}

function judgePermissions({ denied, unmonitored }: Facts): Finding {
  const needed = denied.filter(({ isOptional }) => !isOptional).map(permissionText);
  const missed = denied.filter(({ isOptional }) => isOptional).map(permissionText);
  if (needed.length > 0) {
    return finding(
      "permissions",
      "stop",
      `The kubeconfig's user may not ${needed.join("; ")}`,
      "Use a context whose user may: --context NAME",
      "Or have somebody who may apply what --print gives",
    );
  }
  const less = [
    ...(missed.length === 0 ? [] : [`failures say less without: ${missed.join("; ")}`]),
    ...(unmonitored.length === 0
      ? []
      : [`no ServiceMonitor is made or changed without: ${unmonitored.map(permissionText).join("; ")}`]),
  ];
  if (less.length === 0) return finding("permissions", "ok", "all that is needed");
  return finding("permissions", "warning", ["all that is needed", ...less].join("; "));
}

const managedBy: readonly (readonly [RegExp, string])[] = [
  [/-eks-/, "EKS"],
  [/-gke\./, "GKE"],
  [/-aliyun\./, "ACK"],
];

function judgeControlPlane({ controlPlane, version, providerId, context }: Facts): Finding {
  if (controlPlane.length > 0) {
    return finding("control plane", "ok", `self-hosted: ${listed(controlPlane)}`);
  }
  const service = managedBy.find(([pattern]) => pattern.test(version))?.[1];
  const guess = service ?? (providerId.startsWith("azure://") ? "perhaps AKS" : undefined);
  const kind = guess === undefined ? "" : `: the control plane is managed (${guess})`;
  return finding(
    "control plane",
    "stop",
    `No node has a control-plane label${kind}, and an agent has to run where kube-apiserver writes its audit log`,
    guess === undefined
      ? `If nodes run kube-apiserver without the label: kubectl --context ${shellWord(context)} label node NAME node-role.kubernetes.io/control-plane=`
      : "Have the provider deliver its audit log to a machine of yours, and run an agent there by hand: docs/operations.md",
  );
}

/** Whether each control-plane node takes an agent: a node without one is a log that nobody reads. */
function judgeNodes({ nodes, context }: Facts): readonly Finding[] {
  const away = awayFrom(agentPlacement, nodes, "");
  if (away.length > 0) {
    return [
      finding(
        "nodes",
        "stop",
        `Agents ${away.map(({ what }) => what).join("; ")}`,
        `kubectl --context ${shellWord(context)} taint node NAME KEY:EFFECT-   takes a taint away`,
        `kubectl --context ${shellWord(context)} label node NAME node-role.kubernetes.io/control-plane-   where no kube-apiserver runs there`,
      ),
    ];
  }
  const unready = nodes.filter(
    ({ status }) => status?.conditions?.find(({ type }) => type === "Ready")?.status !== "True",
  );
  if (unready.length === 0) return [];
  const names = listed(unready.map(({ metadata }) => metadata?.name ?? ""));
  return [finding("nodes", "warning", `not ready, and an agent starts there once they are: ${names}`)];
}

function judgeAudit(
  { apiServers, controlPlane }: Facts,
  { auditLog }: Wanted,
): { readonly finding: Finding; readonly path: string | undefined } {
  const logs = apiServers.map(auditLogOf);
  const paths = [...new Set(logs.flatMap((log) => (log.kind === "file" ? [log.path] : [])))];
  const none = logs.find((log) => log.kind === "none");
  const check = "audit log";
  if (auditLog !== undefined) {
    const other = paths.find((path) => path !== auditLog);
    const told =
      other === undefined
        ? finding(check, "ok", `${auditLog}, as given`)
        : finding(check, "warning", `${auditLog}, as given; kube-apiserver says ${other}`);
    return { finding: told, path: auditLog };
  }
  if (none !== undefined) return { finding: finding(check, "stop", none.why, none.next), path: undefined };
  const [path] = paths;
  if (path === undefined) {
    // The check before has said what is to be done.
    if (controlPlane.length === 0) return { finding: finding(check, "warning", "not looked for"), path };
    const why = "The API shows no pod of kube-apiserver, so that nothing says where its audit log is";
    const next =
      "--audit-log FILE   the file on the nodes; with k3s /var/lib/rancher/k3s/server/logs/audit.log";
    return { finding: finding(check, "stop", why, next), path };
  }
  if (paths.length > 1) {
    const why = `The nodes write different audit logs: ${paths.join(", ")}`;
    return { finding: finding(check, "stop", why, "Let all of them write the same file"), path: undefined };
  }
  return { finding: finding(check, "ok", path), path };
}

function judgeNamespace({ namespace, context }: Facts, wanted: Wanted): Finding {
  const check = "namespace";
  const name = wanted.namespace;
  if (namespace === undefined) return finding(check, "ok", `"${name}" will be made`);
  if (namespace.isEnding) {
    return finding(
      check,
      "stop",
      `Namespace "${name}" is being deleted, and takes nothing new`,
      `kubectl --context ${shellWord(context)} get namespace ${name} -o yaml   says what keeps it; run the same command again when it is gone`,
    );
  }
  const holder = namespace.agentOf ?? namespace.cluster;
  if (holder !== undefined && holder !== wanted.cluster) {
    return finding(
      check,
      "stop",
      `Namespace "${name}" holds the agent of "${holder}", and this is to be "${wanted.cluster}"`,
      `fleetctl cluster onboard ${holder} ...   if it is the same cluster`,
      `fleetctl cluster offboard ${holder} ...   if it is to have another name`,
    );
  }
  if (namespace.isOurs) return finding(check, "ok", `"${name}" is there, made by fleetctl`);
  if (namespace.enforces === undefined || namespace.enforces === "privileged") {
    return finding(check, "ok", `"${name}" is there and stays as it is`);
  }
  return finding(
    check,
    "stop",
    `Namespace "${name}" enforces the pod security profile "${namespace.enforces}", under which no pod may have a directory of the node`,
    "--namespace NAME   one that is not there yet, or that enforces privileged",
  );
}

function judgeImage({ image }: Wanted): Finding {
  const isPinned = /@sha256:[0-9a-f]{64}$/.test(image);
  if (isPinned) return finding("image", "ok", image);
  const detail = `${image} is not pinned: whoever can push to its registry decides what runs on control planes`;
  return finding("image", "warning", detail, "--image NAME@sha256:DIGEST");
}

function judgeNoFluentBit({ given }: Wanted): readonly Finding[] {
  const dir = given?.fluentBitData ?? undefined;
  if (dir === undefined) return [];
  const why = `--fluent-bit-data ${dir} says where Fluent Bit keeps positions, and the agents that are there ship themselves`;
  return [
    finding("Fluent Bit", "stop", why, "--driver fluent-bit   lets Fluent Bit ship", "Or leave it out"),
  ];
}

/** A role cannot be made in a namespace that is gone, also where an earlier run named it. */
function judgeResponses({ lostNamespaces, context }: Facts, { responses }: Wanted): readonly Finding[] {
  if (responses === undefined || !asksKube({ responses }) || lostNamespaces.length === 0) return [];
  const left = responses.namespaces.filter((name) => !lostNamespaces.includes(name));
  const actions = responses.actions.join(",");
  return [
    finding(
      "responses",
      "stop",
      `Agents shall respond in namespaces that are not there: ${listed(lostNamespaces)}`,
      left.length === 0
        ? "--allow-response none   ends responses"
        : `--allow-response ${actions} --response-namespace ${left.join(",")}   leaves them out`,
      `kubectl --context ${shellWord(context)} create namespace ${lostNamespaces[0]}   where it is to come back`,
    ),
  ];
}

function judgeNeighbours({ neighbours }: Facts): Finding {
  if (neighbours.length === 0) return finding("neighbours", "ok", "neither Falco nor Fluent Bit");
  const detail = `${neighbours.join(", ")}: they go on, and what both see comes twice`;
  return finding("neighbours", "warning", detail);
}
