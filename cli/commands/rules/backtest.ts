import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@connectrpc/connect";
import { BundleKind } from "#proto/fleet/v1/common";
import {
  type Backtest,
  BacktestService,
  BacktestState,
  GetBacktestResponseSchema,
  StartBacktestRequestSchema,
} from "#proto/fleet/v1/backtest";
import { present } from "../../answer.ts";
import { backtestLine, backtestLines } from "../../backtest-view.ts";
import { misused, refused } from "../../failure.ts";
import { type Format, FleetCommand } from "../../fleet-command.ts";
import { allFlag, chosenFrom, durationFlag, selectorFlags, textFlag } from "../../flags.ts";
import { layerFlag } from "../../rollout-flags.ts";
import { watchBacktest } from "../../watch-backtest.ts";

const start = ["bundle", "layer", "since", "until", "deadline", "all", "selector"] as const;

export default class RulesBacktest extends FleetCommand {
  static override summary =
    "Try a released bundle, or a layer, on the events that clusters have seen, without rolling it out.";
  static override description =
    "Agents replay the events that they keep (backtest_ring in the service section of the shipper config). NOW are alerts of the rules that run, THEN those of the bundle over the same events; NEW and GONE are events over which only one of the two raised the rule. Ctrl-C cancels it. Exit code 1 unless at least one agent came to its end and none was too late.";
  static override examples = [
    {
      description: "The last six hours of one team's clusters.",
      command: "<%= config.bin %> <%= command.id %> --bundle starter@1.1.0 -l team=payments --since 6h",
    },
    {
      description: "A release of the layer that the team payments owns, on the rules that run.",
      command: "<%= config.bin %> <%= command.id %> --layer payments@1.0.0 --all --since 6h",
    },
    {
      description: "Rules that would raise more.",
      command: `<%= config.bin %> <%= command.id %> --bundle starter --all --since 1h -o json | jq '.rules[] | select(.new != "0") | .rule'`,
    },
  ];
  static override flags = {
    ...selectorFlags,
    all: allFlag,
    bundle: textFlag(
      "bundle",
      "Released rules bundle; the newest version if none is given.",
      "NAME[@VERSION]|DIGEST",
    ),
    layer: layerFlag,
    since: durationFlag("since", "How far back the events reach that are replayed; at most 31d."),
    until: durationFlag("until", "Leave out the events of so long until now."),
    deadline: durationFlag("deadline", "How long agents may take, from 10s to 12h; 30m if not given."),
    show: {
      ...textFlag("show", "Show a backtest that was started before.", "ID"),
      exclusive: [...start, "cancel"],
    },
    cancel: {
      ...textFlag("cancel", "Cancel a backtest that was started before.", "ID"),
      exclusive: [...start],
    },
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(RulesBacktest);
    const { output, show, cancel, layer, since, until, deadline } = flags;
    const bundle = flags.bundle ?? layer;
    const service = await this.client(BacktestService, flags);
    if (show !== undefined) return void (await this.#answer(service, show, output));
    if (cancel !== undefined) {
      const ended = present((await service.cancelBacktest({ backtestId: cancel })).backtest, "backtest");
      this.talk(backtestLine(ended));
      return void (await this.#answer(service, cancel, output));
    }
    if (bundle === undefined || since === undefined) {
      throw misused(
        "A backtest needs a bundle, or a layer, and how far back it reaches",
        "--bundle starter@1.1.0 --since 6h   or: --show ID",
      );
    }
    const now = this.screen.now();
    const request = create(StartBacktestRequestSchema, {
      kind: layer === undefined ? BundleKind.RULES : BundleKind.LAYER,
      bundle,
      selector: chosenFrom(flags),
      since: timestampFromMs(now - since * 1000),
      deadlineSeconds: deadline ?? 0,
      ...(until === undefined ? {} : { until: timestampFromMs(now - until * 1000) }),
    });
    const { id } = present((await service.startBacktest(request)).backtest, "backtest");
    const isForPerson = output === "table" || output === "wide";
    await watchBacktest(service, id, this.screen, isForPerson);
    const failure = failureOf(await this.#answer(service, id, output));
    if (failure !== undefined) throw failure;
  }

  async #answer(
    service: Client<typeof BacktestService>,
    backtestId: string,
    output: Format,
  ): Promise<Backtest> {
    const found = await service.getBacktest({ backtestId });
    const { paint } = this.screen;
    this.answer(output, GetBacktestResponseSchema, found, (wide) => backtestLines(found, { wide, paint }));
    return present(found.backtest, "backtest");
  }
}

/** Why the figures are not what was asked for. */
function failureOf({ id, state, agents, answered, ended, refused: failed }: Backtest) {
  const look = `fleetctl rules backtest --show ${id}   for the reason of each agent`;
  if (state === BacktestState.LATE) {
    return refused(
      `Backtest ${id} is late: ${agents - ended} of ${agents} agents did not come to an end`,
      look,
    );
  }
  if (state === BacktestState.CANCELED) return refused(`Somebody cancelled backtest ${id}`);
  if (ended <= failed) {
    return refused(`No agent replayed anything: ${failed} of ${answered} that answered could not`, look);
  }
  return undefined;
}
