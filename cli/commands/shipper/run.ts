import { once } from "node:events";
import { resolve } from "node:path";
import { Args, Flags } from "../../oclif.ts";
import { startAgentProgram } from "../../agent-process.ts";
import { parseDuration } from "../../duration.ts";
import { Failure, exitCodes, interrupted, misused } from "../../failure.ts";
import { FleetCommand } from "../../fleet-command.ts";
import { asList, envOf, labelsFrom, listFlag, switchFlag, textFlag } from "../../flags.ts";
import { readShipperFiles, variablesFrom, variablesOf } from "../../shipper-files.ts";
import { readSources } from "../../sources.ts";

export default class ShipperRun extends FleetCommand {
  static override summary = "Run a shipper config on this machine, with the pipeline that agents use.";
  static override description =
    "Needs no server and no enrolment. Without a flag the config may read and write below the current folder and send to this machine; what it names beyond that is shown and refused until --allow-named or an allow-list says otherwise. Figures go to standard error, alerts of the output fleet too; standard output belongs to the output stdout. Ends with Ctrl-C, or with --once when everything that is there is delivered. Exit codes: 0 all delivered, 1 not allowed, or something is queued or set aside, 2 the config cannot be used, 130 interrupted before it ran, or a second time before all was delivered.";
  static override examples = [
    {
      description: "Try a config on a file, and see what comes out.",
      command: "<%= config.bin %> <%= command.id %> try.conf --set AUDIT_LOG=$PWD/audit.log --once",
    },
    {
      description: "With rules, and everything that the config names.",
      command: "<%= config.bin %> <%= command.id %> audit.conf --rules rules/starter --allow-named",
    },
    {
      description: "Go on where the last run ended.",
      command: "<%= config.bin %> <%= command.id %> audit.conf --state ./state",
    },
  ];
  static override strict = false;
  static override args = {
    files: Args.string({
      required: true,
      ignoreStdin: true,
      description: "Config files in the order in which they apply, or one folder or bundle file.",
    }),
  };
  static override flags = {
    rules: listFlag("rules", "Rules files or folders for the output detect.", "FILE"),
    label: listFlag("label", "Labels of the cluster: they choose layers and fill in variables.", "KEY=VALUE"),
    set: listFlag("set", "Values of variables.", "NAME=VALUE"),
    state: textFlag(
      "state",
      "Directory for positions, queues and dead letters; a new one if not given.",
      "DIR",
    ),
    once: switchFlag("once", "End when everything that is there is read and delivered."),
    "allow-named": switchFlag("allow-named", "Allow all files and destinations that the config names."),
    allow: Flags.string({
      summary: "An agent's allow-list, which says what the config may do.",
      helpValue: "FILE",
      env: envOf("allow"),
      exclusive: ["allow-named"],
    }),
    every: Flags.string({
      summary: "How often figures are shown.",
      helpValue: "DURATION",
      env: envOf("every"),
      default: "5s",
    }),
  };

  override async run(): Promise<void> {
    const { argv, flags } = await this.parse(ShipperRun);
    const seconds = parseDuration(flags.every);
    if (seconds === undefined || seconds === 0) {
      throw misused(`--every "${flags.every}" is no duration such as 5s`);
    }
    const labels = labelsFrom(flags.label, "--label");
    const allow = flags.allow === undefined ? undefined : { file: resolve(flags.allow) };
    const options = {
      files: await readShipperFiles(argv as string[], labels),
      rules: await readSources(asList(flags.rules)),
      labels,
      variables: { ...variablesOf(labels), ...variablesFrom(asList(flags.set)) },
      allow: allow ?? (flags["allow-named"] ? "named" : "here"),
      once: flags.once,
      statsMs: seconds * 1000,
      ...(flags.state === undefined ? {} : { stateDir: resolve(flags.state) }),
    };
    const code = await this.screen.interruptible(async (signal) => {
      const child = startAgentProgram("run-main", options);
      // A terminal interrupts both; whoever ends only this process ends the other one with it.
      signal.addEventListener("abort", () => child.kill("SIGTERM"));
      const [ended, by] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
      // Interrupted while it was being loaded, so that nothing of it ran, or again while it was ending.
      return signal.aborted && (by === "SIGTERM" || by === "SIGINT") ? exitCodes.interrupted : ended;
    });
    if (code === exitCodes.interrupted) throw interrupted("before all was delivered");
    if (code !== 0) throw new Failure(code ?? exitCodes.bug, whyOf(code));
  }
}

/** The program has said more, above. */
function whyOf(code: number | null): string {
  switch (code) {
    case null:
      return "The pipeline was killed";
    case exitCodes.refused:
      return "Not everything was delivered, or the config asks for more than it may";
    case exitCodes.usage:
      return "The config cannot be used";
    default:
      return `The pipeline ended with code ${code}`;
  }
}
