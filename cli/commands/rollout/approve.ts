import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { type Plan, PlanSchema, type Rollout, RolloutSchema, RolloutService } from "#proto/fleet/v1/rollout";
import { present } from "../../answer.ts";
import type { Wanted } from "../../connection.ts";
import { refused } from "../../failure.ts";
import type { Format } from "../../fleet-command.ts";
import { requiredArg, switchFlag, textFlag } from "../../flags.ts";
import { reasonFlag } from "../../people-flags.ts";
import { RolloutCommand } from "../../rollout-command.ts";

export default class RolloutApprove extends RolloutCommand {
  static override summary = "Say that somebody else's rollout may begin, or that it must not.";
  static override description =
    "What is approved is the plan, by its digest: when the fleet or the bundle changes before it begins, the approval counts no more. Refused to whoever started the rollout, and to whose scope does not hold all of its clusters.";
  static override examples = [
    {
      description: "Exactly the plan that you looked at.",
      command: '<%= config.bin %> <%= command.id %> ro_7f3a --plan sha256:51c0 --reason "reviewed"',
    },
    {
      description: "Not this one: it ends.",
      command: '<%= config.bin %> <%= command.id %> ro_7f3a --reject --reason "not before the release"',
    },
  ];
  static override args = { rollout: requiredArg("Id of the rollout.") };
  static override flags = {
    plan: textFlag(
      "plan",
      "Digest of the plan that you mean. Without it the plan is shown and nothing is approved.",
      "DIGEST",
    ),
    reject: switchFlag("reject", "End the rollout instead."),
    reason: reasonFlag("Why; kept with the rollout and in the audit log."),
  };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(RolloutApprove);
    const service = await this.client(RolloutService, flags);
    const rolloutId = args.rollout;
    const planDigest = flags.plan ?? (await this.look(rolloutId, flags));
    const word = { rolloutId, planDigest, reason: flags.reason ?? "" };
    const answered = flags.reject ? await service.rejectRollout(word) : await service.approveRollout(word);
    const rollout = present(answered.rollout, "rollout");
    this.answer(flags.output, RolloutSchema, rollout, () => [
      flags.reject
        ? `Rejected ${rollout.id}: it has ended.`
        : `Approved plan ${planDigest} of ${rollout.id}.`,
    ]);
    if (!flags.reject) this.talk(`To follow it: fleetctl rollout watch ${rollout.id}`);
  }

  /** The digest of the plan that a rollout has, to end it; to approve it, a person has to have seen which one that is. */
  private async look(
    rolloutId: string,
    flags: Wanted & { output: Format; reject: boolean },
  ): Promise<string> {
    const service = await this.client(RolloutService, flags);
    const rollout = present((await service.getRollout({ rolloutId })).rollout, "rollout");
    if (flags.reject) return rollout.planDigest;
    if (flags.output === "json" || flags.output === "yaml") {
      const plan = await this.planNow(rollout, flags);
      this.answerWith(
        flags.output,
        () => this.jsonOf(rollout, plan),
        () => [],
      );
    } else this.show(rollout, flags.output, await this.pendingPlan(rollout, flags));
    throw refused(
      `Nothing was approved: rollout ${rolloutId} has plan ${rollout.planDigest}`,
      `fleetctl rollout approve ${rolloutId} --plan ${rollout.planDigest}   when that is what you mean`,
    );
  }

  /** Both, because the digest of the rollout is approved, and only while it is still that of its plan. */
  private jsonOf(rollout: Rollout, plan: Plan | undefined): JsonValue {
    const options = { alwaysEmitImplicit: true };
    return {
      rollout: toJson(RolloutSchema, rollout, options),
      plan: plan === undefined ? null : toJson(PlanSchema, plan, options),
    };
  }
}
