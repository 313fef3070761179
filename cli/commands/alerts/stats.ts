import { Flags } from "@oclif/core";
import { type AlertCount, AlertService, GetAlertStatsResponseSchema } from "#proto/fleet/v1/alert";
import { alertFilterFrom, alertRangeFlags } from "../../alert-flags.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { envOf } from "../../flags.ts";
import { type Column, renderTable } from "../../output/table.ts";
import { countOf } from "../../output/text.ts";
import { ageOf } from "../../views.ts";

export default class AlertsStats extends FleetCommand {
  static override summary = "Count alerts by rule, priority, cluster or region.";
  static override description = "Without --since it counts everything that the server still keeps.";
  static override examples = [
    {
      description: "The noisiest rules of the last day.",
      command: "<%= config.bin %> <%= command.id %> --since 1d",
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
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(AlertsStats);
    const now = this.screen.now();
    const service = await this.client(AlertService, flags);
    const stats = await service.getAlertStats({ filter: alertFilterFrom(flags, now), by: flags.by });
    const columns: readonly Column<AlertCount>[] = [
      { title: flags.by.toUpperCase(), cell: (count) => count.value },
      { title: "ALERTS", align: "right", cell: (count) => `${count.count}` },
      { title: "SHARE", align: "right", cell: (count) => share(count.count, stats.total) },
      { title: "LAST", align: "right", cell: (count) => ageOf(count.lastAt, now) },
    ];
    this.answer(flags.output, GetAlertStatsResponseSchema, stats, (wide) =>
      stats.counts.length === 0 ? [] : renderTable(stats.counts, columns, { wide }),
    );
    this.talk(`${countOf(Number(stats.total), "alert")} in all.`);
  }
}

function share(count: bigint, total: bigint): string {
  return total === 0n ? "" : `${((Number(count) / Number(total)) * 100).toFixed(1)}%`;
}
