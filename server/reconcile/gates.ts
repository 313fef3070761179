import { createHash } from "node:crypto";
import { setImmediate } from "node:timers/promises";

import { loadRules } from "#engine";
import { effectiveFiles, parseBundle } from "#trust";

import { allRules } from "../domain/gates/alerts.ts";
import { sliceMinutes, type GateCluster, type GateFacts, type Minute } from "../domain/gates/facts.ts";
import type { GateVerdict } from "../domain/gates/gate.ts";
import { judgeGates } from "../domain/gates/judge.ts";
import { watchedFromMs, type GateJudgement } from "../domain/gates/step.ts";
import { isSameMinute, watchOf, type Watch } from "../domain/gates/windows.ts";
import type { RolloutCluster } from "../domain/rollout-cluster.ts";
import type { RolloutSnapshot } from "../domain/rollout-step.ts";
import { countAlertsByRule, listHoldOut, readMinutes, type Window } from "../store/gate-facts.ts";
import type { Db } from "../store/pool.ts";
import { readBundleContents } from "../store/rollout-bundles.ts";
import { findJudgement, storeJudgement } from "../store/rollout-gates.ts";

/** More clusters than these say nothing new; a sample keeps the price of a judgement the same for every fleet. */
const waveMax = 200;
const holdOutMax = 100;

/**
 * The snapshot with what the gates of the wave in work say. Rates are judged once for each minute that they come in, and
 * after each proof; several servers share a judgement through the store. Health is judged with every step.
 */
export async function withGates(db: Db, snapshot: RolloutSnapshot): Promise<RolloutSnapshot> {
  const { rollout, nowMs } = snapshot;
  const settings = rollout.spec.gates ?? [];
  const proved = ofTheWave(snapshot);
  if (rollout.state !== "running" || settings.length === 0 || proved.length === 0) return snapshot;
  const last = await findJudgement(db, rollout);
  const lastProofMs = Math.max(...proved.map(({ provedAtMs }) => provedAtMs ?? 0));
  const isCurrent =
    last !== undefined && last.judgedAtMs > lastProofMs && isSameMinute(last.judgedAtMs, nowMs);
  const byRates = isCurrent ? [] : settings.filter(({ name }) => name !== "health");
  const facts = byRates.length > 0 ? await readFacts(db, snapshot, proved) : undefined;
  const verdicts = settings.flatMap((setting): readonly GateVerdict[] => {
    if (setting.name === "health") return judgeGates([setting], healthFacts(snapshot, proved));
    if (facts !== undefined) return judgeGates([setting], facts);
    return last?.verdicts.filter(({ gate }) => gate === setting.name) ?? [];
  });
  // A judgement is as old as its rates: with only health in it, it is of now.
  const isOfNow = facts !== undefined || settings.every(({ name }) => name === "health");
  const gates: GateJudgement = { verdicts, judgedAtMs: isOfNow ? nowMs : (last?.judgedAtMs ?? nowMs) };
  const isNews = last === undefined || JSON.stringify(last.verdicts) !== JSON.stringify(verdicts);
  if (facts !== undefined || isNews) await storeJudgement(db, rollout, gates);
  return { ...snapshot, gates };
}

/** The proved clusters of the wave in work, and those of earlier waves that a resume tried again in it. */
function ofTheWave({ rollout, clusters }: RolloutSnapshot): readonly RolloutCluster[] {
  const startedMs = rollout.waves[rollout.wave]?.startedAtMs ?? 0;
  return clusters.filter(
    (c) =>
      c.state === "proved" &&
      (c.wave === rollout.wave || (c.wave < rollout.wave && (c.provedAtMs ?? 0) >= startedMs)),
  );
}

function healthFacts(snapshot: RolloutSnapshot, proved: readonly RolloutCluster[]): GateFacts {
  const { rollout } = snapshot;
  const nothing = { minutes: 0 };
  return {
    kind: rollout.spec.kind,
    wave: proved.map((cluster) => bare(cluster, nothing)),
    size: sizeOf(snapshot, proved),
    holdOut: [],
  };
}

function bare(cluster: RolloutCluster, { minutes }: Pick<Watch, "minutes">): GateCluster {
  return {
    name: cluster.name,
    hasPrevious: cluster.previous !== undefined,
    watchedMinutes: minutes,
    past: [],
    now: [],
    rules: [],
    troubles: cluster.agents.flatMap(({ name, raised = [] }) => raised.map((code) => `${name}: ${code}`)),
  };
}

/** A cluster to look at, before anything was read of it. */
interface Looked {
  readonly id: string;
  readonly bare: GateCluster;
  readonly watch: Watch;
}

async function readFacts(
  db: Db,
  snapshot: RolloutSnapshot,
  proved: readonly RolloutCluster[],
): Promise<GateFacts> {
  const { rollout, nowMs } = snapshot;
  const wave = sample(rollout.id, proved).map((cluster): Looked => {
    const provedMs = cluster.provedAtMs ?? nowMs;
    const watch = watchOf(cluster.assignedAtMs ?? provedMs, watchedFromMs(rollout, provedMs), nowMs);
    return { id: cluster.id, bare: bare(cluster, watch), watch };
  });
  // The hold-out is looked at in the time that the whole wave has in common with it.
  const assignedMs = Math.min(...proved.map(({ assignedAtMs }) => assignedAtMs ?? nowMs));
  const provedMs = Math.min(...proved.map(({ provedAtMs }) => provedAtMs ?? nowMs));
  const watch = watchOf(assignedMs, watchedFromMs(rollout, provedMs), nowMs);
  const ids = await listHoldOut(db, rollout, watch.alertsFromMs, new Date(nowMs), holdOutMax);
  const holdOut = ids.map((id): Looked => ({
    id,
    bare: { ...outside, watchedMinutes: watch.minutes },
    watch,
  }));
  const filled = await fill(db, [...wave, ...holdOut]);
  const facts = {
    kind: rollout.spec.kind,
    wave: filled.slice(0, wave.length),
    size: Math.min(sizeOf(snapshot, proved), waveMax),
    holdOut: filled.slice(wave.length),
  };
  if (rollout.spec.kind !== "rules") return facts;
  const previous = [...new Set(proved.flatMap((cluster) => cluster.previous ?? []))].slice(0, bundlesMax);
  return { ...facts, rules: await readRuleNames(db, previous, rollout.digest) };
}

/** Those that proved, and those of the wave that still may. */
function sizeOf({ rollout, clusters }: RolloutSnapshot, proved: readonly RolloutCluster[]): number {
  return proved.length + clusters.filter((c) => c.wave <= rollout.wave && c.state === "assigned").length;
}

/** Not named: whoever sees the rollout may not see these. */
const outside: GateCluster = {
  name: "",
  hasPrevious: true,
  watchedMinutes: 0,
  past: [],
  now: [],
  rules: [],
  troubles: [],
};

/** All, or as many as are looked at: which, no cluster can foresee, because the id of the rollout is random. */
function sample(rolloutId: string, clusters: readonly RolloutCluster[]): readonly RolloutCluster[] {
  if (clusters.length <= waveMax) return clusters;
  const rank = ({ id }: RolloutCluster) => createHash("sha256").update(`${rolloutId} ${id}`).digest("hex");
  return clusters
    .map((cluster) => ({ cluster, key: rank(cluster) }))
    .toSorted((a, b) => (a.key < b.key ? -1 : 1))
    .slice(0, waveMax)
    .map(({ cluster }) => cluster);
}

async function fill(db: Db, looked: readonly Looked[]): Promise<readonly GateCluster[]> {
  const now = looked.map(({ id, watch }): Window => ({
    clusterId: id,
    is: "now",
    fromMs: watch.fromMs,
    toMs: watch.toMs,
  }));
  const past = (from: "pastFromMs" | "alertsFromMs") =>
    looked.map(({ id, watch }): Window => ({
      clusterId: id,
      is: "past",
      fromMs: watch[from],
      toMs: watch.pastToMs,
    }));
  const minutes = await readMinutes(db, [...now, ...past("pastFromMs")]);
  const alerts = await countAlertsByRule(db, [...now, ...past("alertsFromMs")]);
  return looked.map(({ id, bare }) => {
    const rates = minutes.get(id) ?? { past: [], now: [] };
    const { rules = [], isTooLoud = false } = alerts.get(id) ?? {};
    return { ...bare, ...rates, rules: rules.length > 0 && !isTooLoud ? rules : countedOnly(rates) };
  });
}

/** Where alerts do not come to the server, or more than it counts, the counters of the agents still tell how many there are. */
function countedOnly({ past, now }: { readonly past: readonly Minute[]; readonly now: readonly Minute[] }) {
  const total = (minutes: readonly Minute[]) => minutes.reduce((sum, { alerts }) => sum + alerts, 0);
  if (total(past) === 0) return [];
  const count = Math.floor(past.length / sliceMinutes);
  const slices = Array.from({ length: count }, (_, i) =>
    past.slice(i * sliceMinutes, (i + 1) * sliceMinutes),
  );
  return [{ rule: allRules, past: slices.map(total), now: total(now) }];
}

/** Bundles that clusters of one wave may have run before; one more is looked at as new. */
const bundlesMax = 20;
const namesKept = 64;
/** Names by digest: what a digest holds never changes. */
const names = new Map<string, ReadonlySet<string>>();

async function readRuleNames(db: Db, previous: readonly string[], digest: string) {
  // Before, so that none is thrown away that this judgement counts on.
  if (names.size >= namesKept) names.clear();
  const missing = [digest, ...previous].filter((each) => !names.has(each));
  for (const [of, content] of await readBundleContents(db, missing)) {
    names.set(of, ruleNames(content));
    // Loading takes CPU; between two loads others get their turn.
    await setImmediate();
  }
  const before = new Set(previous.flatMap((each) => [...(names.get(each) ?? [])]));
  return { before, after: names.get(digest) ?? new Set<string>() };
}

/** The rules that are on with some of the bundle's layers, or none. */
function ruleNames(content: Uint8Array): ReadonlySet<string> {
  const bundle = parseBundle(content);
  // One that cannot be read reaches no agent; its gates see nothing but new rules.
  if (!bundle.ok) return new Set();
  const { value } = bundle;
  const labels = [{}, ...value.layers.slice(0, 32).map(({ selector }) => selector)];
  return new Set(
    labels.flatMap((each) =>
      loadRules(effectiveFiles(value, each))
        .ruleset.rules.filter(({ enabled }) => enabled)
        .map(({ name }) => name),
    ),
  );
}
