import { type BundleDiff, type CoverageLoss, type Plan } from "#proto/fleet/v1/rollout";
import { OfflinePolicy, type RolloutSpec } from "#proto/fleet/v1/rollout_spec";
import { clean, countOf, type Paint } from "./output/text.ts";
import { planPeopleLines } from "./people-view.ts";
import { nameOf, shortDigest } from "./views.ts";

const namesMax = 50;
/** Of the clusters on which the same layers apply: the rest says `-o wide`. */
const layeredMax = 5;

export interface PlanView {
  /** What was asked for. */
  readonly spec: RolloutSpec;
  /** Every name, however many there are. */
  readonly wide: boolean;
  readonly paint: Paint;
}

/**
 * A plan as `--dry-run` shows it: every cluster of every wave, who is left alone, which layers apply where, and what changes
 * in the rules.
 */
export function planLines(plan: Plan, { spec, wide, paint }: PlanView): string[] {
  const clusters = plan.waves.reduce((sum, wave) => sum + wave.clusters.length, 0);
  return [
    `plan ${plan.digest}`,
    `${clean(nameOf(plan.bundle))} (${shortDigest(plan.bundle?.digest ?? "")}) to ${countOf(clusters, "cluster")} in ${countOf(plan.waves.length, "wave")}`,
    ...plan.waves.map((wave, index) => {
      const names = wave.clusters.map(
        (cluster) => `${cluster.clusterName} (${nameOf(cluster.previous) || "nothing"})`,
      );
      return `  wave ${index + 1}/${plan.waves.length} ${clean(wave.name)}: ${listed(names)}`;
    }),
    ...(plan.unchanged.length === 0 ? [] : [`left alone, they run it already: ${listed(plan.unchanged)}`]),
    ...boundLines(plan),
    ...(plan.silent.length === 0
      ? []
      : [paint("busy", `silent now, ${silentWords(spec.offline)}: ${listed(plan.silent)}`)]),
    ...engineLines(plan, paint),
    ...(plan.gates.length === 0
      ? []
      : [`judged by proof, ${plan.gates.map(({ name, limit }) => `${name} ${limit}`).join(", ")}`]),
    ...watchedLines({ ...spec, gates: plan.gates }).map((line) => paint("busy", line)),
    ...planPeopleLines(plan, paint),
    ...layerLines(plan, wide),
    ...plan.diffs.flatMap((diff) => diffLines(diff, paint)),
  ];
}

/** Where which layers apply: a choice of layers is a bundle of its own to the clusters that have it. */
function layerLines({ bundle, layerEffects }: Plan, wide: boolean): string[] {
  if (layerEffects.length === 0) return [];
  return [
    `layers of ${clean(nameOf(bundle))}:`,
    ...layerEffects.map(({ layers, clusterNames }) => {
      const which = layers.length === 0 ? "none, the base alone" : layers.map(clean).join(", ");
      const shown = wide ? clusterNames : clusterNames.slice(0, layeredMax);
      const left = clusterNames.length - shown.length;
      const more = left === 0 ? "" : `, and ${left} more (all with -o wide)`;
      return `  ${which} on ${countOf(clusterNames.length, "cluster")}: ${shown.map(clean).join(", ")}${more}`;
    }),
  ];
}

/**
 * A warning when no wave is watched before the next begins, which nobody should be surprised by; none for an emergency. The gates are
 * those that are on, as the server answers: of those that it has by itself, a person names none.
 */
export function watchedLines({
  soakSeconds,
  gates,
  emergency,
}: Pick<RolloutSpec, "soakSeconds" | "gates" | "emergency">): string[] {
  if (emergency || gates.some(({ name, off }) => !off && name !== "health")) return [];
  const soak = soakSeconds === 0 ? "without a soak" : `with a soak of ${soakSeconds} s and these gates`;
  return [
    `NO WAVE IS WATCHED: ${soak} no rate and no alert is looked at before the next begins; --soak 10m has each wave judged by all gates that are not off`,
  ];
}

function silentWords(offline: OfflinePolicy): string {
  if (offline === OfflinePolicy.WAIT) return "their wave waits until they are heard of";
  if (offline === OfflinePolicy.SKIP) {
    return "they come last and hold nothing up; they get it when they are heard of, also after the end";
  }
  return "they will hold up their wave until its deadline, and count as failed then";
}

function boundLines({ maxUnavailable, maxFailures }: Plan): string[] {
  const unavailable =
    maxUnavailable === 0 ? "" : `unproved at a time: at most ${countOf(maxUnavailable, "cluster")}; `;
  return [`${unavailable}stops when more than ${countOf(maxFailures, "cluster")} failed`];
}

function engineLines({ engineProblems }: Plan, paint: Paint): string[] {
  const [first] = engineProblems;
  if (first === undefined) return [];
  const names = engineProblems.map((each) => `${each.clusterName} (engine ${each.engineVersion})`);
  return [
    paint(
      "bad",
      `cannot take it, the bundle asks for engine ${clean(first.required)}; this is refused until their agents are upgraded or left out: ${listed(names)}`,
    ),
  ];
}

/** How many rules, and which tactics and techniques, are watched for from now on and no longer. */
function tagLines(diff: BundleDiff, paint: Paint): string[] {
  const { rulesBefore, rulesAfter, tagsGained, tagsLost } = diff;
  if (rulesBefore === rulesAfter && tagsGained.length + tagsLost.length === 0) return [];
  return [
    `  enabled rules: ${rulesBefore} -> ${rulesAfter}`,
    ...(tagsGained.length === 0 ? [] : [paint("good", `  threats watched for anew: ${listed(tagsGained)}`)]),
    ...(tagsLost.length === 0 ? [] : [paint("bad", `  threats no longer watched for: ${listed(tagsLost)}`)]),
  ];
}

function diffLines(diff: BundleDiff, paint: Paint): string[] {
  const from = nameOf(diff.from);
  const on = countOf(diff.clusterCount, "cluster");
  const isFirst = from === "" && diff.added.length === 0;
  if (isFirst) return [`${clean(nameOf(diff.to))} is the first of its kind on ${on}: all of it is new there`];
  const layers = diff.layers.length === 0 ? "" : ` with ${listed(diff.layers)}`;
  const head = `${clean(from || "nothing")} -> ${clean(nameOf(diff.to))}${layers} on ${on}:`;
  const notes = diff.layerNotes.map((note) => paint("bad", `  ${clean(note)}`));
  const changes = [
    ...changeLines(diff, paint),
    ...tagLines(diff, paint),
    ...notes,
    ...lossLines(diff.loss, paint),
  ];
  return changes.length === 0 ? [`${head} nothing changes`] : [head, ...changes];
}

/** What clusters will not notice any more, and what it takes to start all the same. */
function lossLines(loss: CoverageLoss | undefined, paint: Paint): string[] {
  if (loss === undefined) return [];
  const { requestsBefore, requestsLost, requests } = loss;
  const lines = [
    ...loss.removed.map((name) => `removed: ${name}`),
    ...loss.disabled.map((name) => `disabled: ${name}`),
    ...loss.protected.map((sentence) => `protected, agents will refuse: ${sentence}`),
    ...(requestsLost === 0
      ? []
      : [
          `${requestsLost} of ${requestsBefore} kinds of requests are asked for no more: ${listed(requests)}`,
        ]),
  ];
  return [
    paint("bad", "  coverage is lost; to start it all the same: --allow-coverage-loss"),
    ...lines.map((line) => paint("bad", `    ${clean(line)}`)),
  ];
}

/** Lines of what one bundle adds (`+`), removes (`-`) and changes (`~`). */
export function changeLines(
  diff: {
    readonly added: readonly string[];
    readonly removed: readonly string[];
    readonly changed: readonly string[];
  },
  paint: Paint,
): string[] {
  return [
    ...diff.added.map((name) => paint("good", `  + ${clean(name)}`)),
    ...diff.removed.map((name) => paint("bad", `  - ${clean(name)}`)),
    ...diff.changed.map((name) => paint("busy", `  ~ ${clean(name)}`)),
  ];
}

function listed(names: readonly string[]): string {
  const more = names.length > namesMax ? `, and ${names.length - namesMax} more (all with -o json)` : "";
  return names.slice(0, namesMax).map(clean).join(", ") + more;
}
