import type { Client } from "@connectrpc/connect";
import type { KubernetesObject } from "@kubernetes/client-node";
import type { Cluster, ClusterService } from "#proto/fleet/v1/cluster";
import type { IssuerService } from "#proto/fleet/v1/issuer";
import type { TokenService } from "#proto/fleet/v1/token";
import { Failure, refused } from "../failure.ts";
import { createSteps, type StepResult } from "../local/steps.ts";
import type { Screen } from "../screen.ts";
import { applyAll } from "./apply.ts";
import { checkCluster, type Checked } from "./check-cluster.ts";
import { findCluster } from "./find-cluster.ts";
import { revokeRoles } from "./granted.ts";
import { joinByCluster, joinByToken, type Joining } from "./join.ts";
import type { Kube } from "./kube.ts";
import { valuesOfLasting, type Lasting } from "./lasting.ts";
import type { Given } from "./lasting-flags.ts";
import { clearPrograms } from "./clear-programs.ts";
import { manifestsOf } from "./plan/manifests.ts";
import { sharedBy, staleNamespaces } from "./plan/response.ts";
import { readFluentBitPods } from "./plan/fluent-bit.ts";
import type { DriverKind, Endpoint, JoinKind, ProgramPlace, Settings } from "./plan/settings.ts";
import { rememberPods } from "./pods-before.ts";
import { standingOf, type Identity } from "./standing.ts";
import { awaitAgents } from "./wait.ts";

/** What a person asked for. */
export interface OnboardOptions {
  readonly cluster: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Undefined means: as the agents that are there do, else by a token. */
  readonly join: JoinKind | undefined;
  /** Undefined means: as the agents that are there do, else rules run in the agents. */
  readonly driver: DriverKind | undefined;
  readonly falco: ProgramPlace | undefined;
  readonly fluentBit: ProgramPlace | undefined;
  /** Where records are sent for Falco's rules; empty for nowhere, undefined for as it is there. */
  readonly falcoRecords: string | undefined;
  readonly namespace: string;
  readonly image: string;
  /** What lasts: as asked for, else as it is there. */
  readonly given: Given;
  /** Look and judge, change nothing. */
  readonly dryRun: boolean;
  /** Give the manifests and apply nothing. */
  readonly print: boolean;
  readonly waitMs: number;
}

/** The same, after what is there was read. */
export type ResolvedOptions = OnboardOptions & Lasting;

/** What the work is done with. */
export interface Ports {
  readonly kube: Kube;
  readonly clusters: Client<typeof ClusterService>;
  readonly tokens: Client<typeof TokenService>;
  readonly issuers: Client<typeof IssuerService>;
  /** Where the server is for whoever runs this; agents learn theirs from the join string. */
  readonly server: Endpoint;
  readonly screen: Pick<Screen, "talk">;
  /** Ends a wait early, as its deadline would. */
  readonly signal: AbortSignal;
}

/** How it went. */
export interface Onboarded {
  readonly steps: readonly StepResult[];
  /** What was applied, or would be. */
  readonly manifests: readonly KubernetesObject[];
}

const regionsShown = 20;

/** Brings a cluster into the fleet, a step after the other; each says what came out, and a failed one what to do. */
export async function onboard(asked: OnboardOptions, ports: Ports): Promise<Onboarded> {
  const steps = createSteps(ports.screen);
  const checked = await checkCluster(asked, ports, steps);
  const { facts, options } = checked;
  const identity: Identity = {
    name: options.cluster,
    uid: facts.clusterUid,
    labels: options.labels,
    nodes: facts.controlPlane,
  };
  const toEnrol: string[] = [];
  let known: Cluster | undefined;
  await steps.run("place in the fleet", async () => {
    known = await findCluster(ports.clusters, options.cluster);
    const standing = standingOf(known, identity);
    if (standing.kind === "refused") throw refused(standing.why, ...standing.next);
    toEnrol.push(...standing.toEnrol);
    const todo = toEnrol.length === 0 ? "all agents are connected" : `to enrol: ${toEnrol.join(", ")}`;
    const warnings = [...standing.warnings, ...(known === undefined ? await loneRegion(options, ports) : [])];
    return warnings.length === 0 ? todo : { warning: [todo, ...warnings].join("; ") };
  });
  const joinBy = facts.join === "kubernetes" ? joinByCluster : joinByToken;
  const joining = await joinBy(options, ports, identity, toEnrol, steps);
  const settings = settingsOf(checked, joining);
  const manifests = manifestsOf(settings);
  if (options.dryRun || options.print) return { steps: steps.results, manifests };
  const before = await rememberPods(ports.kube, options.namespace);
  const stale = staleNamespaces(facts.granted, options);
  await steps.run("objects applied", async () => {
    const applied = await orTakeBack(joining, async () => {
      // First: what is applied replaces the only list of where roles were given.
      await revokeRoles(ports.kube, options.cluster, stale);
      return applyAll(ports.kube, manifests);
    });
    return stale.length === 0 ? applied : `${applied}; no more responses in ${stale.join(", ")}`;
  });
  await clearPrograms(ports, steps, settings, facts.before);
  const countsOnce = settings.fluentBit !== undefined;
  const { auditLog, server } = settings;
  await awaitAgents({ options, identity, before, known, countsOnce, auditLog, server }, ports, steps);
  return { steps: steps.results, manifests };
}

/** A region that no other cluster is in may be a slip of the pen, and labels decide what a cluster runs. */
async function loneRegion({ labels }: OnboardOptions, { clusters }: Ports): Promise<readonly string[]> {
  const region = labels["region"] ?? "";
  const regions = (await clusters.getFleetSummary({})).regions.map((each) => each.region);
  if (regions.length === 0 || regions.includes(region)) return [];
  const others = regions.slice(0, regionsShown).join(", ");
  const more = regions.length > regionsShown ? ` and ${regions.length - regionsShown} more` : "";
  return [`no other cluster is in region ${region}; regions: ${others}${more}`];
}

async function orTakeBack({ takeBack }: Joining, work: () => Promise<string>): Promise<string> {
  try {
    return await work();
  } catch (error) {
    if (takeBack === undefined || !(error instanceof Failure)) throw error;
    throw new Failure(error.exitCode, error.message, [...error.next, await takeBack()], error);
  }
}

function settingsOf({ options, facts, auditLog, server, mayNote }: Checked, joining: Joining): Settings {
  return {
    cluster: options.cluster,
    clusterUid: facts.clusterUid,
    managedBy: "fleetctl",
    namespace: options.namespace,
    ownsNamespace: facts.namespace?.isOurs ?? true,
    image: options.image,
    join: joining.join,
    server: joining.server ?? server,
    serverNetworks: options.serverNetworks,
    auditLog,
    controlPlaneNodes: facts.controlPlane.length,
    destinations: options.destinations,
    monitoringNamespace: facts.hasServiceMonitors ? options.monitoringNamespace : undefined,
    leavesMonitor: facts.unmonitored.length > 0,
    runAsUser: options.runAsUser,
    ...programsOf(facts, auditLog),
    responses: sharedBy(options.responses, facts.controlPlane.length),
    outputSecret: options.outputSecret,
    ...(mayNote ? { noted: JSON.stringify(valuesOfLasting(options)) } : {}),
  };
}

function programsOf(
  { falco, fluentBit, fluentBitData, falcoRecords, before }: Checked["facts"],
  auditLog: string,
): Pick<Settings, "falco" | "fluentBit" | "falcoRecords" | "before"> {
  if (falco === undefined) return {};
  const pods = fluentBit?.daemonSet;
  const found = pods === "not looked for" || pods === undefined ? {} : pods;
  return {
    falco: falco.place,
    ...(fluentBit === undefined
      ? {}
      : {
          fluentBit: { place: fluentBit.place, ...readFluentBitPods(found, auditLog, fluentBitData).target },
        }),
    falcoRecords,
    before,
  };
}
