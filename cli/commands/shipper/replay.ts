import { resolve } from "node:path";
import type { JsonValue } from "@bufbuild/protobuf";
import { Flags } from "../../oclif.ts";
import { askAgentProgram } from "../../agent-process.ts";
import { timeFrom } from "../../alert-flags.ts";
import { misused } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { envOf, switchFlag, textFlag } from "../../flags.ts";
import { renderReplay, renderRequested } from "../../output/replay.ts";
import type { ReplayView } from "../../output/replay.ts";
import { countOf } from "../../output/text.ts";

export default class ShipperReplay extends FleetCommand {
  static override summary = "List what an agent set aside, and have it sent again.";
  static override description =
    "Works on the node, in the state directory of an agent, without the server. Without a flag that chooses, it counts what is set aside, by output and reason. Chosen records go back to the output that refused them: the agent that runs takes them up at once, otherwise the next one that starts. Lines that were no records are sent through the whole pipeline after somebody edited them. A record is marked when its output has it safely: it may come twice, and is never lost.";
  static override examples = [
    {
      description: "What is set aside, and why.",
      command: "<%= config.bin %> <%= command.id %> --state /var/lib/falconry-agent",
    },
    {
      description: "Send again what an output refused since yesterday, after its mapping was repaired.",
      command: "<%= config.bin %> <%= command.id %> --state /var/lib/falconry-agent --alias store --since 1d",
    },
    {
      description: "Write broken lines to a file, and send them when they are repaired.",
      command:
        '<%= config.bin %> <%= command.id %> --state DIR --reason "no JSON" --export lines.jsonl && vi lines.jsonl && <%= config.bin %> <%= command.id %> --state DIR --edited lines.jsonl',
    },
  ];
  static override flags = {
    state: Flags.string({
      summary: "State directory of the agent.",
      helpValue: "DIR",
      env: envOf("state"),
      required: true,
    }),
    all: switchFlag("all", "Choose everything that is set aside."),
    alias: textFlag("alias", "Choose what the output with this alias refused.", "ALIAS"),
    reason: textFlag("reason", "Choose what was set aside for a reason that holds this text.", "TEXT"),
    since: textFlag("since", "Choose what was set aside since: a duration ago, or a time.", "DURATION|TIME"),
    export: textFlag("export", "Write what is chosen to a new file, one JSON object a line.", "FILE"),
    edited: textFlag("edited", "Send the lines of an exported file, as they were edited.", "FILE"),
    "dry-run": switchFlag("dry-run", "Count what is chosen and ask for nothing."),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(ShipperReplay);
    const { all, alias, reason, since, edited } = flags;
    const narrows = [alias, reason, since].some((value) => value !== undefined);
    if (edited !== undefined && (all || narrows || flags.export !== undefined)) {
      throw misused("--edited says itself which lines are meant: leave the other flags out");
    }
    if (flags.export !== undefined && flags["dry-run"]) {
      throw misused("--export asks for nothing anyway: leave --dry-run out");
    }
    const isMeant = all || narrows || edited !== undefined;
    const replays = isMeant && !flags["dry-run"] && flags.export === undefined;
    const view = await askAgentProgram<ReplayView>("replay-main", {
      stateDir: resolve(flags.state),
      act: flags.export !== undefined ? "export" : replays ? "replay" : "list",
      ...(alias === undefined ? {} : { alias }),
      ...(reason === undefined ? {} : { reason }),
      ...(since === undefined ? {} : { sinceMs: timeFrom(since, "--since", this.screen.now()) }),
      ...(edited === undefined ? {} : { edited: resolve(edited) }),
      ...(flags.export === undefined ? {} : { exportTo: resolve(flags.export) }),
    });
    this.answerWith(
      flags.output,
      () => view as unknown as JsonValue,
      (wide) => {
        if (replays) return renderRequested(view);
        if (flags.export !== undefined) {
          return [`${countOf(view.chosen, "record")} written to ${flags.export}`];
        }
        return renderReplay(view, { wide, paint: this.screen.paint });
      },
    );
  }
}
