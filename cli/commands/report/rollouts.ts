import { timestampMs } from "@bufbuild/protobuf/wkt";
import { redactRollouts, rolloutsSheet, type ReportedRollout } from "#report";
import { RolloutService, type Rollout } from "#proto/fleet/v1/rollout";
import { listFlag } from "../../flags.ts";
import { pages } from "../../pages.ts";
import { redactionsFrom, SheetCommand, weekMs, writingFlags } from "../../report/report-command.ts";
import { progressOf } from "../../rollout-view.ts";
import { kindOf, nameOf } from "../../views.ts";

/** Rollouts that one report reads, newest first. */
const rolloutsMax = 2_000;

export default class ReportRollouts extends SheetCommand {
  static override summary = "Report what was rolled out, and what stopped or went back.";
  static override description =
    "Rollouts that began, went on or ended in the last seven days: those that were stopped or went back first, then the newest, with how many clusters proved them and why they are in their state.";
  static override examples = [
    { description: "In the terminal.", command: "<%= config.bin %> <%= command.id %> --week" },
    {
      description: "For the change review, as a table for a ticket.",
      command: "<%= config.bin %> <%= command.id %> --format markdown",
    },
  ];
  static override flags = {
    ...writingFlags,
    redact: listFlag("redact", "Replace these by other names: user.", "WHAT"),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(ReportRollouts);
    this.checkWriting(flags);
    const hidden = redactionsFrom(flags.redact, "rollouts");
    const untilMs = this.screen.now();
    const period = { fromMs: untilMs - weekMs, untilMs, clusters: "" };
    const service = await this.client(RolloutService, flags);
    const found: Rollout[] = [];
    let isCut = false;
    for await (const page of pages((pageToken) => service.listRollouts({ pageToken, pageSize: 100 }))) {
      found.push(...page.rollouts);
      isCut = found.length >= rolloutsMax && page.nextPageToken !== "";
      if (isCut) break;
    }
    this.write(flags, rolloutsSheet(redactRollouts(found.map(toReported), hidden), period, isCut));
  }
}

function toReported(rollout: Rollout): ReportedRollout {
  const { state, waves } = progressOf(rollout);
  const clusters = waves.flatMap((wave) => wave.clusters).filter(({ step }) => step !== "removed");
  const { finishedAt, createdAt } = rollout;
  return {
    id: rollout.id,
    kind: kindOf(rollout.bundle?.kind ?? 0),
    bundle: nameOf(rollout.bundle),
    state,
    proved: clusters.filter(({ step }) => step === "proved").length,
    clusters: clusters.length,
    by: rollout.createdBy,
    startedMs: createdAt === undefined ? 0 : timestampMs(createdAt),
    ...(finishedAt === undefined ? {} : { endedMs: timestampMs(finishedAt) }),
    because: rollout.because,
  };
}
