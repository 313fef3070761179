import type { Cluster } from "#proto/fleet/v1/cluster";
import { interrupted, refused } from "../failure.ts";
import type { Steps } from "../local/steps.ts";
import { until, WaitError, type Probe } from "../local/until.ts";
import { clean } from "../output/text.ts";
import { findCluster } from "./find-cluster.ts";
import { adviceFor } from "./kube-error.ts";
import type { OnboardOptions, Ports } from "./onboard.ts";
import { passing } from "./passing.ts";
import { eventLines, podStanding, runs, troubleOf } from "./plan/pod-trouble.ts";
import { endpointText, objectNames, type Endpoint } from "./plan/settings.ts";
import { shellWord } from "./plan/shell-word.ts";
import { agentPods, eventsOf, type PodsBefore } from "./pods-before.ts";
import { ProgressWatch, type Progress } from "./progress.ts";
import type { Identity } from "./standing.ts";

const pollMs = 500;
const logLines = 8;

/** What is waited for. */
export interface Waiting {
  readonly options: OnboardOptions;
  readonly identity: Identity;
  readonly before: PodsBefore;
  /** What the fleet knew before anything was applied. */
  readonly known: Cluster | undefined;
  /** Whether one agent counts what all of them read. */
  readonly countsOnce: boolean;
  /** On the nodes. */
  readonly auditLog: string;
  /** Where the agents reach it. */
  readonly server: Endpoint;
}

/**
 * Waits until every agent runs, is enrolled, proves what is assigned and has seen an event. A step that fails tells the
 * pods' events and the end of their logs before it says what to do.
 */
export async function awaitAgents(waiting: Waiting, ports: Ports, steps: Steps): Promise<void> {
  const { options, identity, before, known, countsOnce } = waiting;
  const wait = waiter(options, ports, before);
  let isReplaced = false;
  await steps.run("agents run", async () => {
    const running = await agentsRun(options, identity, ports, wait, before);
    ({ isReplaced } = running);
    return running.where;
  });
  const watch = new ProgressWatch({ known, nodes: identity.nodes, isReplaced, countsOnce });
  const look = async () => watch.take(await findCluster(ports.clusters, identity.name));
  await steps.run("agents enrolled", () => agentsEnrolled(waiting, look, wait));
  let assigned: readonly string[] = [];
  await steps.run("assigned bundles proved", async () => {
    ({ assigned } = await bundlesProved(identity, look, wait));
    return assigned.length === 0
      ? "nothing is assigned yet: no finished rollout is for its labels"
      : assigned.join(", ");
  });
  if (assigned.some((bundle) => bundle.startsWith("shipper "))) {
    await steps.run("first audit event", () => firstEvent(waiting, look, wait));
    return;
  }
  const { name } = identity;
  ports.screen.talk(
    `To have it read its audit log: fleetctl rollout shipper --cluster ${name}, then fleetctl rollout rules --cluster ${name}\n`,
  );
}

/** Waits that share one deadline, tell what changes, and end at once when waiting is in vain. */
function waiter(options: OnboardOptions, ports: Ports, before: PodsBefore): Wait {
  const told = new Set<string>();
  const tellOnce = (line: string) => {
    if (told.has(line)) return;
    told.add(line);
    ports.screen.talk(`     ... ${clean(line)}\n`);
  };
  const deadline = Date.now() + options.waitMs;
  return async (what, next, probe) => {
    let shown = "";
    const look: typeof probe = async () => {
      if (ports.signal.aborted) {
        throw interrupted(`while waiting for ${what}`);
      }
      const result = await passing(async () => {
        await refuseTrouble(options, ports, before, tellOnce);
        return probe();
      });
      if ("seen" in result && result.seen !== shown) {
        shown = result.seen;
        ports.screen.talk(`     ... ${clean(shown)}\n`);
      }
      return result;
    };
    try {
      return await until(what, Math.max(0, deadline - Date.now()), look, { pollMs });
    } catch (error) {
      await tellPods(options, ports);
      if (error instanceof WaitError) throw refused(error.message, ...next);
      throw error;
    }
  };
}

type Wait = <T>(what: string, next: readonly string[], probe: Probe<T>) => Promise<T>;

async function agentsRun(
  options: OnboardOptions,
  { nodes }: Identity,
  ports: Ports,
  wait: Wait,
  before: PodsBefore,
): Promise<{ readonly where: string; readonly isReplaced: boolean }> {
  return wait(
    "the agents' pods to run",
    [
      `kubectl --context ${shellWord(ports.kube.context)} -n ${options.namespace} get pods,events   shows more`,
    ],
    async () => {
      const pods = await before.ofNow(await agentPods(ports.kube, options.namespace));
      const running = pods.filter(runs);
      if (running.length < nodes.length) return { seen: podStanding(pods, nodes.length) };
      const standing = await before.rollout();
      if (standing !== undefined) return { seen: standing };
      const where = running.map(({ spec }) => spec?.nodeName ?? "").toSorted();
      return { done: { where: where.join(", "), isReplaced: await before.wereReplaced() } };
    },
  );
}

type Look = () => Promise<Progress>;

async function agentsEnrolled({ server }: Waiting, look: Look, wait: Wait): Promise<string> {
  const address = endpointText(server);
  const progress = await wait(
    "the agents to enrol",
    [
      `Can the nodes reach the server at ${address}? On one of them: curl -k https://${address}/healthz; a firewall, a proxy or a NetworkPolicy may be between.`,
      "--server-network ADDRESS/BITS   opens the agents' own NetworkPolicy to it",
      "Run the same command again when it is mended: it goes on from here.",
    ],
    seen(
      look,
      ({ enrolled }) => enrolled,
      ({ enrolment }) => enrolment,
    ),
  );
  return progress.enrolment;
}

function bundlesProved({ name }: Identity, look: Look, wait: Wait): Promise<Progress> {
  return wait(
    "the agents to prove what is assigned",
    [`fleetctl cluster show ${name}   says what was tried, and why it failed`],
    seen(
      look,
      ({ proved }) => proved,
      ({ proofs }) => proofs,
    ),
  );
}

async function firstEvent(
  { identity: { name, nodes }, countsOnce, auditLog }: Waiting,
  look: Look,
  wait: Wait,
): Promise<string> {
  await wait(
    "an event of each audit log",
    [
      `Does kube-apiserver write there? On each node of which no event came: tail -n 1 ${auditLog}`,
      "On a node where it writes nothing, as root: fleetctl cluster audit-setup --apply   has kube-apiserver write it",
      `fleetctl cluster show ${name}   shows conditions of the agents`,
    ],
    seen(
      look,
      ({ proved, hasEvents }) => proved && hasEvents,
      ({ proved, proofs, events }) => (proved ? events : proofs),
    ),
  );
  return seenBy(nodes, countsOnce);
}

/** Fluent Bit's counts are those of all its pods: nobody knows which of them has read an event. */
export function seenBy(nodes: readonly string[], countsOnce: boolean): string {
  return `seen by ${countsOnce ? "Fluent Bit, all nodes together" : nodes.join(", ")}`;
}

/** Asks the server how far the cluster is. */
function seen(
  look: Look,
  isDone: (progress: Progress) => boolean,
  says: (progress: Progress) => string,
): Probe<Progress> {
  return async () => {
    const progress = await look();
    return isDone(progress) ? { done: progress } : { seen: says(progress) };
  };
}

/** Ends a wait that is in vain. */
async function refuseTrouble(
  options: OnboardOptions,
  ports: Ports,
  before: PodsBefore,
  tellOnce: (line: string) => void,
): Promise<void> {
  const pods = await agentPods(ports.kube, options.namespace);
  for (const pod of pods) {
    const trouble = troubleOf(
      pod,
      `kubectl --context ${shellWord(ports.kube.context)} -n ${options.namespace}`,
    );
    if (trouble === undefined) continue;
    const { reason, message, next, node } = trouble;
    if (await before.isOld(pod)) {
      tellOnce(`${node}: ${reason} is from before; the node tries again within minutes`);
      continue;
    }
    throw refused(`Pod ${trouble.pod} on ${node}: ${reason}: ${clean(message)}`, next);
  }
  if (pods.length > 0) return;
  const refusal = await before.refusal();
  if (refusal === undefined) return;
  const { message, isOld } = refusal;
  if (isOld) {
    const { namespace } = options;
    const now = `kubectl --context ${shellWord(ports.kube.context)} -n ${namespace} rollout restart daemonset/${objectNames.agent}`;
    tellOnce(`FailedCreate is from before; the cluster tries again within minutes, or now by: ${now}`);
    return;
  }
  throw refused(
    `The cluster makes no pod: ${clean(message)}`,
    ...(adviceFor(message, ports.kube.context) ?? [
      "Mend what its words say, then run the same command again",
    ]),
  );
}

async function tellPods(options: OnboardOptions, ports: Ports): Promise<void> {
  const say = (line: string) => ports.screen.talk(`     ${clean(line)}\n`);
  for (const pod of await agentPods(ports.kube, options.namespace).catch(() => [])) {
    const name = pod.metadata?.name ?? "";
    say(`pod ${name} on ${pod.spec?.nodeName}: ${podStanding([pod], 1)}`);
    for (const line of eventLines(await eventsOf(ports.kube, options.namespace, name))) {
      say(`  event: ${line}`);
    }
    const log = await ports.kube.logTail(options.namespace, name, logLines).catch(() => "");
    for (const line of log.split("\n").filter((each) => each !== "")) say(`  log: ${line}`);
  }
}
