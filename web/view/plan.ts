import { RolloutState, type Plan, type Rollout } from "#proto/fleet/v1/rollout";
import { OfflinePolicy, type RolloutSpec } from "#proto/fleet/v1/rollout_spec";
import { bundleText } from "./fleet.ts";
import { countText, digestText, nounText } from "./quantity.ts";
import type { Tone } from "./words.ts";

/** What somebody has to know of a plan before saying yes to it. */
export interface PlanNote {
  readonly tone: Tone;
  readonly text: string;
}

type Pending = Pick<Rollout, "state" | "planDigest" | "spec">;

/** What speaks against a plan or holds it up, what is worst first: as `fleetctl rollout show` says it. */
export function planNotes(plan: Plan, { state, planDigest, spec }: Pending): readonly PlanNote[] {
  const { engineProblems, silent, held, digest } = plan;
  return [
    ...(digest === planDigest ? [] : [changedNote(digest, planDigest, state)]),
    ...engineNotes(engineProblems),
    ...(plan.diffs.some(({ loss }) => loss !== undefined) ? [lossNote(spec)] : []),
    ...watchedNotes(plan, spec),
    ...(spec?.emergency === true
      ? [
          {
            tone: "bad",
            text: "Emergency: no soak, no windows and no freeze are taken into account.",
          } as const,
        ]
      : []),
    ...(silent.length === 0
      ? []
      : [{ tone: "warn", text: `Silent now, ${silentWords(spec?.offline)}: ${listed(silent)}.` } as const]),
    ...(held === "" ? [] : [{ tone: "busy", text: `Its first wave would not begin now: ${held}.` } as const]),
  ];
}

function changedNote(now: string, before: string, state: RolloutState): PlanNote {
  const text = `The plan has changed since the rollout was started: it was ${digestText(before)} and is ${digestText(now)} now. ${changedWords(state)}`;
  return { tone: "bad", text };
}

function changedWords(state: RolloutState): string {
  if (state === RolloutState.PAUSED) {
    return "This is the new one; who takes it has it approved anew, where it takes approval.";
  }
  const still = "What is below can neither be approved nor begin";
  return state === RolloutState.SCHEDULED
    ? `${still}: when its time comes the rollout is paused instead, and the new plan can be taken then.`
    : `${still} as it is: who approves has the rollout paused, and who operates the fleet takes the new plan then.`;
}

function engineNotes(problems: Plan["engineProblems"]): readonly PlanNote[] {
  const [first] = problems;
  if (first === undefined) return [];
  const names = problems.map(({ clusterName, engineVersion }) => `${clusterName} (engine ${engineVersion})`);
  const text = `Some cannot take it, because the bundle asks for engine ${first.required}. It is refused until their agents are upgraded or left out: ${listed(names)}.`;
  return [{ tone: "bad", text }];
}

function lossNote(spec: RolloutSpec | undefined): PlanNote {
  const isAllowed = spec?.allowCoverageLoss === true;
  const what = isAllowed ? "who started it allows that" : "who started it did not allow that";
  return { tone: "bad", text: `Coverage is lost, and ${what}. What is lost stands below.` };
}

/** No wave is judged before the next begins: a soak of some minutes, or gates that are named, would have it judged. */
function watchedNotes({ gates }: Plan, spec: RolloutSpec | undefined): readonly PlanNote[] {
  if (spec?.emergency === true || gates.some(({ name, off }) => !off && name !== "health")) return [];
  const seconds = spec?.soakSeconds ?? 0;
  const soak = seconds === 0 ? "without a soak" : `with a soak of ${seconds} s and these gates`;
  return [
    {
      tone: "warn",
      text: `No wave is watched: ${soak} no rate and no alert is looked at before the next begins.`,
    },
  ];
}

function silentWords(offline: OfflinePolicy | undefined): string {
  if (offline === OfflinePolicy.WAIT) return "their wave waits until they are heard of";
  if (offline === OfflinePolicy.SKIP) return "they come last and hold nothing up";
  return "they will hold up their wave until its deadline, and count as failed then";
}

/** How far it goes, in a sentence. */
export function reachText({ bundle, waves, unchanged, maxFailures, maxUnavailable }: Plan): string {
  const count = waves.reduce((sum, { clusters }) => sum + clusters.length, 0);
  const moved = `${bundleText(bundle)} to ${nounText(count, "cluster")} in ${nounText(waves.length, "wave")}`;
  const left =
    unchanged.length === 0
      ? ""
      : `; ${nounText(unchanged.length, "cluster runs", "clusters run")} it already`;
  const unproved =
    maxUnavailable === 0 ? "" : ` At most ${nounText(maxUnavailable, "cluster")} unproved at a time.`;
  return `${moved}${left}.${unproved} It stops when more than ${nounText(maxFailures, "cluster")} failed.`;
}

/** The gates that judge each wave, with their limits. */
export function gatesText({ gates }: Plan): string {
  const on = gates.filter(({ off }) => !off).map(({ name, limit }) => `${name} ${limit}`.trim());
  return `Judged by proof${on.length === 0 ? "" : `, ${on.join(", ")}`}.`;
}

const namesMax = 50;

/** Names, of very many the first ones. */
export function listed(names: readonly string[]): string {
  const left = names.length - namesMax;
  return names.slice(0, namesMax).join(", ") + (left > 0 ? `, and ${countText(left)} more` : "");
}
