import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Flags } from "../../oclif.ts";
import { type AlertCount, AlertService, GetAlertStatsResponseSchema } from "#proto/fleet/v1/alert";
import { alertFilterFrom, alertRangeFlags } from "../../alert-flags.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { durationFlag, envOf } from "../../flags.ts";
import { misused } from "../../failure.ts";
import { fewer, sparkline } from "../../output/spark.ts";
import { type Column, renderTable } from "../../output/table.ts";
import { countOf } from "../../output/text.ts";
import { ageOf } from "../../views.ts";

export default class AlertsStats extends FleetCommand {
  static override summary = "Count alerts by rule, priority, cluster or region.";
  static override description =
    "Without --since it counts everything that the server still keeps. With --every it counts by equal parts of time too: the table draws each row against its own greatest, JSON and YAML hold the numbers.";
  static override examples = [
    {
      description: "The noisiest rules of the last day.",
      command: "<%= config.bin %> <%= command.id %> --since 1d",
    },
    {
      description: "By rule and hour, as sum by (rule) (count_over_time(...[1h])) does.",
      command: "<%= config.bin %> <%= command.id %> --since 24h --every 1h",
    },
    {
      description: "Where one rule fires.",
      command: "<%= config.bin %> <%= command.id %> --by cluster --rule 'Exec into a pod'",
    },
  ];
  static override flags = {
    ...alertRangeFlags,
    by: Flags.option({
      summary: "What to count by.",
      options: ["rule", "priority", "cluster", "region"] as const,
      default: "rule" as const,
      env: envOf("by"),
    })(),
    every: durationFlag(
      "every",
      "Count by parts of so long, too; whole minutes, and --since has to be given.",
    ),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(AlertsStats);
    const now = this.screen.now();
    if (flags.every !== undefined && flags.since === undefined) {
      throw misused("--every needs a beginning", "--since 24h --every 1h");
    }
    const service = await this.client(AlertService, flags);
    const filter = alertFilterFrom(flags, now);
    const stats = await service.getAlertStats({
      filter,
      by: flags.by,
      ...(flags.every === undefined ? {} : { every: durationFromMs(flags.every * 1000) }),
    });
    const columns: readonly Column<AlertCount>[] = [
      { title: flags.by.toUpperCase(), cell: (count) => count.value },
      { title: "ALERTS", align: "right", cell: (count) => `${count.count}` },
      { title: "SHARE", align: "right", cell: (count) => share(count.count, stats.total) },
      { title: "LAST", align: "right", cell: (count) => ageOf(count.lastAt, now) },
      ...(flags.every === undefined ? [] : [{ title: "OVER TIME", cell: barsOf }]),
    ];
    this.answer(flags.output, GetAlertStatsResponseSchema, stats, (wide) =>
      stats.counts.length === 0 ? [] : renderTable(stats.counts, columns, { wide }),
    );
    this.talk(`${countOf(Number(stats.total), "alert")} in all.`);
    if (stats.total === 0n) await this.talkOfNoCluster(filter.selector, flags);
  }
}

function share(count: bigint, total: bigint): string {
  return total === 0n ? "" : `${((Number(count) / Number(total)) * 100).toFixed(1)}%`;
}

const barsMax = 60;

function barsOf({ buckets }: AlertCount): string {
  const sums = fewer(buckets, barsMax);
  const most = sums.reduce((greatest, sum) => (sum > greatest ? sum : greatest), 0n);
  return sparkline(sums, most);
}
