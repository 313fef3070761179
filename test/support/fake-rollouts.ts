import { createHash, randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { ClusterHealth, RunningSchema } from "#proto/fleet/v1/cluster";
import type { BundleRef } from "#proto/fleet/v1/common";
import {
  type Plan,
  PlanSchema,
  type Rollout,
  type RolloutCluster,
  RolloutClusterState,
  RolloutSchema,
  type RolloutService,
  RolloutState,
} from "#proto/fleet/v1/rollout";
import { GateSettingSchema, type RolloutSpec } from "#proto/fleet/v1/rollout_spec";
import { type GateSetting, parseGates, renderLimit } from "../../server/domain/gates/gate.ts";
import type { FakeFleet } from "./fake-fleet.ts";

const waiting = [RolloutState.AWAITING_APPROVAL, RolloutState.SCHEDULED];

type ServiceOfRollouts = ServiceImpl<typeof RolloutService>;

/** Rollouts of the fake fleet: a canary, then the rest of each region; clusters prove when the test lets them. */
export class FakeRollouts {
  readonly all: Rollout[] = [];
  /** What was asked for, by rollout: the wire shows only the gates that are on, with limits rounded, as the server's does. */
  readonly asked: Map<string, RolloutSpec> = new Map<string, RolloutSpec>();
  /** Clusters that prove only when the test says so. */
  readonly held: Set<string> = new Set<string>();
  /** Clusters that refuse every bundle, with their reason. */
  readonly failing: Map<string, string> = new Map<string, string>();
  readonly #fleet: FakeFleet;
  readonly #watchers: Set<() => void> = new Set<() => void>();

  constructor(fleet: FakeFleet) {
    this.#fleet = fleet;
  }

  /** Lets a held cluster prove. */
  release(name: string): void {
    this.held.delete(name);
    for (const rollout of this.all) this.#step(rollout);
  }

  get watchCount(): number {
    return this.#watchers.size;
  }

  plan(spec: RolloutSpec | undefined): Plan {
    const bundle = this.#bundle(spec);
    const clusters = this.#fleet.matching(spec?.selector);
    if (clusters.length === 0) {
      throw new ConnectError("No cluster matches the selector", Code.FailedPrecondition);
    }
    const runs = (name: string): BundleRef | undefined =>
      this.#fleet.cluster(name).running.find((running) => running.bundle?.kind === bundle.kind)?.bundle;
    const moving = clusters.filter((cluster) => runs(cluster.name)?.digest !== bundle.digest);
    const regions = [...new Set(moving.map((cluster) => cluster.labels["region"] ?? ""))].sort();
    const groups = regions.flatMap((region) => {
      const [first, ...rest] = moving
        .filter((cluster) => cluster.labels["region"] === region)
        .map(({ name }) => name);
      const canary = first === undefined ? [] : [{ name: `canary ${region}`, names: [first] }];
      return rest.length === 0 ? canary : [...canary, { name: `${region} 1 of 1`, names: rest }];
    });
    const waves = groups.map(({ name, names }) => ({
      name,
      clusters: names.map((clusterName) => {
        const previous = runs(clusterName);
        const state = RolloutClusterState.WAITING;
        return {
          clusterId: `cl_${clusterName}`,
          clusterName,
          state,
          ...(previous === undefined ? {} : { previous }),
        };
      }),
    }));
    const digest = createHash("sha256")
      .update(JSON.stringify([bundle.digest, groups, gatesOf(spec), spec?.soakSeconds ?? 0]))
      .digest("hex");
    const unchanged = clusters.filter((cluster) => !moving.includes(cluster)).map(({ name }) => name);
    const diffs = [
      { to: bundle, added: ["Exec into a pod"], changed: ["Secret read"], clusterCount: moving.length },
    ];
    const gates = shownGates(spec);
    return create(PlanSchema, { digest: `sha256:${digest}`, bundle, waves, unchanged, diffs, gates });
  }

  /** The plan of one that has not begun, by what was asked for, whatever time it is by now. */
  #planOf(rolloutId: string): Plan {
    const { pending } = this.find(rolloutId);
    if (!pending) throw new ConnectError("It has begun", Code.FailedPrecondition);
    return this.plan(this.asked.get(rolloutId));
  }

  service(): ServiceOfRollouts {
    return {
      planRollout: ({ spec, rolloutId }) => {
        if (rolloutId !== "") return { plan: this.#planOf(rolloutId) };
        refusePast(spec);
        return { plan: this.plan(spec) };
      },
      startRollout: ({ spec, planDigest }) => {
        refusePast(spec);
        const plan = this.plan(spec);
        if (planDigest !== "" && planDigest !== plan.digest) {
          throw new ConnectError(`The plan is ${plan.digest} now, not ${planDigest}`, Code.Aborted);
        }
        const rollout = create(RolloutSchema, {
          id: `ro_${randomUUID().slice(0, 8)}`,
          state: spec?.emergency === true ? RolloutState.AWAITING_APPROVAL : RolloutState.RUNNING,
          generation: 1n,
          waves: plan.waves,
          planDigest: plan.digest,
          createdAt: timestampFromMs(Date.now()),
          pending: spec?.emergency === true,
          ...(spec === undefined ? {} : { spec: { ...spec, gates: shownGates(spec) } }),
          ...(spec === undefined || spec.shadowSeconds === 0 ? {} : { shadow: { agents: 2, evaluated: 2 } }),
          ...(plan.bundle === undefined ? {} : { bundle: plan.bundle }),
        });
        this.all.unshift(rollout);
        if (spec !== undefined) this.asked.set(rollout.id, spec);
        setImmediate(() => this.#step(rollout));
        return { rollout };
      },
      listRollouts: ({ unfinished }) => ({
        rollouts: this.all.filter(({ state }) => !unfinished || state === RolloutState.RUNNING),
      }),
      getShadow: ({ rolloutId }) => {
        const { shadow } = this.find(rolloutId);
        if (shadow === undefined) {
          throw new ConnectError("It began without a shadow", Code.FailedPrecondition);
        }
        const counts = { now: 4n, candidate: 6n, new: 3n, gone: 1n };
        const fields = { "ka.user.name": "alice" };
        const examples = [{ clusterName: "eu-1", isGone: false, fields }];
        return { shadow, rules: [{ rule: "Exec into a pod", ...counts, clusters: 2, examples }] };
      },
      getRollout: ({ rolloutId }) => ({ rollout: this.find(rolloutId) }),
      watchRollout: ({ rolloutId }, { signal }) => this.#watch(this.find(rolloutId), signal),
      pauseRollout: (request) =>
        this.#change(request, [RolloutState.RUNNING], RolloutState.PAUSED, "paused by a person"),
      resumeRollout: (request) => this.#change(request, [RolloutState.PAUSED], RolloutState.RUNNING, ""),
      abortRollout: (request) =>
        this.#change(
          request,
          [RolloutState.RUNNING, RolloutState.PAUSED],
          RolloutState.ABORTED,
          "aborted by a person",
        ),
      approveRollout: (word) => this.#change(this.#said(word), waiting, RolloutState.RUNNING, "approved"),
      rejectRollout: (word) => this.#change(this.#said(word), waiting, RolloutState.ABORTED, "rejected"),
      undoRollout: (request) => {
        const { rollout } = this.#change(
          request,
          [RolloutState.RUNNING, RolloutState.PAUSED, RolloutState.SUCCEEDED, RolloutState.ABORTED],
          RolloutState.ROLLED_BACK,
          "undone by a person",
        );
        for (const cluster of clustersOf(rollout)) {
          if (cluster.previous !== undefined) this.#run(cluster, cluster.previous);
          cluster.state = RolloutClusterState.REVERTED;
        }
        return { rollout };
      },
    };
  }

  /** A word about a plan, as a change at the generation that the rollout has. */
  #said({ rolloutId, planDigest }: { rolloutId: string; planDigest: string }) {
    const { generation, planDigest: own } = this.find(rolloutId);
    if (planDigest !== own) throw new ConnectError(`The plan is ${own}, not ${planDigest}`, Code.Aborted);
    return { rolloutId, generation };
  }

  find(id: string): Rollout {
    const rollout = this.all.find((candidate) => candidate.id === id);
    if (rollout === undefined) throw new ConnectError(`There is no rollout "${id}"`, Code.NotFound);
    return rollout;
  }

  #bundle(spec: RolloutSpec | undefined): BundleRef {
    const wanted = spec?.bundle ?? "";
    const found = this.#fleet.releases.bundles
      .flatMap(({ ref }) => (ref === undefined || ref.kind !== spec?.kind ? [] : [ref]))
      .find(
        (ref) =>
          wanted === "" ||
          wanted === ref.name ||
          wanted === `${ref.name}@${ref.version}` ||
          wanted === ref.digest,
      );
    if (found === undefined) throw new ConnectError(`There is no bundle "${wanted}"`, Code.NotFound);
    return found;
  }

  #change(
    request: { rolloutId: string; generation: bigint },
    from: readonly RolloutState[],
    to: RolloutState,
    because: string,
  ): { rollout: Rollout } {
    const rollout = this.find(request.rolloutId);
    if (rollout.generation !== request.generation) {
      throw new ConnectError(
        `The rollout is at generation ${rollout.generation}, not ${request.generation}`,
        Code.Aborted,
      );
    }
    if (!from.includes(rollout.state)) {
      throw new ConnectError("The rollout is in no state for this", Code.FailedPrecondition);
    }
    const pending = rollout.pending && to === RolloutState.PAUSED;
    Object.assign(rollout, { state: to, because, pending, generation: rollout.generation + 1n });
    setImmediate(() => this.#step(rollout));
    return { rollout };
  }

  /** One reconciliation: assign the wave, take proofs, pause on a failure, go on to the next wave. */
  #step(rollout: Rollout): void {
    const wave = rollout.waves[rollout.wave];
    if (rollout.state === RolloutState.RUNNING && wave !== undefined) {
      for (const cluster of wave.clusters) this.#stepCluster(rollout, cluster);
      const failed = wave.clusters.filter(({ state }) => state === RolloutClusterState.FAILED);
      if (failed.length > 0) {
        const because = `${failed.map(({ clusterName }) => clusterName).join(", ")} failed: more than 0 allowed`;
        Object.assign(rollout, { state: RolloutState.PAUSED, because });
      } else if (wave.clusters.every(({ state }) => state === RolloutClusterState.PROVED)) {
        rollout.wave++;
        setImmediate(() => this.#step(rollout));
      }
      if (rollout.wave === rollout.waves.length) rollout.state = RolloutState.SUCCEEDED;
      rollout.generation++;
    }
    for (const wake of this.#watchers) wake();
  }

  #stepCluster(rollout: Rollout, cluster: RolloutCluster): void {
    const reason = this.failing.get(cluster.clusterName);
    cluster.assignedAt ??= timestampFromMs(Date.now());
    if (reason !== undefined) {
      Object.assign(cluster, { state: RolloutClusterState.FAILED, reason });
    } else if (this.held.has(cluster.clusterName)) {
      Object.assign(cluster, { state: RolloutClusterState.ASSIGNED, reason: "applying" });
    } else if (rollout.bundle !== undefined) {
      this.#run(cluster, rollout.bundle);
      Object.assign(cluster, { state: RolloutClusterState.PROVED, reason: "" });
    }
  }

  #run({ clusterName }: RolloutCluster, bundle: BundleRef): void {
    const cluster = this.#fleet.cluster(clusterName);
    const others = cluster.running.filter((running) => running.bundle?.kind !== bundle.kind);
    const at = timestampFromMs(Date.now());
    cluster.running = [...others, create(RunningSchema, { bundle, since: at, provedAt: at })];
    cluster.health = ClusterHealth.HEALTHY;
  }

  async *#watch(rollout: Rollout, signal: AbortSignal): AsyncGenerator<{ rollout: Rollout }> {
    let wake = () => {};
    let news = true;
    const watcher = () => {
      news = true;
      wake();
    };
    this.#watchers.add(watcher);
    signal.addEventListener("abort", watcher);
    try {
      while (!signal.aborted) {
        if (news) {
          news = false;
          yield { rollout };
          if (rollout.state !== RolloutState.RUNNING && rollout.state !== RolloutState.ROLLING_BACK) return;
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (news) resolve();
        });
      }
    } finally {
      this.#watchers.delete(watcher);
    }
  }
}

function gatesOf(spec: RolloutSpec | undefined): readonly GateSetting[] {
  const gates = parseGates(spec?.gates ?? [], spec?.emergency === true ? 0 : (spec?.soakSeconds ?? 0));
  if (gates.ok) return gates.value;
  throw new ConnectError("A gate cannot be read", Code.InvalidArgument);
}

function shownGates(spec: RolloutSpec | undefined) {
  return gatesOf(spec).map((gate) =>
    create(GateSettingSchema, { name: gate.name, limit: renderLimit(gate) }),
  );
}

/** Nobody plans for a time that is over. */
function refusePast(spec: RolloutSpec | undefined): void {
  if (spec?.startAt === undefined || timestampMs(spec.startAt) > Date.now()) return;
  throw new ConnectError("spec.start_at: is over: take a time ahead, or none", Code.InvalidArgument);
}

function clustersOf(rollout: Rollout): RolloutCluster[] {
  return rollout.waves.flatMap((wave) => wave.clusters);
}
