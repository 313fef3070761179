import { renderAge } from "./quantity.ts";
import { clean, cut, plain, widthOf, type Paint, type Tone } from "./text.ts";
import { wrap } from "./wrap.ts";

export type ClusterStep = "waiting" | "assigned" | "proved" | "failed" | "reverted" | "removed";

/** One cluster of a wave as people see it. Times are milliseconds since 1970. */
export interface ClusterProgress {
  readonly name: string;
  readonly step: ClusterStep;
  readonly reason: string;
  readonly assignedAt?: number;
  /** When it proved the bundle, or, sent back, what it ran before. */
  readonly provedAt?: number;
}

/** What a gate of a wave said last. */
export interface GateLine {
  readonly gate: string;
  readonly state: "holds" | "waits" | "fails" | "unknown";
  readonly measured: string;
  readonly limit: string;
  readonly words: string;
}

export interface WaveProgress {
  readonly name: string;
  readonly gates?: readonly GateLine[];
  readonly clusters: readonly ClusterProgress[];
  readonly startedAt?: number;
  readonly finishedAt?: number;
}

export type RolloutStep =
  | "running"
  | "paused"
  | "rolling-back"
  | "rolled-back"
  | "succeeded"
  | "aborted"
  | "awaiting-approval"
  | "scheduled"
  | "unknown";

/** A rollout as people see it. */
export interface RolloutProgress {
  readonly id: string;
  readonly kind: string;
  readonly bundle: string;
  readonly state: RolloutStep;
  readonly because: string;
  readonly emergency?: boolean;
  /** From 0; the count of waves when all are done. */
  readonly wave: number;
  readonly waves: readonly WaveProgress[];
  readonly createdAt?: number;
  readonly finishedAt?: number;
}

/** Whether nothing more happens by itself. A paused rollout waits for a person. */
export function isResting(state: RolloutStep): boolean {
  return state !== "running" && state !== "rolling-back" && state !== "scheduled";
}

const barWidth = 12;

/** A bar whose parts differ by character, not by colour: `#` proved, `!` failed, `>` in work, `.` waiting. */
export function renderBar(clusters: readonly ClusterProgress[], width: number = barWidth): string {
  const total = clusters.length;
  const count = (step: ClusterStep) => clusters.filter((cluster) => cluster.step === step).length;
  const cells = (part: number) =>
    part === 0 || total === 0 ? 0 : Math.max(1, Math.floor((part * width) / total));
  const bad = cells(count("failed") + count("reverted"));
  const good = Math.min(cells(count("proved")), width - bad);
  const busy = Math.min(cells(count("assigned")), width - bad - good);
  const done = count("proved") === total && total > 0;
  const parts = "#".repeat(done ? width : good) + "!".repeat(bad) + ">".repeat(busy);
  return `[${parts.slice(0, width).padEnd(width, ".")}]`;
}

/** The live picture: a head, a line for each wave, and what the rollout says about itself. */
export function renderPicture(
  rollout: RolloutProgress,
  now: number,
  columns: number,
  paint: Paint = plain,
): string[] {
  const names = rollout.waves.map((wave) => cut(clean(wave.name), 32));
  const width = Math.max(0, ...names.map(widthOf));
  const waves = rollout.waves.map((wave, index) => {
    const mark = index < rollout.wave ? "done" : index === rollout.wave && !isOver(rollout) ? "now " : "    ";
    const head = `${mark} wave ${index + 1}/${rollout.waves.length} ${(names[index] ?? "").padEnd(width)}`;
    const lines = placed(
      `  ${head} ${renderBar(wave.clusters)} ${proved(wave)}`,
      trouble(wave, now),
      columns,
    );
    const isInWork = index === rollout.wave && !isOver(rollout);
    return [
      ...lines.map((line) => paint(toneOfWave(wave), line)),
      ...(isInWork ? gateLines(wave, columns, paint) : []),
    ];
  });
  return [cut(headline(rollout, now), columns), ...waves.flat(), ...because(rollout, columns)];
}

/**
 * One line for logs and pipes about the wave in work. Two pictures that say the same apart from ages give the same
 * `key`, so a follower prints only what is news.
 */
export function renderLine(
  rollout: RolloutProgress,
  now: number,
): { readonly key: string; readonly text: string } {
  const build = (age: (since: number | undefined) => string): string => {
    const wave = rollout.waves[Math.min(rollout.wave, rollout.waves.length - 1)];
    if (isResting(rollout.state) || wave === undefined) return headline(rollout, undefined) + tail(rollout);
    const place = `wave ${Math.min(rollout.wave, rollout.waves.length - 1) + 1}/${rollout.waves.length}`;
    const back = rollout.state === "rolling-back" ? "rolling back, " : "";
    const head = `${back}${place} ${clean(wave.name)}: ${proved(wave)}`;
    return head + waitingFor(wave, age) + tail(rollout);
  };
  return {
    key: build(() => ""),
    text: build((since) => (since === undefined ? "" : `, ${renderAge(now - since)}`)),
  };
}

/** Every cluster of every wave, for `rollout show`. */
export function clusterRows(
  rollout: RolloutProgress,
): readonly (ClusterProgress & { readonly wave: string })[] {
  return rollout.waves.flatMap((wave, index) =>
    wave.clusters.map((cluster) => ({ ...cluster, wave: `${index + 1} ${wave.name}` })),
  );
}

/** Every gate of every wave that has been judged, for `rollout show`. */
export function gateRows(rollout: RolloutProgress): readonly (GateLine & { readonly wave: string })[] {
  return rollout.waves.flatMap((wave, index) =>
    (wave.gates ?? []).map((gate) => ({ ...gate, wave: `${index + 1} ${wave.name}` })),
  );
}

export function toneOfGate({ state }: GateLine): Tone | undefined {
  if (state === "holds") return "good";
  return state === "fails" ? "bad" : "busy";
}

/** Under the wave in work: one line for all gates that hold, and one for each that does not. */
function gateLines({ gates = [] }: WaveProgress, columns: number, paint: Paint): string[] {
  const holding = gates.filter(({ state }) => state === "holds").map(({ gate }) => clean(gate));
  const rest = gates.filter(({ state }) => state !== "holds");
  return [
    ...(holding.length === 0 ? [] : [cut(`         gates that hold: ${holding.join(", ")}`, columns)]),
    ...rest.map((gate) => {
      const seen = gate.measured === "" ? "" : ` ${clean(gate.measured)} (limit ${clean(gate.limit)})`;
      const line = `         gate ${clean(gate.gate)} ${gate.state}:${seen} ${clean(gate.words)}`;
      return paint(gate.state === "fails" ? "bad" : "busy", cut(line, columns));
    }),
  ];
}

export function toneOfStep(step: ClusterStep): Tone | undefined {
  if (step === "proved") return "good";
  if (step === "failed" || step === "reverted") return "bad";
  return step === "assigned" ? "busy" : "faint";
}

/** Whether nothing will move it any more. */
export function isOver(rollout: Pick<RolloutProgress, "state">): boolean {
  return isResting(rollout.state) && rollout.state !== "paused" && rollout.state !== "awaiting-approval";
}

function headline(rollout: RolloutProgress, now: number | undefined): string {
  const end = rollout.finishedAt ?? now;
  const age =
    end === undefined || rollout.createdAt === undefined ? "" : `, ${renderAge(end - rollout.createdAt)}`;
  const counts = rollout.waves
    .flatMap((wave) => wave.clusters)
    .filter((cluster) => cluster.step !== "removed");
  const good = counts.filter((cluster) => cluster.step === "proved").length;
  const words = `${rollout.emergency === true ? "EMERGENCY, " : ""}${rollout.state.replace("-", " ")}`;
  return `rollout ${rollout.id} ${rollout.kind} ${clean(rollout.bundle)}: ${words}, ${good}/${counts.length} proved${age}`;
}

function proved(wave: WaveProgress): string {
  const counted = wave.clusters.filter((cluster) => cluster.step !== "removed");
  return `${counted.filter((cluster) => cluster.step === "proved").length}/${counted.length} proved`;
}

const namedMax = 3;

function waitingFor(wave: WaveProgress, age: (since: number | undefined) => string): string {
  const failed = wave.clusters.filter((cluster) => cluster.step === "failed" || cluster.step === "reverted");
  const assigned = wave.clusters.filter((cluster) => cluster.step === "assigned");
  const describe = (cluster: ClusterProgress): string => {
    const word =
      cluster.step === "assigned"
        ? clean(cluster.reason) || "assigned"
        : `${cluster.step}: ${clean(cluster.reason)}`;
    return `${clean(cluster.name)} (${word}${cluster.step === "assigned" ? age(cluster.assignedAt) : ""})`;
  };
  const list = (clusters: readonly ClusterProgress[]): string => {
    const more = clusters.length > namedMax ? ` and ${clusters.length - namedMax} more` : "";
    return clusters.slice(0, namedMax).map(describe).join(", ") + more;
  };
  const bad = failed.length === 0 ? "" : `, failed ${list(failed)}`;
  return bad + (assigned.length === 0 ? "" : `, waiting for ${list(assigned)}`);
}

function trouble(wave: WaveProgress, now: number): string {
  const text = waitingFor(wave, (since) => (since === undefined ? "" : `, ${renderAge(now - since)}`));
  return text.replace(/^, /, "  ");
}

function tail(rollout: RolloutProgress): string {
  return isSaidByClusters(rollout) ? "" : `; ${clean(rollout.because)}`;
}

function because(rollout: RolloutProgress, columns: number): string[] {
  return isSaidByClusters(rollout) ? [] : placed("  because:", ` ${clean(rollout.because)}`, columns);
}

/** So many lines more a reason may take on a narrow terminal. */
const linesMax = 3;

/** A head and what is to be said after it: on one line where it fits, or else on lines of its own. */
function placed(head: string, more: string, columns: number): string[] {
  if (more === "" || widthOf(head + more) <= columns) return [cut(head + more, columns)];
  const indent = " ".repeat(9);
  const lines = wrap(more.trim(), Math.max(20, columns - indent.length));
  const shown =
    lines.length > linesMax ? [...lines.slice(0, linesMax - 1), lines.slice(linesMax - 1).join(" ")] : lines;
  return [cut(head, columns), ...shown.map((line) => cut(indent + line, columns))];
}

/** While clusters have to prove, each says itself what it waits for; the rollout's own words only say it again. */
function isSaidByClusters(rollout: RolloutProgress): boolean {
  if (rollout.because === "") return true;
  const inWork = rollout.waves[rollout.wave]?.clusters ?? [];
  return rollout.state === "running" && inWork.some((cluster) => cluster.step === "assigned");
}

function toneOfWave(wave: WaveProgress): Tone {
  const steps = wave.clusters.map((cluster) => cluster.step);
  if (steps.some((step) => step === "failed" || step === "reverted")) return "bad";
  if (steps.length > 0 && steps.every((step) => step === "proved" || step === "removed")) return "good";
  return steps.some((step) => step === "assigned" || step === "proved") ? "busy" : "faint";
}
