import { setTimeout as pause } from "node:timers/promises";
import type { Client } from "@connectrpc/connect";
import { Flags } from "@oclif/core";
import {
  ClusterService,
  type GetRatesResponse,
  GetRatesResponseSchema,
  type RateSeries,
} from "#proto/fleet/v1/cluster";
import type { Selector } from "#proto/fleet/v1/common";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { misused } from "../failure.ts";
import { FleetCommand } from "../fleet-command.ts";
import { envOf, selectorFlags, selectorFrom } from "../flags.ts";
import { type RateRow, renderRates } from "../output/rates.ts";
import { liveFrame } from "../screen.ts";
import { newestRates, secondsOf } from "../views.ts";

/** A cluster that was silent for so long shows as silent, not with old figures. */
const windowMinutes = 3;
const refreshMs = 5000;

export default class Top extends FleetCommand {
  static override summary = "Show what flows through each cluster, by its newest minute.";
  static override description =
    "LAG is the age of the oldest record not yet delivered. PARKED lines are kept aside because they are no JSON, too long or cut. DROPPED is zero unless an operator allowed eviction.";
  static override examples = [
    {
      description: "Follow the clusters of a region.",
      command: "<%= config.bin %> <%= command.id %> --region eu --watch",
    },
    {
      description: "The figures once, for a script.",
      command: "<%= config.bin %> <%= command.id %> --once -o json",
    },
  ];
  static override flags = {
    ...selectorFlags,
    watch: Flags.boolean({
      summary: "Redraw every five seconds; the default on a terminal.",
      env: envOf("watch"),
      exclusive: ["once"],
    }),
    once: Flags.boolean({ summary: "Print once and end.", env: envOf("once") }),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(Top);
    const selector = selectorFrom(flags);
    const asText = flags.output === "table" || flags.output === "wide";
    if (flags.watch && !this.screen.outIsTerminal) {
      throw misused("--watch redraws a terminal, and standard output is none", "fleetctl top --once");
    }
    const service = await this.client(ClusterService, flags);
    const watch = !flags.once && asText && this.screen.outIsTerminal;
    if (watch) return this.redraw(service, selector, flags.output === "wide");
    const rates = await service.getRates({ selector, minutes: windowMinutes });
    this.answer(flags.output, GetRatesResponseSchema, rates, (wide) => this.lines(rates, wide));
  }

  private async redraw(
    service: Client<typeof ClusterService>,
    selector: Selector,
    wide: boolean,
  ): Promise<void> {
    const frame = liveFrame(this.screen);
    await this.screen.interruptible(async (signal) => {
      while (!signal.aborted) {
        try {
          frame(this.lines(await service.getRates({ selector, minutes: windowMinutes }, { signal }), wide));
          await pause(refreshMs, undefined, { signal });
        } catch (error) {
          if (signal.aborted) return;
          throw error;
        }
      }
    });
  }

  private lines(rates: GetRatesResponse, wide: boolean): string[] {
    if (rates.series.length === 0) return ["No cluster matches."];
    return renderRates(rates.series.map(rowOf), wide, this.screen.paint);
  }
}

function rowOf(series: RateSeries): RateRow {
  const rates = newestRates(series.rates);
  const seconds = rates === undefined ? 60 : secondsOf(rates);
  const perSecond = (count: bigint | undefined) => Number(count ?? 0n) / seconds;
  return {
    name: series.clusterName,
    eventsPerSecond: perSecond(rates?.events),
    bytesPerSecond: perSecond(rates?.bytes),
    alertsPerMinute: perSecond(rates?.alerts) * 60,
    dropped: Number(rates?.dropped ?? 0n),
    parked: Number(rates?.parked ?? 0n),
    lagMs: Number(rates?.lagMs ?? 0n),
    detectionUsPerSecond: perSecond(rates?.detectionUs),
    ...(rates?.minute === undefined ? {} : { minuteAt: timestampMs(rates.minute) }),
  };
}
