import { type Agent, type Attempt, type Cluster, ClusterHealth, type Rates } from "#proto/fleet/v1/cluster";
import { BundleKind } from "#proto/fleet/v1/common";
import { renderBytes, renderCount, renderSpan } from "./output/quantity.ts";
import { type Column, renderFields, renderTable } from "./output/table.ts";
import { clean, countOf, type Paint, type Tone } from "./output/text.ts";
import { logLines } from "./refusals.ts";
import {
  ageOf,
  healthOf,
  isoOf,
  labelsOf,
  leftOf,
  nameOf,
  runningOf,
  secondsOf,
  shortDigest,
} from "./views.ts";

/** The columns of `cluster list`. */
export function clusterColumns(now: number): readonly Column<Cluster>[] {
  return [
    { title: "NAME", cell: (cluster) => cluster.name },
    { title: "REGION", cell: (cluster) => cluster.labels["region"] ?? "" },
    { title: "HEALTH", cell: (cluster) => stateOf(cluster), tone: healthTone },
    { title: "RULES", cell: (cluster) => runsOf(cluster, BundleKind.RULES) },
    { title: "SHIPPER", cell: (cluster) => runsOf(cluster, BundleKind.SHIPPER) },
    { title: "AGENTS", align: "right", cell: (cluster) => `${cluster.agentCount}` },
    {
      title: "EVENTS/S",
      align: "right",
      cell: (cluster) => rate(cluster, (rates) => renderCount(Number(rates.events) / secondsOf(rates))),
    },
    {
      title: "ALERTS/MIN",
      align: "right",
      cell: (cluster) =>
        rate(cluster, (rates) => renderCount((Number(rates.alerts) * 60) / secondsOf(rates))),
    },
    {
      title: "LAG",
      align: "right",
      cell: (cluster) => rate(cluster, (rates) => renderSpan(Number(rates.lagMs))),
    },
    { title: "SEEN", align: "right", cell: (cluster) => ageOf(cluster.lastSeenAt, now) },
    { title: "ID", wide: true, cell: (cluster) => cluster.id },
    {
      title: "GENERATION",
      wide: true,
      align: "right",
      cell: (cluster) => `${cluster.assignment?.generation ?? 0n}`,
    },
    { title: "RULES DIGEST", wide: true, cell: (cluster) => digestOf(cluster, BundleKind.RULES) },
    { title: "SHIPPER DIGEST", wide: true, cell: (cluster) => digestOf(cluster, BundleKind.SHIPPER) },
    { title: "LABELS", wide: true, cell: (cluster) => labelsOf(cluster.labels) },
    { title: "REASON", wide: true, cell: (cluster) => cluster.healthReason },
  ];
}

/** Everything about one cluster, for `cluster show`. */
export function clusterLines(cluster: Cluster, day: readonly Rates[], now: number, paint: Paint): string[] {
  const { assignment } = cluster;
  const reason = cluster.healthReason === "" ? "" : ` (${cluster.healthReason})`;
  return [
    ...renderFields([
      ["cluster", `${cluster.name} (${cluster.id})`],
      ["labels", labelsOf(cluster.labels)],
      ["health", `${stateOf(cluster)}${reason}`],
      ["enrolled", isoOf(cluster.createdAt)],
      ["retired", isoOf(cluster.retiredAt)],
      ["last seen", cluster.lastSeenAt === undefined ? "never" : `${ageOf(cluster.lastSeenAt, now)} ago`],
      ["assigned", assignment === undefined ? "nothing" : assignmentOf(cluster, now)],
      ["rules", provedOf(cluster, BundleKind.RULES, now)],
      ["shipper", provedOf(cluster, BundleKind.SHIPPER, now)],
      ["rates", ratesOf(cluster)],
      ["last 24 h", dayOf(day)],
      ["alerts", intakeOf(cluster, now)],
    ]),
    ...cluster.agents.flatMap((agent) => ["", ...agentLines(agent, now, paint)]),
  ];
}

function agentLines(agent: Agent, now: number, paint: Paint): string[] {
  const away = agent.leftAt === undefined ? "not connected" : `left ${ageOf(agent.leftAt, now)} ago`;
  const link =
    agent.transport === ""
      ? away
      : `${agent.transport}${agent.connectedAt === undefined ? "" : `, connected ${ageOf(agent.connectedAt, now)}`}`;
  const seen = agent.lastSeenAt === undefined ? "never seen" : `seen ${ageOf(agent.lastSeenAt, now)} ago`;
  const conditions = agent.conditions.map(
    ({ code, message, since }) =>
      `  ! ${clean(code)}: ${clean(message)}${since === undefined ? "" : ` (for ${ageOf(since, now)})`}`,
  );
  return [
    ...renderFields([
      ["agent", `${agent.name} (${agent.id}), version ${agent.version || "unknown"}`],
      ["link", `${link}, ${seen}, generation ${agent.observedGeneration} observed`],
      [
        "certificate",
        agent.certificateExpiresAt === undefined ? "" : `${leftOf(agent.certificateExpiresAt, now)} left`,
      ],
      ["runs", agent.running.map((item) => nameOf(item.bundle)).join(", ") || "nothing"],
    ]),
    ...conditions.map((line) => paint("bad", line)),
    ...attemptLines(agent.attempts, now, paint),
    ...logLines(agent, now),
  ];
}

function attemptLines(attempts: readonly Attempt[], now: number, paint: Paint): string[] {
  if (attempts.length === 0) return [];
  const columns: readonly Column<Attempt>[] = [
    { title: "ATTEMPT", cell: (attempt) => nameOf(attempt.bundle) },
    { title: "GENERATION", align: "right", cell: (attempt) => `${attempt.generation}` },
    {
      title: "PHASE",
      cell: (attempt) => attempt.phase,
      tone: (attempt) => (attempt.reason === "" ? undefined : "bad"),
    },
    { title: "AGO", align: "right", cell: (attempt) => ageOf(attempt.at, now) },
    {
      title: "REASON",
      cell: (attempt) => [attempt.reason, attempt.detail].filter((part) => part !== "").join(": "),
    },
  ];
  return renderTable(attempts, columns, { wide: true, paint }).map((line) => `  ${line}`);
}

function assignmentOf(cluster: Cluster, now: number): string {
  const { assignment } = cluster;
  if (assignment === undefined) return "";
  const layers = assignment.layers.map((layer) => `layer ${nameOf(layer)}`);
  const bundles = [nameOf(assignment.rules), nameOf(assignment.shipper), ...layers]
    .filter((name) => name !== "")
    .join(", ");
  const by = assignment.rolloutId === "" ? "at enrolment" : `by rollout ${assignment.rolloutId}`;
  const ago = assignment.changedAt === undefined ? "" : ` ${ageOf(assignment.changedAt, now)} ago`;
  return `generation ${assignment.generation}: ${bundles || "nothing"}, ${by}${ago}`;
}

function provedOf(cluster: Cluster, kind: BundleKind, now: number): string {
  const proof = runningOf(cluster.running, kind);
  if (proof === undefined) return "not proved";
  const since = proof.since === undefined ? "" : `, for ${ageOf(proof.since, now)}`;
  const at = proof.provedAt === undefined ? "" : `, proved ${ageOf(proof.provedAt, now)} ago`;
  return `${nameOf(proof.bundle)} ${proof.bundle?.digest ?? ""}${since}${at}`;
}

function ratesOf(cluster: Cluster): string {
  const { rates } = cluster;
  if (rates === undefined) return "no report";
  return [
    `last ${secondsOf(rates)}s: ${renderCount(Number(rates.events) / secondsOf(rates))} events/s`,
    `${renderBytes(Number(rates.bytes) / secondsOf(rates))}/s`,
    countOf(Number(rates.alerts), "alert"),
    `lag ${renderSpan(Number(rates.lagMs))}`,
    `${rates.dropped} dropped`,
    `${rates.parked} parked`,
  ].join(", ");
}

function stateOf(cluster: Cluster): string {
  return cluster.retiredAt === undefined ? healthOf(cluster.health) : "retired";
}

function healthTone(cluster: Cluster): Tone | undefined {
  if (cluster.retiredAt !== undefined) return "faint";
  if (cluster.health === ClusterHealth.HEALTHY) return "good";
  return cluster.health === ClusterHealth.UPDATING ? "busy" : "bad";
}

function runsOf(cluster: Cluster, kind: BundleKind): string {
  const running = runningOf(cluster.running, kind)?.bundle;
  const wanted = kind === BundleKind.RULES ? cluster.assignment?.rules : cluster.assignment?.shipper;
  const have = nameOf(running);
  if (wanted === undefined || wanted.digest === "" || wanted.digest === running?.digest) return have;
  return `${have || "nothing"} -> ${nameOf(wanted)}`;
}

function digestOf(cluster: Cluster, kind: BundleKind): string {
  return shortDigest(runningOf(cluster.running, kind)?.bundle?.digest ?? "");
}

function rate(cluster: Cluster, render: (rates: NonNullable<Cluster["rates"]>) => string): string {
  return cluster.rates === undefined ? "" : render(cluster.rates);
}

/** What the server kept of the alerts that arrived. */
function intakeOf({ alertIntake: intake }: Cluster, now: number): string {
  if (intake === undefined) return "";
  const since = `in ${ageOf(intake.since, now)}`;
  if (intake.notStored === 0n) return `${intake.stored} stored ${since}`;
  const rules = intake.rules.map((rule) => (rule === "" ? "others" : clean(rule))).join(", ");
  return `${intake.stored} stored ${since}, ${intake.notStored} counted and not stored (most of ${rules})`;
}

/** What the minutes of a day add up to; what was kept aside stays visible here after its minute. */
function dayOf(day: readonly Rates[]): string {
  const total = (read: (rates: Rates) => bigint) => Number(day.reduce((sum, rates) => sum + read(rates), 0n));
  const parked = total((rates) => rates.parked);
  const aside = parked === 0 ? "" : " (in pipeline/dead-letter of the agent's state directory, with reasons)";
  return [
    `${renderCount(total((rates) => rates.events))} events`,
    countOf(
      total((rates) => rates.alerts),
      "alert",
    ),
    `${total((rates) => rates.dropped)} dropped`,
    `${parked} parked${aside}`,
  ].join(", ");
}
