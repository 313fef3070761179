import { createHash } from "node:crypto";

import { allRules } from "../domain/gates/alerts.ts";
import {
  pastMinutesMin,
  sliceMinutes,
  type GateCluster,
  type GateFacts,
  type Minute,
} from "../domain/gates/facts.ts";
import type { GateVerdict } from "../domain/gates/gate.ts";
import { isFlapping } from "../domain/gates/health.ts";
import { judgeGates } from "../domain/gates/judge.ts";
import { watchedFromMs, type GateJudgement } from "../domain/gates/step.ts";
import { isSameMinute, watchOf, type Watch } from "../domain/gates/windows.ts";
import type { RolloutCluster } from "../domain/rollout-cluster.ts";
import { sentence } from "../domain/refusal.ts";
import type { RolloutSnapshot } from "../domain/rollout-step.ts";
import { waveInWork } from "../domain/rollout-wave.ts";
import type { BundleLoader } from "../loading/loader.ts";
import {
  countAlertsByRule,
  listHoldOut,
  readFirstMinutes,
  readFlappingOutside,
  readMinutes,
  readPreviousTimes,
  type Window,
} from "../store/gate-facts.ts";
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
export async function withGates(
  db: Db,
  loader: BundleLoader,
  snapshot: RolloutSnapshot,
): Promise<RolloutSnapshot> {
  const { rollout, nowMs } = snapshot;
  const settings = rollout.spec.gates ?? [];
  const { proved, provedMs: lastProofMs, isPassed } = waveInWork(snapshot);
  if (rollout.state !== "running" || settings.length === 0 || proved.length === 0) return snapshot;
  const last = await findJudgement(db, rollout, isPassed);
  const isCurrent =
    last !== undefined &&
    (isPassed || (last.judgedAtMs > lastProofMs && isSameMinute(last.judgedAtMs, nowMs)));
  const byRates = isCurrent ? [] : settings.filter(({ name }) => name !== "health");
  const facts = byRates.length > 0 ? await readFacts(db, loader, snapshot, proved) : undefined;
  const healthFacts = settings.some(({ name }) => name === "health")
    ? await readHealthFacts(db, snapshot, proved)
    : undefined;
  const verdicts = settings.flatMap((setting): readonly GateVerdict[] => {
    if (setting.name === "health" && healthFacts !== undefined) return judgeGates([setting], healthFacts);
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

async function readHealthFacts(
  db: Db,
  snapshot: RolloutSnapshot,
  proved: readonly RolloutCluster[],
): Promise<GateFacts> {
  const { rollout, nowMs } = snapshot;
  const nothing = { minutes: 0 };
  const wave = proved.map((cluster) => bare(cluster, nothing));
  const isAsked = wave.some(({ troubles }) => troubles.some(isFlapping));
  return {
    kind: rollout.spec.kind,
    wave,
    size: sizeOf(snapshot),
    holdOut: [],
    ...(isAsked ? { flappingOutside: await readFlappingOutside(db, rollout, new Date(nowMs)) } : {}),
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
    isClockOff: cluster.agents.some((agent) => agent.isClockOff === true),
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
  loader: BundleLoader,
  snapshot: RolloutSnapshot,
  proved: readonly RolloutCluster[],
): Promise<GateFacts> {
  const { rollout, nowMs } = snapshot;
  const sampled = sample(rollout.id, proved);
  const previous = await readPreviousTimes(
    db,
    rollout,
    sampled.map(({ id }) => id),
  );
  const wave = sampled.map((cluster): Looked => {
    const provedMs = cluster.provedAtMs ?? nowMs;
    const watch = watchOf(
      cluster.assignedAtMs ?? provedMs,
      watchedFromMs(rollout, provedMs),
      nowMs,
      previous.get(cluster.id),
    );
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
    wave: await withoutPast(db, wave, filled.slice(0, wave.length)),
    size: Math.min(sizeOf(snapshot), waveMax),
    holdOut: filled.slice(wave.length),
  };
  if (rollout.spec.kind !== "rules") return facts;
  const before = [...new Set(proved.flatMap((cluster) => cluster.previous ?? []))].slice(0, bundlesMax);
  return { ...facts, rules: await readRuleNames(db, loader, before, rollout.digest) };
}

/** Those that proved, and those of the wave that still may. */
function sizeOf(snapshot: RolloutSnapshot): number {
  const { proved, assigned } = waveInWork(snapshot);
  return proved.length + assigned.length;
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
  isClockOff: false,
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
  return looked.map(({ id, bare, watch }) => {
    const rates = minutes.get(id) ?? { past: [], now: [] };
    const { rules: counted = [], isTooLoud = false } = alerts.get(id) ?? {};
    const rules = counted.map((rule) => ({ ...rule, past: rule.past.slice(0, watch.slices) }));
    return { ...bare, ...rates, rules: rules.length > 0 && !isTooLoud ? rules : countedOnly(rates) };
  });
}

/**
 * A cluster that sent its first rates less than ten minutes before it was given the bundle has no past, like one that ran nothing: it
 * never will have enough of it, so to wait for that would be to fail the wave.
 */
async function withoutPast(
  db: Db,
  looked: readonly Looked[],
  wave: readonly GateCluster[],
): Promise<readonly GateCluster[]> {
  const isShort = ({ hasPrevious, past }: GateCluster) => hasPrevious && past.length < pastMinutesMin;
  const short = looked.filter((_, i) => isShort(wave[i] ?? outside)).map(({ id }) => id);
  const first = await readFirstMinutes(db, short);
  return wave.map((cluster, i) => {
    const { id = "", watch } = looked[i] ?? {};
    const firstMs = first.get(id);
    if (firstMs === undefined || watch === undefined) return cluster;
    const isYoung = firstMs > watch.pastToMs - pastMinutesMin * 60_000;
    return isYoung ? { ...cluster, hasPrevious: false } : cluster;
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

async function readRuleNames(db: Db, loader: BundleLoader, previous: readonly string[], digest: string) {
  // Before, so that none is thrown away that this judgement counts on.
  if (names.size >= namesKept) names.clear();
  const missing = [digest, ...previous].filter((each) => !names.has(each));
  for (const [of, content] of await readBundleContents(db, missing)) {
    const found = await loader.run("ruleNames", content);
    if (!found.ok) throw new Error(`The rules of ${of} are not known: ${sentence(found.refusal)}`);
    names.set(of, found.value);
  }
  const before = new Set(previous.flatMap((each) => [...(names.get(each) ?? [])]));
  return { before, after: names.get(digest) ?? new Set<string>() };
}
