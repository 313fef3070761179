import { randomUUID } from "node:crypto";
import { Code, ConnectError } from "@connectrpc/connect";
import type { BundleKind } from "#proto/fleet/v1/common";
import {
  type Plan,
  PlanSchema,
  type Rollout,
  RolloutClusterState,
  RolloutState,
  RolloutSchema,
  RolloutService,
  type Wave,
} from "#proto/fleet/v1/rollout";
import { type RolloutSpec } from "#proto/fleet/v1/rollout_spec";
import { present } from "./answer.ts";
import type { Wanted } from "./connection.ts";
import { explainPlaced } from "./connection.ts";
import { exitCodes, Failure, refused } from "./failure.ts";
import { type Format, FleetCommand } from "./fleet-command.ts";
import {
  clusterRows,
  gateRows,
  renderPicture,
  type RolloutProgress,
  type RolloutStep,
  toneOfGate,
  toneOfStep,
} from "./output/rollout.ts";
import { type Column, renderTable } from "./output/table.ts";
import type { Paint } from "./output/text.ts";
import { peopleLines } from "./people-view.ts";
import { planLines, watchedLines } from "./plan-view.ts";
import { specFrom } from "./rollout-flags.ts";
import { renderSelector } from "./selector.ts";
import { shadowLine } from "./shadow-view.ts";
import { progressOf } from "./rollout-view.ts";
import { kindOf } from "./views.ts";
import { watchRollout } from "./watch-rollout.ts";

type StartFlags = Wanted &
  Parameters<typeof specFrom>[1] & {
    readonly output: Format;
    readonly "dry-run": boolean;
    readonly plan?: string | undefined;
    readonly watch?: boolean | undefined;
  };

/** What the rollout commands share. */
export abstract class RolloutCommand extends FleetCommand {
  /** Plans, and unless it is only for show, starts and follows a rollout. */
  protected async start(kind: BundleKind, flags: StartFlags): Promise<void> {
    const spec = await specFrom(kind, flags);
    const service = await this.client(RolloutService, flags);
    if (flags["dry-run"]) return this.showPlan(spec, flags);
    const started = await service
      .startRollout({ spec, planDigest: flags.plan ?? "", requestId: randomUUID() })
      .catch((error: unknown) => {
        throw withHint(error, spec);
      });
    const rollout = present(started.rollout, "rollout");
    for (const line of watchedLines(rollout.spec ?? spec)) this.talk(line);
    await this.follow(rollout, flags, flags.watch ?? this.screen.outIsTerminal, "succeeded");
  }

  private async showPlan(spec: RolloutSpec, flags: StartFlags): Promise<void> {
    const service = await this.client(RolloutService, flags);
    const response = await service.planRollout({ spec }).catch((error: unknown) => {
      throw withHint(error, spec);
    });
    const plan = present(response.plan, "plan");
    if (flags.plan !== undefined && flags.plan !== plan.digest) {
      throw refused(
        `The plan is no longer ${flags.plan}: it is ${plan.digest} now`,
        "Look at it without --plan, then decide.",
      );
    }
    const { paint } = this.screen;
    this.answer(flags.output, PlanSchema, plan, (wide) => planLines(plan, { spec, wide, paint }));
    this.talk(
      `Nothing was changed. To run exactly this plan: the same command without --dry-run and with --plan ${plan.digest}`,
    );
  }

  /** Prints a rollout as it is now, or follows it until nothing happens by itself. Throws unless it went well then. */
  protected async follow(
    rollout: Rollout,
    flags: Wanted & { readonly output: Format },
    watch: boolean,
    wanted: RolloutStep,
    asEvents: boolean = false,
  ): Promise<void> {
    const asText = flags.output === "table" || flags.output === "wide";
    if (!watch) {
      this.answer(flags.output, RolloutSchema, rollout, () =>
        renderPicture(progressOf(rollout), this.screen.now(), this.screen.columns, this.screen.paint),
      );
      if (asText) this.talk(`To follow it: fleetctl rollout watch ${rollout.id}`);
      return;
    }
    const service = await this.client(RolloutService, flags);
    const style = asText ? "text" : asEvents ? "events" : "silent";
    const last = await watchRollout(service, rollout.id, this.screen, style);
    if (style === "silent") this.answer(flags.output, RolloutSchema, last, () => []);
    const failure = failureOf(last, wanted);
    if (failure !== undefined) throw failure;
  }

  /**
   * The plan of a rollout that has not begun, made anew by the server as it does when it is approved and when it begins, for whoever has
   * to say whether it may. Undefined for one that has begun, and for whoever may not see all of it.
   */
  protected async planNow({ id, pending, partial }: Rollout, wanted: Wanted): Promise<Plan | undefined> {
    if (!pending || partial) return undefined;
    const service = await this.client(RolloutService, wanted);
    return present((await service.planRollout({ rolloutId: id })).plan, "plan");
  }

  /** The same for people: clusters, rules and coverage, and whether it is another plan than that of the rollout. */
  protected async pendingPlan(rollout: Rollout, wanted: Wanted): Promise<string[]> {
    const { id, spec, planDigest, pending, partial } = rollout;
    if (!pending || spec === undefined) return [];
    if (partial) return ["", "its plan is shown to those who may see all of its clusters"];
    const { paint } = this.screen;
    try {
      const plan = present(await this.planNow(rollout, wanted), "plan");
      const what =
        rollout.state === RolloutState.PAUSED
          ? "resume takes the new one"
          : "it pauses when it is approved or begins";
      const changed = `THE PLAN HAS CHANGED since ${id} was started, whose plan is ${planDigest}: ${what}. Now it would be`;
      return [
        "",
        ...(plan.digest === planDigest ? [] : [paint("bad", changed)]),
        ...planLines(plan, { spec, wide: false, paint }),
      ];
    } catch (error) {
      const failure = explainPlaced(error);
      if (!(failure instanceof Failure)) throw error;
      return ["", paint("bad", `its plan cannot be made now: ${failure.message}`)];
    }
  }

  /** One rollout with each of its clusters. */
  protected show(rollout: Rollout, format: Format, more: readonly string[] = []): void {
    const { paint, columns } = this.screen;
    const progress = progressOf(rollout);
    const cells: readonly Column<ReturnType<typeof clusterRows>[number]>[] = [
      { title: "WAVE", cell: (row) => row.wave },
      { title: "CLUSTER", cell: (row) => row.name },
      { title: "STATE", cell: (row) => row.step, tone: (row) => toneOfStep(row.step) },
      { title: "REASON", cell: (row) => row.reason },
    ];
    this.answer(format, RolloutSchema, rollout, (wide) => [
      ...renderPicture(progress, this.screen.now(), columns, paint),
      ...peopleLines(rollout, paint),
      ...(rollout.shadow === undefined ? [] : [`  ${shadowLine(rollout.shadow)}`]),
      "",
      ...renderTable(clusterRows(progress), cells, { wide, paint }),
      ...gatesTable(progress, wide, paint),
      ...more,
    ]);
  }

  /** The rollout to act on and the generation that it has to have: the given one, or the one just read. */
  protected async target(
    id: string,
    flags: Wanted & { readonly generation?: number | undefined },
  ): Promise<{ rolloutId: string; generation: bigint }> {
    if (flags.generation !== undefined) return { rolloutId: id, generation: BigInt(flags.generation) };
    const service = await this.client(RolloutService, flags);
    const rollout = present((await service.getRollout({ rolloutId: id })).rollout, "rollout");
    return { rolloutId: id, generation: rollout.generation };
  }

  /** The id that was given, or that of the newest rollout. */
  protected async idOrNewest(id: string | undefined, wanted: Wanted): Promise<string> {
    if (id !== undefined) return id;
    const service = await this.client(RolloutService, wanted);
    const { rollouts } = await service.listRollouts({ pageSize: 1 });
    const newest = rollouts[0];
    if (newest === undefined) {
      throw refused("There has been no rollout yet", "fleetctl rollout rules --region eu --dry-run");
    }
    return newest.id;
  }
}

function gatesTable(progress: RolloutProgress, wide: boolean, paint: Paint): string[] {
  const rows = gateRows(progress);
  const cells: readonly Column<(typeof rows)[number]>[] = [
    { title: "WAVE", cell: (row) => row.wave },
    { title: "GATE", cell: (row) => row.gate },
    { title: "STATE", cell: (row) => row.state, tone: toneOfGate },
    { title: "MEASURED", cell: (row) => row.measured },
    { title: "LIMIT", cell: (row) => row.limit },
    { title: "WHY", cell: (row) => row.words },
  ];
  return rows.length === 0 ? [] : ["", ...renderTable(rows, cells, { wide, paint })];
}

/** Refused when a rollout rests in any state but the wanted one, with what to do about it. */
function failureOf(rollout: Rollout, wanted: RolloutStep): Failure | undefined {
  const { planDigest, pending } = rollout;
  const { id, state, because } = progressOf(rollout);
  if (state === wanted) return undefined;
  const why = because === "" ? "" : `: ${because}`;
  const next = isAfterShadow(rollout)
    ? [
        `fleetctl rollout shadow show ${id}   for what the bundle would change`,
        `fleetctl rollout resume ${id}   to begin with the first wave, or: fleetctl rollout abort ${id}`,
      ]
    : state === "awaiting-approval"
      ? [
          `fleetctl rollout show ${id}   for the plan`,
          `fleetctl rollout approve ${id} --plan ${planDigest}   by somebody else, or: fleetctl rollout abort ${id}`,
        ]
      : state === "paused" && pending
        ? [
            `fleetctl rollout show ${id}   for the plan as it is now`,
            `fleetctl rollout resume ${id}   to take it, or: fleetctl rollout abort ${id}`,
          ]
        : state === "paused"
          ? [
              `fleetctl rollout show ${id}   for the reason of each cluster`,
              `fleetctl rollout resume ${id}   to try the failed clusters again, or: fleetctl rollout undo ${id}`,
            ]
          : [`fleetctl rollout show ${id}   for the reason of each cluster`];
  return new Failure(exitCodes.refused, `Rollout ${id} is ${state.replace("-", " ")}${why}`, next);
}

/** Whether a rollout that began with a shadow waits for a person to begin its first wave. */
export function isAfterShadow({ state, shadow, waves }: Rollout): boolean {
  return state === RolloutState.PAUSED && shadow?.isOver === true && waves.every(isUntouched);
}

function isUntouched({ clusters }: Wave): boolean {
  return clusters.every(({ state }) => state === RolloutClusterState.WAITING);
}

/** A refused plan names the way to see what the person may have meant. */
function withHint(error: unknown, spec: RolloutSpec): unknown {
  const failure = explainPlaced(error);
  if (!(failure instanceof Failure) || !(error instanceof ConnectError)) return error;
  const kind = kindOf(spec.kind);
  const selector = spec.selector === undefined ? "" : renderSelector(spec.selector);
  const hint =
    error.code === Code.NotFound
      ? [`fleetctl bundle list --kind ${kind}   shows the bundles that can be rolled out`]
      : error.code === Code.FailedPrecondition
        ? [
            `fleetctl cluster list   shows the clusters and their labels (this was for ${selector})`,
            "fleetctl rollout list --unfinished   shows rollouts that hold clusters",
          ]
        : error.code === Code.Aborted
          ? ["The fleet changed since the dry run: look at the plan again with --dry-run."]
          : failure.next;
  return new Failure(failure.exitCode, failure.message, hint, error);
}
