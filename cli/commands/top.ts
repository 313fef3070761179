import { setTimeout as pause } from "node:timers/promises";
import { Flags } from "../oclif.ts";
import { ClusterService, type GetRatesResponse, GetRatesResponseSchema } from "#proto/fleet/v1/cluster";
import { RolloutService } from "#proto/fleet/v1/rollout";
import { misused } from "../failure.ts";
import { isAway } from "../follow.ts";
import { FleetCommand } from "../fleet-command.ts";
import { envOf, selectorFlags, selectorFrom } from "../flags.ts";
import { renderRates } from "../output/rates.ts";
import { firstView, pageRowsOf, pressed, renderTop, type TopView } from "../output/top.ts";
import { liveFrame } from "../screen.ts";
import { rateRowOf, type TopFleet, topSource, windowMinutes } from "../top-source.ts";

const refreshMs = 5000;

export default class Top extends FleetCommand {
  static override summary = "Show how the fleet is: health, rollouts, and what flows through each cluster.";
  static override description =
    "On a terminal it is redrawn every five seconds; keys sort (e events, a alerts, l lag, d drops, h health, n name), r reverses, j and k scroll, p pauses, q ends. Elsewhere, and with --once, it prints the newest minute once. LAG is the age of the oldest record not yet delivered. PARKED lines are kept aside because they are no JSON, too long or cut. DROPPED is zero unless an operator allowed eviction.";
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
    if (watch) {
      const rollouts = await this.client(RolloutService, flags);
      return this.redraw(topSource(service, rollouts, selector, () => this.screen.now()));
    }
    const rates = await service.getRates({ selector, minutes: windowMinutes });
    this.answer(flags.output, GetRatesResponseSchema, rates, (wide) => this.lines(rates, wide));
  }

  private async redraw(look: (signal: AbortSignal) => Promise<TopFleet>): Promise<void> {
    const { screen } = this;
    const frame = liveFrame(screen);
    let view: TopView = firstView;
    let fleet: (TopFleet & { readonly atMs: number }) | undefined;
    let isAwayNow = false;
    const size = () => ({ columns: screen.columns, height: screen.rows - 1 });
    // An empty picture of a fleet that was not looked at yet would be a lie.
    const draw = () => {
      if (fleet === undefined) return;
      const staleMs = isAwayNow ? screen.now() - fleet.atMs : undefined;
      frame(renderTop({ ...fleet, staleMs, view, ...size() }, screen.paint));
    };
    await screen.interruptible(async (interrupted) => {
      const ended = new AbortController();
      const signal = AbortSignal.any([interrupted, ended.signal]);
      const release = screen.keys((key) => {
        const { rows, rollouts } = fleet ?? { rows: [], rollouts: [] };
        const next = pressed(view, key, rows.length, pageRowsOf({ rollouts, ...size() }));
        if (next === undefined) return ended.abort();
        view = next;
        return draw();
      });
      try {
        while (!signal.aborted) {
          if (!view.isPaused) {
            try {
              fleet = { ...(await look(signal)), atMs: screen.now() };
              isAwayNow = false;
            } catch (error) {
              // Who watches a server that is started anew sees it come back.
              if (fleet === undefined || !isAway(error)) throw error;
              isAwayNow = true;
            }
          }
          draw();
          await pause(refreshMs, undefined, { signal });
        }
      } catch (error) {
        if (!signal.aborted) throw error;
      } finally {
        release();
      }
    });
  }

  private lines(rates: GetRatesResponse, wide: boolean): string[] {
    if (rates.series.length === 0) return ["No cluster matches."];
    return renderRates(rates.series.map(rateRowOf), wide, this.screen.paint);
  }
}
