import { create } from "@bufbuild/protobuf";
import { ListRolloutsResponseSchema, type Rollout, RolloutService } from "#proto/fleet/v1/rollout";
import { FleetCommand } from "../../fleet-command.ts";
import { countFlag, switchFlag } from "../../flags.ts";
import { type Column, renderTable } from "../../output/table.ts";
import { pages } from "../../pages.ts";
import { renderSelector } from "../../selector.ts";
import { progressOf } from "../../rollout-view.ts";
import { ageOf, kindOf, nameOf } from "../../views.ts";

export default class RolloutList extends FleetCommand {
  static override summary = "List rollouts, newest first.";
  static override description =
    "PROVED counts the clusters that prove the bundle against those that the rollout is for.";
  static override examples = [
    { description: "What is going on.", command: "<%= config.bin %> <%= command.id %> --unfinished" },
    {
      description: "The last hundred with who started them.",
      command: "<%= config.bin %> <%= command.id %> --limit 100 -o wide",
    },
  ];
  static override flags = {
    unfinished: switchFlag("unfinished", "Only rollouts that have not ended."),
    limit: countFlag("limit", "At most so many; 20 if not given.", 1, 10_000),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(RolloutList);
    const limit = flags.limit ?? 20;
    const service = await this.client(RolloutService, flags);
    const rollouts: Rollout[] = [];
    const get = (pageToken: string) =>
      service.listRollouts({ pageToken, pageSize: Math.min(limit, 100), unfinished: flags.unfinished });
    for await (const page of pages(get)) {
      rollouts.push(...page.rollouts);
      if (rollouts.length >= limit) break;
    }
    const answer = create(ListRolloutsResponseSchema, { rollouts: rollouts.slice(0, limit) });
    this.answer(flags.output, ListRolloutsResponseSchema, answer, (wide) =>
      answer.rollouts.length === 0 ? [] : renderTable(answer.rollouts, columns(this.screen.now()), { wide }),
    );
    if (answer.rollouts.length === 0) {
      this.talk("There is none. To start one: fleetctl rollout rules --region eu");
    }
  }
}

const columns = (now: number): readonly Column<Rollout>[] => [
  { title: "ID", cell: (rollout) => rollout.id },
  { title: "KIND", cell: (rollout) => kindOf(rollout.bundle?.kind ?? 0) },
  { title: "BUNDLE", cell: (rollout) => nameOf(rollout.bundle) },
  {
    title: "STATE",
    cell: (rollout) =>
      `${progressOf(rollout).state}${rollout.spec?.emergency === true ? " (emergency)" : ""}`,
  },
  {
    title: "WAVE",
    align: "right",
    cell: (rollout) => `${Math.min(rollout.wave + 1, rollout.waves.length)}/${rollout.waves.length}`,
  },
  { title: "PROVED", align: "right", cell: provedOf },
  {
    title: "SELECTOR",
    cell: (rollout) => (rollout.spec?.selector === undefined ? "" : renderSelector(rollout.spec.selector)),
  },
  { title: "AGE", align: "right", cell: (rollout) => ageOf(rollout.createdAt, now) },
  { title: "BY", wide: true, cell: (rollout) => rollout.createdBy },
  { title: "BECAUSE", wide: true, cell: (rollout) => rollout.because },
];

function provedOf(rollout: Rollout): string {
  const counted = progressOf(rollout)
    .waves.flatMap((wave) => wave.clusters)
    .filter((cluster) => cluster.step !== "removed");
  return `${counted.filter((cluster) => cluster.step === "proved").length}/${counted.length}`;
}
